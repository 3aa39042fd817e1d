"""Prepared statements return the same objects as the ORM."""

from datetime import UTC
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.transaction import TransactionManagementError
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from oasst.accounts.models import User
from oasst.core import prepared
from tests.factories import new_prompt
from trees.models import Happening, Message

pytestmark = pytest.mark.django_db
NO_SEARCH = frozenset({"search"})


def test_the_same_object_as_the_orm_gives(alice: User) -> None:
    prompt = new_prompt(alice)
    Message.objects.filter(pk=prompt.pk).update(emojis={"+1": 2}, imported={"given": {"rank": 1}})
    expected = Message.objects.defer("search").get(pk=prompt.pk)
    (found,) = prepared.fetch_objects(Message, "WHERE one.id = %s", [prompt.pk], without=NO_SEARCH)
    assert found == expected and found.get_deferred_fields() == {"search"}
    for field in Message._meta.concrete_fields:
        if field.name != "search":
            assert getattr(found, field.attname) == getattr(expected, field.attname), field.name
    assert not found._state.adding
    found.lang = "de"
    found.save(update_fields=["lang"])
    assert Message.objects.get(pk=prompt.pk).lang == "de"


def test_nothing_found(alice: User) -> None:
    assert prepared.fetch_objects(User, "WHERE one.email = %s", ["nobody@example.org"]) == []


def test_it_is_prepared_once(alice: User) -> None:
    sql = "SELECT count(*) FROM accounts_user WHERE display_name = %s"
    for name in ("one", "two", alice.display_name):
        counted = prepared.fetch_rows(sql, [name])
    assert counted == [(1,)]
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE statement = %s", [sql.replace("%s", "$1")])
        assert cursor.fetchone() == (1,)


def test_moments_are_in_utc(alice: User) -> None:
    ((moment,),) = prepared.fetch_rows("SELECT created_at FROM accounts_user WHERE id = %s", [alice.pk])
    assert moment == alice.created_at and moment.tzinfo is UTC


@pytest.mark.django_db(transaction=True)
def test_another_connection(alice: User) -> None:
    sql = "SELECT display_name FROM accounts_user WHERE id = %s"
    before, known = connection.connection, prepared.fetch_rows(sql, [alice.pk])
    before.close()  # as after a restart of the server
    connection.close()
    assert prepared.fetch_rows(sql, [alice.pk]) == known
    assert connection.connection is not before


def test_nothing_runs_after_an_error(alice: User) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        prepared.insert(User(id=alice.pk, display_name="Another"))
    with transaction.atomic():
        transaction.set_rollback(True)
        with pytest.raises(TransactionManagementError):
            prepared.execute("UPDATE accounts_user SET notes = %s WHERE id = %s", ["x", alice.pk])
    alice.refresh_from_db()
    assert alice.notes == ""


def test_a_statement_can_be_watched(alice: User) -> None:
    seen = []

    def watch(execute: Any, sql: str, *rest: Any) -> Any:
        seen.append(sql)
        return execute(sql, *rest)

    with connection.execute_wrapper(watch):
        assert prepared.fetch_rows("SELECT %s::int", [7]) == [(7,)]
    assert seen == ["SELECT %s::int"]


def test_a_statement_can_be_counted(alice: User) -> None:
    with CaptureQueriesContext(connection) as seen:
        prepared.fetch_rows("SELECT display_name FROM accounts_user WHERE id = %s", [alice.pk])
    (query,) = seen
    assert alice.pk.hex in query["sql"]


def test_stored_like_the_orm_does(alice: User) -> None:
    prompt = new_prompt(alice)
    now = timezone.now()
    told = [
        Happening(kind=Happening.Kind.MESSAGE_REACTED, actor=alice, message=prompt, data={"emoji": "+1"}, at=now),
        Happening(kind=Happening.Kind.MESSAGE_REACTED, tree_id=prompt.tree_id),
    ]
    prepared.insert(*told)
    for one in told:
        assert one.pk and not one._state.adding
        stored = Happening.objects.get(pk=one.pk)
        for field in Happening._meta.concrete_fields:
            assert getattr(one, field.attname) == getattr(stored, field.attname), field.name
    assert told[1].at is not None and told[1].tallied is False  # values from the database


def test_stored_twice(alice: User) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        prepared.insert(User(id=alice.pk, display_name="Another"))


def test_some_fields_are_stored(alice: User) -> None:
    alice.display_name, alice.time_zone = "Alice B.", "Europe/Vienna"
    prepared.update_fields(alice, ["display_name"])
    alice.refresh_from_db()
    assert (alice.display_name, alice.time_zone) == ("Alice B.", "UTC")


def test_how_many_rows_were_changed(alice: User) -> None:
    assert prepared.execute("UPDATE accounts_user SET notes = %s WHERE id = %s", ["x", alice.pk]) == 1
    assert prepared.execute("UPDATE accounts_user SET notes = %s WHERE email = %s", ["x", "nobody@example.org"]) == 0
