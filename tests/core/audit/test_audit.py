"""The audit log: what an entry keeps, that nobody changes one, and that whoever does so anyway is found."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from threading import Event, Thread

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.transaction import TransactionManagementError
from django.utils import timezone

from oasst.accounts.models import User
from oasst.core.audit import acts, chain, erasing
from oasst.core.audit.chain import Head
from oasst.core.audit.recording import record
from oasst.core.http.origin import request_address
from oasst.core.models import AuditEntry, AuditLink, AuditText
from oasst.site import schedules
from tests.factories import new_people, new_person

WAVED = acts.register("test.wave", "waved at somebody")


def wave(actor: User, person: User, reason: str = "They are nice.") -> AuditEntry:
    with transaction.atomic():
        return record(WAVED, person, actor=actor, person_id=person.pk, reason=reason, after={"waves": 1})


@contextmanager
def without_triggers() -> Iterator[None]:
    """As somebody who owns the tables, and means it."""
    tables = [model._meta.db_table for model in (AuditEntry, AuditText, AuditLink)]
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        yield
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


def remove(entry: AuditEntry) -> None:
    AuditLink.objects.filter(entry=entry).delete()
    AuditText.objects.filter(entry=entry).delete()
    AuditEntry.objects.filter(pk=entry.pk).delete()


class TestEntry:
    def test_it_keeps_who_did_what_to_what_and_why(self, mo: User, alice: User) -> None:
        entry = wave(mo, alice)
        entry.refresh_from_db()
        assert (entry.act, entry.actor, entry.person) == ("test.wave", mo, alice)
        assert (entry.target_type, entry.target_id) == ("accounts.user", str(alice.pk))
        assert (entry.text.reason, entry.text.before, entry.text.after) == ("They are nice.", "", '{"waves": 1}')
        assert abs((timezone.now() - entry.at).total_seconds()) < 60

    def test_addresses_are_told_apart_and_not_kept(self, mo: User, alice: User) -> None:
        digests = []
        for address in ("192.0.2.7", "192.0.2.7", "192.0.2.8", ""):
            token = request_address.set(address)
            digests.append(wave(mo, alice).address_digest)
            request_address.reset(token)
        assert digests[0] == digests[1] != digests[2] and "192" not in digests[0] and digests[3] == ""

    @pytest.mark.django_db(transaction=True)
    def test_it_needs_the_transaction_of_the_act(self, mo: User, alice: User) -> None:
        with pytest.raises(TransactionManagementError):
            record(WAVED, alice, actor=mo)
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            record(WAVED, alice, actor=mo)
            raise ZeroDivisionError
        assert not AuditEntry.objects.exists()

    def test_odd_words_are_stored(self, mo: User, alice: User) -> None:
        with transaction.atomic():
            entry = record(WAVED, alice, actor=mo, reason="a\0b 🙂", before={"text": "a\0b", "at": timezone.now()})
        chain.link_new()
        assert entry.text.reason == "ab 🙂" and list(chain.verify()) == []

    def test_names_of_acts(self) -> None:
        for name in ("wave", "test.Wave", "test.wave", "test." + "w" * 64):
            with pytest.raises(ValueError, match=r"name"):
                acts.register(name, "waved")
        assert acts.label_of("test.wave") == "waved at somebody" and acts.label_of("old.one") == "old.one"
        assert WAVED in acts.all_acts()


class TestAppendOnly:
    @pytest.mark.parametrize("model", [AuditEntry, AuditText, AuditLink])
    def test_rows_are_not_changed_and_not_deleted(self, mo: User, alice: User, model: type) -> None:
        wave(mo, alice)
        chain.link_new()
        table = model._meta.db_table  # type: ignore[attr-defined]
        column = {AuditEntry: "act", AuditText: "reason", AuditLink: "hash"}[model]
        for statement in (f"UPDATE {table} SET {column} = 'other'", f"DELETE FROM {table}"):
            with pytest.raises(IntegrityError, match="only grows"), transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(statement)
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET LOCAL oasst.may_truncate = 'off'")
            with pytest.raises(DatabaseError, match="only grows"), transaction.atomic():
                cursor.execute(f"TRUNCATE {table} CASCADE")
        assert model.objects.count() == 1  # type: ignore[attr-defined]

    def test_words_are_erased_only_whole(self, mo: User, alice: User) -> None:
        wave(mo, alice)
        for change in ({"reason": ""}, {"erased_at": timezone.now()}, {"reason": "x", "erased_at": timezone.now()}):
            with pytest.raises(IntegrityError), transaction.atomic():
                AuditText.objects.update(**change)


class TestErasing:
    def test_words_about_a_person_go_and_the_chain_holds(self, mo: User, alice: User, bob: User) -> None:
        entries = [wave(mo, alice), wave(mo, bob)]
        chain.link_new()
        with transaction.atomic():
            assert erasing.erase_words_about(alice, actor=mo) == 1
            assert erasing.erase_words_about(alice, actor=mo) == 0, "the record of the first time stays"
        chain.link_new()
        for entry in entries:
            entry.text.refresh_from_db()
        assert (entries[0].text.reason, entries[0].text.salt, entries[1].text.reason) == ("", "", "They are nice.")
        assert list(chain.verify()) == []
        later = wave(mo, alice)
        chain.link_new()
        AuditText.objects.filter(entry=later).update(salt="", reason="", before="", after="", erased_at=timezone.now())
        assert [fault.entry_id for fault in chain.verify()] == [later.pk], "that record is older"

    def test_without_a_record_of_it_it_shows(self, mo: User, alice: User) -> None:
        wave(mo, alice)
        chain.link_new()
        AuditText.objects.update(salt="", reason="", before="", after="", erased_at=timezone.now())
        assert [fault.what for fault in chain.verify()] == ["the words were erased, and no act says so"]


CHANGES: dict[str, tuple[Callable[[list[AuditEntry]], object], list[int | None]]] = {
    "another actor": (
        lambda entries: AuditEntry.objects.filter(pk=entries[2].pk).update(actor=new_person("Mallory")),
        [3],
    ),
    "another time": (
        lambda entries: AuditEntry.objects.filter(pk=entries[2].pk).update(at=timezone.now()),
        [3],
    ),
    "other words": (lambda entries: AuditText.objects.filter(pk=entries[2].pk).update(reason="No."), [None]),
    "no words": (lambda entries: AuditText.objects.filter(pk=entries[2].pk).delete(), [None]),
    "an entry is gone": (lambda entries: remove(entries[2]), [3, 4]),
    "a link is gone": (lambda entries: AuditLink.objects.filter(position=3).delete(), [3, 4]),
    "another hash": (lambda entries: AuditLink.objects.filter(position=3).update(hash="0" * 64), [3, 4]),
}


class TestChain:
    @pytest.mark.parametrize("change", CHANGES)
    def test_whoever_changes_a_row_behind_the_triggers_is_found(self, mo: User, change: str) -> None:
        entries = [wave(mo, person) for person in new_people(5)]
        chain.link_new()
        assert list(chain.verify()) == []
        act, positions = CHANGES[change]
        with without_triggers():
            act(entries)
        faults = list(chain.verify())
        assert [fault.position for fault in faults if fault.position] == [one for one in positions if one]
        assert len(faults) >= len(positions)

    def test_a_replaced_end_is_found_by_a_head_that_was_kept(self, mo: User) -> None:
        for person in new_people(3):
            wave(mo, person)
        chain.link_new()
        kept = chain.head()
        assert list(chain.verify(kept)) == []
        with without_triggers():
            AuditLink.objects.filter(position__gt=1).delete()
            remove(AuditEntry.objects.order_by("-pk")[0])
        chain.link_new()
        assert list(chain.verify()) == [], "the chain alone does not show it"
        assert [fault.what for fault in chain.verify(kept)] == ["the chain ends before it"]

    def test_an_entry_that_the_job_forgot(self, mo: User, alice: User) -> None:
        wave(mo, alice)
        assert list(chain.verify()) == []
        with without_triggers():
            AuditEntry.objects.update(at=timezone.now() - 2 * chain.LATE)
        assert [fault.what for fault in chain.verify()] == ["the job that links entries has not come to it"]
        schedules.verify_audit_log()  # comes to it
        assert chain.head().position == 1

    def test_the_nightly_job_fails_when_something_is_wrong(self, mo: User, alice: User) -> None:
        wave(mo, alice)
        assert schedules.link_audit_entries() == 1 and schedules.link_audit_entries() == 0
        with without_triggers():
            AuditText.objects.update(reason="No.")
        with pytest.raises(AssertionError, match="audit_verify"):
            schedules.verify_audit_log()

    def test_it_costs_the_same_however_long_the_chain_is(
        self, mo: User, alice: User, django_assert_max_num_queries: Callable
    ) -> None:
        for _ in range(30):
            wave(mo, alice)
        chain.link_new()
        wave(mo, alice)
        with django_assert_max_num_queries(9):
            assert chain.link_new() == 1


@pytest.mark.django_db(transaction=True)
def test_an_entry_that_commits_late_gets_its_link() -> None:
    """Its id is lower than that of an entry that has a link already."""
    mo, alice = new_person("Mo", role="moderator"), new_person("Alice")
    written, go_on = Event(), Event()

    def slow() -> None:
        with transaction.atomic():
            record(WAVED, alice, actor=mo, reason="Slowly.")
            written.set()
            go_on.wait(60)
        connection.close()

    thread = Thread(target=slow)
    thread.start()
    assert written.wait(60)
    quick = wave(mo, alice)
    assert chain.link_new() == 1
    go_on.set()
    thread.join()
    assert chain.link_new() == 1
    late = AuditEntry.objects.get(text__reason="Slowly.")
    assert late.pk < quick.pk and late.link.position == 2 and list(chain.verify()) == []


@pytest.mark.django_db(transaction=True)
def test_rival_jobs_make_one_chain() -> None:
    mo = new_person("Mo", role="moderator")
    for person in new_people(40):
        wave(mo, person)

    def link() -> None:
        chain.link_new()
        connection.close()

    threads = [Thread(target=link) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert chain.head().position == 40 and list(chain.verify()) == []


class TestCommand:
    def test_it_says_that_all_is_well_and_the_head(self, mo: User, alice: User) -> None:
        wave(mo, alice)
        chain.link_new()
        out = StringIO()
        call_command("audit_verify", stdout=out)
        head = out.getvalue().split()[-1]
        assert Head.parse(head) == chain.head()
        call_command("audit_verify", head=head, stdout=out)
        with pytest.raises(CommandError, match="1 fault in"):
            call_command("audit_verify", head=f"2:{head[2:]}", stdout=out)
        assert "link 2: the chain ends before it" in out.getvalue()

    def test_a_head_that_is_none(self, db: None) -> None:
        for text in ("x", "1:abc", ":" + "0" * 64):
            with pytest.raises(CommandError, match="64 hexadecimal digits"):
                call_command("audit_verify", head=text)
