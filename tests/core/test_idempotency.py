"""A write that arrives twice counts once."""

import datetime
import threading
import uuid
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from oasst.accounts.models import ApiClient
from oasst.core.errors import Conflict, Invalid
from oasst.core.idempotency import delete_old, fingerprint_of, once
from oasst.core.models import RepeatableWrite


def make(name: str, fingerprint: str = "same", key: str = "k1", scope: str = "test") -> Any:
    def act() -> dict[str, Any]:
        return {"id": ApiClient.objects.create(name=name).id}

    return once(scope=scope, key=key, fingerprint=fingerprint, act=act)


@pytest.mark.django_db
class TestOnce:
    def test_it_works(self) -> None:
        first = make("a")
        assert make("a") == first
        assert ApiClient.objects.count() == 1

    def test_the_first_caller_gets_what_the_second_gets(self) -> None:
        first = once(scope="t", key="k", fingerprint="f", act=lambda: {"id": uuid.UUID(int=1), 3: (1, 2)})
        assert first == {"id": "00000000-0000-0000-0000-000000000001", "3": [1, 2]}
        assert once(scope="t", key="k", fingerprint="f", act=lambda: 1 / 0) == first

    def test_another_request_under_the_same_key(self) -> None:
        make("a")
        with pytest.raises(Conflict) as caught, transaction.atomic():
            make("b", fingerprint="other")
        assert caught.value.code == "key_reused"
        assert ApiClient.objects.count() == 1

    def test_keys_of_others_are_others(self) -> None:
        make("a")
        make("a", scope="other")
        assert ApiClient.objects.count() == 2

    def test_a_refusal_is_not_remembered(self) -> None:
        def refuse() -> None:
            ApiClient.objects.create(name="half done")
            raise Invalid("no")

        with pytest.raises(Invalid), transaction.atomic():
            once(scope="test", key="k1", fingerprint="same", act=refuse)
        assert not RepeatableWrite.objects.exists()
        assert not ApiClient.objects.exists()
        make("a")

    @pytest.mark.parametrize("key", ["", "x" * 201, "a\nb", "a\x00"])
    def test_keys_that_are_none(self, key: str) -> None:
        with pytest.raises(Invalid), transaction.atomic():
            make("a", key=key)
        assert not ApiClient.objects.exists()

    def test_a_repeat_costs_two_statements(self, django_assert_num_queries: Any) -> None:
        with transaction.atomic():
            make("a")
            with django_assert_num_queries(2):
                make("a")

    def test_forget(self) -> None:
        make("old")
        make("new", key="k2")
        RepeatableWrite.objects.filter(key="k1").update(created_at=timezone.now() - datetime.timedelta(days=8))
        assert delete_old(older_than=datetime.timedelta(days=7)) == 1
        assert [row.key for row in RepeatableWrite.objects.all()] == ["k2"]


@pytest.mark.django_db(transaction=True)
def test_two_at_once_act_once() -> None:
    """The second waits for the first and gets its answer."""
    inside, answers, ran = threading.Event(), [], []

    def slow() -> dict[str, int]:
        ran.append("first")
        inside.set()
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(0.3)")
        return {"n": ApiClient.objects.create(name="only").pk.int}

    def quick() -> dict[str, int]:
        ran.append("second")
        return {"n": 0}

    def call(act: Any) -> None:
        try:
            answers.append(once(scope="test", key="k", fingerprint="f", act=act))
        finally:
            connection.close()

    first = threading.Thread(target=call, args=(slow,))
    first.start()
    assert inside.wait(10)
    second = threading.Thread(target=call, args=(quick,))
    second.start()
    first.join(10)
    second.join(10)
    assert ran == ["first"]
    assert len(answers) == 2 and answers[0] == answers[1]
    assert ApiClient.objects.count() == RepeatableWrite.objects.count() == 1


def test_fingerprints() -> None:
    assert fingerprint_of("a", {"x": 1, "y": 2}) == fingerprint_of("a", {"y": 2, "x": 1})
    assert fingerprint_of("a", "bc") != fingerprint_of("ab", "c")
    assert len(fingerprint_of("a")) == 64
