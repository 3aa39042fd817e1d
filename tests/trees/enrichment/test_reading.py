"""Machines read every message once, and never stand in its way."""

from collections.abc import Sequence
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from inference.scoring.base import NotScorable, Unavailable
from oasst.accounts.models import User
from tests.factories import DEFAULT, new_prompt
from tests.trees.enrichment.fake_readers import FakeReader, raise_for
from trees import jobs
from trees.contributing import corrections
from trees.enrichment import queue, reading, registry
from trees.enrichment.readers import Result, Text
from trees.interchange.importer import import_files
from trees.lifecycle.locked_tree import lock_tree
from trees.models import Message, MessageReading, Revision
from trees.moderation import moderator_actions

FIFTY_TREES = Path("tests/data/trees_en_50.jsonl")
pytestmark = pytest.mark.django_db


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> FakeReader:
    reader = FakeReader()
    monkeypatch.setattr(registry, "READERS", (reader,))
    return reader


def read_all() -> None:
    """Do what the jobs do, until nothing waits."""
    jobs.queue_unread_texts()
    for kind in registry.readers():
        jobs.read_texts(kind)


def make_due() -> None:
    MessageReading.objects.filter(due_at__isnull=False).update(due_at=timezone.now())


def results() -> dict[str, Any]:
    """Return the result of each present text that has a row."""
    rows = MessageReading.objects.order_by("pk").values_list("revision__text", "result")
    return dict(rows)


class TestReading:
    def test_a_text_is_read_with_model_and_version(self, reader: FakeReader, alice: User) -> None:
        prompt = new_prompt(alice, "Why is the sky blue?")
        read_all()
        row = MessageReading.objects.get()
        assert (row.revision_id, row.kind, row.result) == (prompt.revision_id, "letters", {"letters": 20})
        assert (row.model, row.version, row.due_at, row.attempts) == ("counter", "1", None, 0)
        assert row.read_at is not None
        assert [text.message_id for text in reader.kept] == [prompt.pk]

    def test_a_second_run_reads_nothing(self, reader: FakeReader, alice: User) -> None:
        new_prompt(alice)
        read_all()
        read_all()
        assert len(reader.calls) == 1

    def test_imported_texts_are_read(self, reader: FakeReader, db: None) -> None:
        imported = import_files([FIFTY_TREES], policy=DEFAULT)
        read_all()
        present = Message.objects.filter(deleted=False).exclude(text="")
        assert MessageReading.objects.filter(result__isnull=False).count() == present.count()
        assert present.count() == imported.messages
        assert not Revision.objects.filter(unread=True).exists()

    def test_storing_a_message_costs_no_statement(self, alice: User, settings: Settings) -> None:
        counts = []
        for is_on in (True, False):
            settings.OASST_SCORING = is_on
            with CaptureQueriesContext(
                connection,
            ) as queries:
                new_prompt(alice)
            counts.append(len(queries))
        assert counts[0] == counts[1]

    def test_a_commit_wakes_the_readers(
        self,
        alice: User,
        settings: Settings,
        monkeypatch: pytest.MonkeyPatch,
        django_capture_on_commit_callbacks: Any,
    ) -> None:
        woken: list[str] = []
        monkeypatch.setattr(current_app, "send_task", lambda name, *args, **options: woken.append(name))
        with django_capture_on_commit_callbacks(execute=True):
            new_prompt(alice)
        assert settings.TEXT_READER in woken
        assert settings.TEXT_READER in current_app.tasks

    def test_many_texts_are_read_in_batches(self, reader: FakeReader, alice: User) -> None:
        reader.batch_size = 4
        for _ in range(9):
            new_prompt(alice)
        read_all()
        assert [len(call) for call in reader.calls] == [4, 4, 1]


