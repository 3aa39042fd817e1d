"""Storing what machines read while people review messages and purges erase them."""

import threading
import time

import pytest
from django.db import connection, transaction

from oasst.accounts.models import User
from oasst.site import purging
from tests.concurrency.together import in_other_connection
from tests.factories import DEFAULT, new_person, new_prompt
from trees import jobs
from trees.enrichment import about_texts, queue, registry
from trees.enrichment.readers import Result
from trees.models import Message, NearDuplicate, Purge, TextSketch

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
BREAD = "How do I bake a good sourdough bread in an ordinary oven at home?"
READER = registry.readers()["wording"]
Read = list[tuple[queue.Claim, Result]]


@pytest.fixture
def author() -> User:
    return new_person("Alice")


@pytest.fixture
def read(author: User) -> Read:
    """A prompt that was claimed and read, and whose result is not stored yet."""
    new_prompt(author, BREAD)
    queue.queue_unread(["wording"])
    (claim,) = queue.claim("wording", 10)
    (outcome,) = READER.read([claim.text])
    assert isinstance(outcome, Result)
    return [(claim, outcome)]


def store(read: Read) -> None:
    stored = queue.store(read)
    READER.keep([(claim.text, result) for claim, result in read if claim.row_id in stored])


def purged(author: User) -> Purge:
    purge = purging.start_purge(user=author, actor=new_person("Mo", role="moderator"), reason="Advertising.")
    return purging.continue_purge(purge_id=purge.pk, policy=DEFAULT)


def erase(purge: Purge) -> None:
    list(purging._erase(purge))


def test_a_review_does_not_wait_for_the_index(read: Read) -> None:
    def lock() -> int:
        with transaction.atomic():
            return len(Message.objects.select_for_update(of=("self",), no_key=True, nowait=True))

    with transaction.atomic():
        store(read)
        assert TextSketch.objects.exists() and in_other_connection(lock) == 1


def test_an_erasure_that_comes_first_leaves_nothing_to_store(author: User, read: Read) -> None:
    erase(purged(author))
    with transaction.atomic():
        store(read)
    assert not TextSketch.objects.exists()


def test_an_erasure_meanwhile_waits_and_deletes_what_was_stored(author: User, read: Read) -> None:
    purge = purged(author)
    errors: list[Exception | None] = []

    def act() -> None:
        try:
            erase(purge)
            errors.append(None)
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=act, daemon=True)
    with transaction.atomic():
        store(read)
        assert TextSketch.objects.exists()
        thread.start()
        _wait_for_a_blocked_connection()
    thread.join(60)
    assert errors == [None] and not TextSketch.objects.exists()
    assert not Message.objects.exclude(text="").exists()


def test_forgetting_and_comparing_do_not_wait_for_each_other_in_a_circle(author: User) -> None:
    """The job holds a sketch and is about to update its pair while the text is forgotten."""
    new_prompt(author, BREAD)
    new_prompt(author, BREAD + " Please.")
    queue.queue_unread(["wording"])
    jobs.read_texts("wording")
    jobs.find_near_duplicates()
    pair = NearDuplicate.objects.get()
    errors: list[Exception | None] = []

    def forget() -> None:
        try:
            with transaction.atomic():
                about_texts.forget([pair.first_id])
            errors.append(None)
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=forget, daemon=True)
    with transaction.atomic():
        list(TextSketch.objects.select_for_update(no_key=True).filter(message=pair.first_id))
        thread.start()
        _wait_for_a_blocked_connection()
        NearDuplicate.objects.filter(pk=pair.pk).update(wording=0.9)  # as the job stores it
    thread.join(60)
    assert errors == [None] and not NearDuplicate.objects.exists()


def _wait_for_a_blocked_connection() -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                "AND cardinality(pg_blocking_pids(pid)) > 0"
            )
            if cursor.fetchone()[0]:
                return
        time.sleep(0.02)
    raise AssertionError("no connection waited for this one")