class TestTroubles:
    def test_a_poisonous_text_stops_no_other(self, reader: FakeReader, alice: User) -> None:
        reader.trouble = raise_for("poison", ValueError("indigestible"))
        for text in ("One good text.", "This is poison.", "Another good text."):
            new_prompt(alice, text)
        read_all()
        assert results() == {
            "One good text.": {"letters": 14},
            "This is poison.": None,
            "Another good text.": {"letters": 18},
        }
        row = MessageReading.objects.get(result__isnull=True)
        assert row.error == "ValueError: indigestible" and row.attempts == 1
        assert row.due_at is not None and row.due_at > timezone.now()

    def test_it_is_tried_again_with_growing_pauses_and_then_given_up(self, reader: FakeReader, alice: User) -> None:
        reader.trouble = raise_for("poison", ValueError("indigestible"))
        new_prompt(alice, "This is poison.")
        jobs.queue_unread_texts()
        pauses = []
        while MessageReading.objects.filter(due_at__isnull=False).exists():
            make_due()
            jobs.read_texts("letters")
            row = MessageReading.objects.get()
            pauses.append((row.due_at - timezone.now()).total_seconds() if row.due_at else None)
        assert len(pauses) == queue.MAX_ATTEMPTS and pauses[-1] is None
        assert 20 < pauses[0] < 40 and 1_400 < pauses[6] < 2_500  # type: ignore[operator]
        assert (row.result, row.error) == (None, "ValueError: indigestible")

    def test_a_text_that_kills_its_workers_is_given_up(self, reader: FakeReader, alice: User) -> None:
        new_prompt(alice, "This kills.")
        new_prompt(alice, "This does not.")
        jobs.queue_unread_texts()
        for attempt in range(queue.MAX_ATTEMPTS):  # each claims the text and dies
            claimed = queue.claim("letters", 64)
            assert len(claimed) == (2 if attempt == 0 else 1), "after a death texts are read alone"
            MessageReading.objects.filter(pk=claimed[0].row_id).update(due_at=timezone.now() - timedelta(hours=1))
        make_due()
        jobs.read_texts("letters")
        assert results() == {"This kills.": None, "This does not.": {"letters": 14}}
        row = MessageReading.objects.get(result__isnull=True)
        assert row.due_at is None and "8 attempts" in row.error

    def test_an_unavailable_reader_counts_no_attempt_and_loses_nothing(self, reader: FakeReader, alice: User) -> None:
        reader.trouble = raise_for("", Unavailable("the server is down", retry_after=120))
        new_prompt(alice, "Patience is a virtue.")
        read_all()
        row = MessageReading.objects.get()
        assert (row.result, row.attempts, row.error) == (None, 0, "")
        assert row.due_at is not None and timedelta(seconds=110) < row.due_at - timezone.now() < timedelta(seconds=160)
        reader.trouble = raise_for("", Unavailable("still down"))
        make_due()
        jobs.read_texts("letters")
        assert results() == {"Patience is a virtue.": None}
        reader.trouble = lambda texts: None
        make_due()
        jobs.read_texts("letters")
        assert results() == {"Patience is a virtue.": {"letters": 21}}

    def test_what_cannot_be_scored_is_not_tried_again(
        self, reader: FakeReader, alice: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(reader, "read", lambda texts: [NotScorable("no model knows this language")])
        new_prompt(alice)
        read_all()
        row = MessageReading.objects.get()
        assert (row.result, row.due_at, row.error) == (None, None, "NotScorable: no model knows this language")

    def test_too_few_outcomes_are_an_error_of_the_reader(
        self, reader: FakeReader, alice: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(reader, "read", lambda texts: [])
        new_prompt(alice)
        read_all()
        assert MessageReading.objects.get().error == "ValueError: 0 outcomes for 1 texts"

    def test_a_result_that_cannot_be_stored_stops_no_other(self, reader: FakeReader, alice: User) -> None:
        new_prompt(alice, "A good text.")
        new_prompt(alice, "A bad text.")
        keep = reader.keep

        def refuse(read: Sequence[tuple[Text, Result]]) -> None:
            if any("bad" in text.text for text, _ in read):
                raise ValueError("not a number")
            keep(read)

        reader.keep = refuse  # type: ignore[method-assign]
        read_all()
        assert results() == {"A good text.": {"letters": 12}, "A bad text.": None}
        assert [text.text for text in reader.kept] == ["A good text."]

    def test_one_worker_at_a_time_reads_a_kind(self, reader: FakeReader, alice: User) -> None:
        """A slow reader occupies one thread, not all of them."""
        inner: list[str] = []
        reader.trouble = lambda texts: inner.append(reading.run(reader).summary())
        reader.batch_size = 1
        new_prompt(alice)
        new_prompt(alice)
        read_all()
        assert inner == ["0 read", "0 read"]
        assert MessageReading.objects.filter(result__isnull=False).count() == 2

    def test_a_worker_that_was_too_slow_stores_nothing_over_its_successor(
        self, reader: FakeReader, alice: User
    ) -> None:
        new_prompt(alice)
        jobs.queue_unread_texts()
        (slow,) = queue.claim("letters", 64)
        make_due()  # its lease ends
        jobs.read_texts("letters")
        assert queue.store([(slow, Result({"letters": -1}, "slow", "0"))]) == set()
        queue.retry_later(slow, ValueError("late"))
        assert MessageReading.objects.get().model == "counter"
        assert MessageReading.objects.get().error == ""


class TestTexts:
    def test_an_older_text_is_not_read_and_its_result_is_not_the_present_one(
        self, reader: FakeReader, alice: User, mo: User
    ) -> None:
        prompt = new_prompt(alice, "The first text.")
        read_all()
        edit(prompt, mo, "The second text, longer.")
        edit(prompt, mo, "The third text.")
        read_all()
        assert results() == {"The first text.": {"letters": 15}, "The third text.": {"letters": 15}}
        prompt.refresh_from_db()
        assert MessageReading.objects.filter(revision=prompt.revision_id).count() == 1

    def test_an_edit_while_its_text_is_read_leaves_the_result_to_the_old_text(
        self, reader: FakeReader, alice: User, mo: User
    ) -> None:
        prompt = new_prompt(alice, "The first text.")
        reader.trouble = lambda texts: edit(prompt, mo, "The second text, longer.") if len(reader.calls) == 1 else None
        read_all()
        prompt.refresh_from_db()
        assert not MessageReading.objects.filter(revision=prompt.revision_id).exists()
        read_all()
        assert MessageReading.objects.get(revision=prompt.revision_id).result == {"letters": 24}

    def test_a_deleted_text_is_not_read_until_it_is_restored(self, reader: FakeReader, alice: User, mo: User) -> None:
        prompt = new_prompt(alice)
        about: dict[str, Any] = {"actor": mo, "reason": "a test of deleting", "policy": DEFAULT}
        deletion = moderator_actions.delete_message(message_id=prompt.pk, **about)
        read_all()
        assert not reader.calls and not MessageReading.objects.exists()
        moderator_actions.undelete(deletion_id=deletion.pk, **about)
        read_all()
        assert MessageReading.objects.filter(result__isnull=False).count() == 1


class TestOff:
    def test_nothing_is_read_and_nothing_breaks(self, reader: FakeReader, alice: User, settings: Settings) -> None:
        settings.OASST_SCORING = False
        new_prompt(alice)
        read_all()
        assert jobs.read_texts("letters") == "off"
        assert not MessageReading.objects.exists()
        with pytest.raises(CommandError, match="OASST_SCORING is off"):
            call_command("read_messages")

    def test_once_it_is_on_again_what_was_written_meanwhile_is_read(
        self, reader: FakeReader, alice: User, settings: Settings
    ) -> None:
        settings.OASST_SCORING = False
        new_prompt(alice)
        settings.OASST_SCORING = True
        read_all()
        assert MessageReading.objects.get().result is not None


class TestCommand:
    def test_it_reads_messages_from_before(self, reader: FakeReader, alice: User) -> None:
        self._old(alice, 3)
        assert run() == "3 messages: 3 readings asked for, 3 made.\n"
        assert run() == "3 messages: 0 readings asked for, 0 made.\n"
        assert len(reader.calls) == 1

    def test_again_reads_what_was_read_and_keeps_the_old_result_until_then(
        self, reader: FakeReader, alice: User
    ) -> None:
        self._old(alice, 2)
        run()
        reader.version = "2"
        reader.trouble = raise_for("", Unavailable("loading", retry_after=1))
        said = StringIO()
        call_command("read_messages", again=True, stdout=StringIO(), stderr=said)
        assert "letters: unavailable now (loading)" in said.getvalue()
        assert set(MessageReading.objects.values_list("version", flat=True)) == {"1"}
        reader.trouble = lambda texts: None
        make_due()
        run(again=True)
        assert set(MessageReading.objects.values_list("version", flat=True)) == {"2"}

    def test_it_goes_on_where_it_was_stopped(
        self, reader: FakeReader, alice: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(queue, "BATCH", 2)
        self._old(alice, 5)

        def stop(texts: Sequence[Text]) -> None:
            if len(reader.calls) == 2:
                raise KeyboardInterrupt

        reader.trouble = stop
        with pytest.raises(CommandError, match=r"Stopped\. 2 messages"):
            run()
        make_due()  # the lease of the stopped command
        assert run() == "5 messages: 1 readings asked for, 3 made.\n"
        assert MessageReading.objects.filter(result__isnull=False).count() == 5

    def test_only_one_language_or_kind(self, reader: FakeReader, alice: User) -> None:
        new_prompt(alice)
        german = new_prompt(alice, lang="de")
        Revision.objects.update(unread=False)
        assert run(lang="de", kind=["letters"]).startswith("1 messages: 1 readings")
        assert MessageReading.objects.get().revision_id == german.revision_id
        with pytest.raises(CommandError, match=r"Nothing reads .toxicty. on this site\. Enabled: letters"):
            run(kind=["toxicty"])

    def test_what_was_given_up_is_tried_again(self, reader: FakeReader, alice: User) -> None:
        self._old(alice, 1)
        MessageReading.objects.create(
            revision_id=Message.objects.get().revision_id, kind="letters", due_at=None, error="given up"
        )
        assert run() == "1 messages: 1 readings asked for, 1 made.\n"

    def _old(self, alice: User, number: int) -> None:
        """Make messages of a site that had no readers."""
        for _ in range(number):
            new_prompt(alice)
        Revision.objects.update(unread=False)


def edit(prompt: Message, mo: User, text: str) -> None:
    with transaction.atomic():
        locked = lock_tree(prompt.tree_id, DEFAULT)
        corrections.replace_text(locked, locked.message(prompt.pk), text=text, actor=mo, reason="test")


def run(**options: Any) -> str:
    said = StringIO()
    call_command("read_messages", stdout=said, stderr=StringIO(), **options)
    return said.getvalue()
