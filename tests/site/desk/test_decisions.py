"""Decisions of the desk: each closes its item, once, with its reason, and can be undone in its session."""

from datetime import timedelta
from threading import Barrier, Thread
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from leaderboard.models import TrollStanding
from leaderboard.time_frames import Frame
from oasst.accounts import appeals
from oasst.accounts.models import AccountWarning, User
from oasst.core.errors import Busy, Conflict, DomainError, Invalid, NotAllowed
from oasst.core.models import AuditEntry
from oasst.site.desk import claims, decisions, queue, reasons, undoing
from oasst.site.desk.subjects import Subject, SubjectKind
from oasst.site.desk.table import ABOUT_AUTHOR, TABLE
from oasst.site.models import DeskClaim, DeskDecision, Escalation
from tests.factories import growing_tree, new_people, new_person, new_prompt
from trees.contributing import reactions
from trees.lifecycle.states import State
from trees.models import Message, MessageReading, MessageTree, ReadingKind, Report
from trees.moderation import appealing, bans, moderator_actions
from trees.policies.reading import current_policy

pytestmark = pytest.mark.django_db
SESSION = "of a session"
WHY = "Advertising for flour."


def reported(author: User | None = None, *, by: int = 1) -> Message:
    message = new_prompt(author or new_person("Author"))
    for person in new_people(by):
        reactions.report(message_id=message.pk, reporter=person, category="spam")
    return message


def about(message: Message) -> Subject:
    return Subject("message", str(message.pk))


def decide(mo: User, subject: Subject, act: str, reason: str = WHY, **more: Any) -> DeskDecision:
    return decisions.decide(moderator=mo, session=SESSION, subject=subject, act=act, reason=reason, **more)


def undo(mo: User, decision: DeskDecision) -> None:
    decision.refresh_from_db()
    undoing.undo_decision(decision, actor=mo, reason="A slip.")


def _times_out(**about: Any) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 1")
        cursor.execute("SELECT pg_sleep(10)")


class TestMessages:
    @pytest.mark.parametrize(
        ("act", "status", "deleted", "hidden"),
        [("keep", "dismissed", False, False), ("hide", "", False, True), ("delete", "upheld", True, False)],
    )
    def test_one_decision_answers_all_reports_and_undo_asks_again(
        self, mo: User, act: str, status: str, deleted: bool, hidden: bool
    ) -> None:
        message = reported(by=3)
        assert queue.take_next(mo) is not None
        decision = decide(mo, about(message), act)
        message.refresh_from_db()
        assert (message.deleted, message.hidden) == (deleted, hidden)
        assert not Report.objects.filter(status=Report.Status.OPEN).exists()
        assert not status or set(message.reports.values_list("status", flat=True)) == {status}
        assert queue.take_next(mo) is None and not DeskClaim.objects.exists()
        assert decision.entries and decision.reason == WHY and decision.undone_at is None
        undo(mo, decision)
        message.refresh_from_db()
        assert not message.is_withheld
        item = queue.take_next(mo)
        assert item is not None and item.voices == 3

    def test_edit(self, mo: User) -> None:
        message = reported()
        with pytest.raises(Invalid):
            decide(mo, about(message), "edit", text="")
        decide(mo, about(message), "edit", text="A better text.")
        message.refresh_from_db()
        assert message.text == "A better text." and message.edited
        assert queue.take_next(mo) is None

    def test_stop(self, mo: User) -> None:
        message = reported()
        decide(mo, about(message), "stop")
        assert MessageTree.objects.get(pk=message.tree_id).state == State.HALTED_BY_MODERATOR
        assert message.reports.get().status == Report.Status.UPHELD and queue.take_next(mo) is None

    def test_move(self, mo: User) -> None:
        message = reported()
        with pytest.raises(Invalid, match="language"):
            decide(mo, about(message), "move", lang="klingon")
        decide(mo, about(message), "move", lang="de")
        message.refresh_from_db()
        assert message.lang == "de" and queue.take_next(mo) is None

    def test_personal_data_are_masked(self, mo: User) -> None:
        message = new_prompt(new_person("Author"), "Write to me: someone@example.org, please.")
        MessageReading.objects.create(
            revision_id=message.revision_id,
            kind=ReadingKind.PERSONAL_DATA,
            flagged=True,
            read_at=timezone.now(),
            result={"spans": [[13, 32, "email"]]},
        )
        decide(mo, about(message), "mask", "Personal data.")
        message.refresh_from_db()
        assert "example.org" not in message.text

    def test_a_report_about_a_deleted_message_was_right(self, mo: User) -> None:
        message = reported()
        Message.objects.filter(pk=message.pk).update(deleted=True)
        decide(mo, about(message), "delete")
        assert message.reports.get().status == Report.Status.UPHELD

    def test_its_author_is_warned_with_it(self, mo: User) -> None:
        message = reported(author := new_person("Rude"))
        decision = decide(mo, about(message), "delete", also="warn")
        warning = AccountWarning.objects.get(user=author)
        assert (warning.reason, warning.subject_id, decision.act) == (WHY, message.pk, "delete+warn")

    def test_its_author_is_suspended_with_it_for_some_days(self, mo: User) -> None:
        message = reported(author := new_person("Rude"))
        with pytest.raises(Invalid, match="how long"):
            decide(mo, about(message), "delete", also="suspend", days="2")
        assert not Message.objects.get(pk=message.pk).deleted, "nothing is done by halves"
        decide(mo, about(message), "delete", also="suspend", days="3")
        author.refresh_from_db()
        assert not author.enabled and Message.objects.get(pk=message.pk).deleted

    def test_nobody_decides_about_an_equal(self, mo: User) -> None:
        message = reported(new_person("Max", "moderator"))
        with pytest.raises(NotAllowed):
            decide(mo, about(message), "delete", also="ban")
        assert not Message.objects.get(pk=message.pk).deleted and not DeskDecision.objects.exists()

    def test_ones_own_message_comes_to_somebody_else(self, mo: User) -> None:
        reported(mo)
        assert queue.take_next(mo) is None and queue.take_next(new_person("Max", "moderator")) is not None


class TestOthers:
    def test_a_conversation_goes_on_or_is_left(self, alice: User, mo: User) -> None:
        prompt = growing_tree(alice)
        moderator_actions.halt(tree_id=prompt.pk, actor=mo, reason="Odd.", policy=current_policy())
        decision = decide(mo, Subject("tree", str(prompt.pk)), "go_on", "It may go on.")
        assert MessageTree.objects.get(pk=prompt.pk).state == State.GROWING
        undo(mo, decision)
        assert MessageTree.objects.get(pk=prompt.pk).state == State.HALTED_BY_MODERATOR
        decide(mo, Subject("tree", str(prompt.pk)), "keep", "Leave it.")
        assert MessageTree.objects.get(pk=prompt.pk).state == State.HALTED_BY_MODERATOR

    @pytest.mark.parametrize(("act", "enabled"), [("grant", True), ("refuse", False)])
    def test_an_appeal(self, alice: User, mo: User, act: str, enabled: bool) -> None:
        bans.ban(alice, actor=new_person("Max", "moderator"), reason="Rude.")
        alice.refresh_from_db()
        appeals.appeal(alice, "I did not know that.")
        decide(mo, Subject("person", str(alice.pk)), act, "We looked at it again.")
        alice.refresh_from_db()
        assert alice.enabled is enabled and queue.take_next(mo) is None
        with pytest.raises(Conflict):
            decide(mo, Subject("person", str(alice.pk)), "refuse")

    def test_an_appeal_against_a_decision(self, alice: User, mo: User) -> None:
        message, policy = new_prompt(alice), current_policy()
        max_ = new_person("Max", "moderator")
        moderator_actions.delete_message(message_id=message.pk, actor=max_, reason="Junk.", policy=policy)
        entry = AuditEntry.objects.get(act="message.delete")
        appealing.appeal(alice, entry.pk, "It is no junk.")
        item = queue.take_next(mo)
        assert item is not None and item.subject == about(message)
        decide(mo, about(message), "grant", "You are right.")
        assert not Message.objects.get(pk=message.pk).deleted and queue.take_next(mo) is None

    def test_a_person_with_many_complaints_waits_no_more(self, alice: User, mo: User) -> None:
        TrollStanding.objects.create(frame=Frame.WEEK.value, person=alice, red_flags=4)
        assert queue.take_next(mo) is not None
        decide(mo, Subject("person", str(alice.pk)), "keep", "Nothing was wrong.")
        assert queue.take_next(mo) is None

    def test_passing_on_and_what_an_administrator_decides(self, mo: User) -> None:
        message, ada = reported(), new_person("Ada", "admin")
        decide(mo, about(message), "pass_on", "What do you think?")
        assert queue.take_next(mo) is None, "it is with the administrators now"
        item = queue.take_next(ada)
        assert item is not None and item.severity == 0
        decide(ada, about(message), "keep", "Fine.")
        assert Escalation.objects.get().closed_at is not None and queue.take_next(ada) is None


class TestRefusals:
    def test_only_moderators(self, alice: User) -> None:
        with pytest.raises(NotAllowed):
            decide(alice, about(reported()), "keep")

    def test_a_reason_that_fits(self, mo: User) -> None:
        message = reported()
        fine = reasons.text_of("message", 1)
        for act, reason in (("delete", fine), ("keep", reasons.text_of("message", 4)), ("delete", "  ")):
            with pytest.raises(Invalid):
                decide(mo, about(message), act, reason)
        with pytest.raises(Invalid):
            decide(mo, about(message), "explode")
        assert not DeskDecision.objects.exists()
        decide(mo, about(message), "keep", fine)

    def test_what_the_service_refuses_is_not_decided(self, mo: User) -> None:
        message = reported()
        with pytest.raises(DomainError):
            decide(mo, about(message), "edit", text=message.text)
        assert not DeskDecision.objects.exists()

    def test_a_refusal_leaves_the_claims_as_they_were(self, mo: User) -> None:
        held, named = reported(), reported()
        assert (item := queue.take_next(mo)) and item.subject == about(held)
        for message in (held, named):  # the second is named by a form that the desk did not make
            with pytest.raises(Invalid):
                decide(mo, about(message), "edit", text=message.text)
        claim = DeskClaim.objects.get()
        assert (claim.moderator, claim.subject_id) == (mo, str(held.pk))
        other = queue.take_next(new_person("Max", "moderator"))
        assert other and other.subject == about(named), "at once, and not after the lease"

    def test_an_item_whose_lease_ran_out_is_still_theirs_after_a_refusal(self, mo: User) -> None:
        message = reported()
        assert queue.take_next(mo)
        DeskClaim.objects.update(until=timezone.now() - timedelta(hours=1))
        with pytest.raises(Invalid):
            decide(mo, about(message), "edit", text=message.text)
        assert queue.read_board(mo).mine and queue.take_next(new_person("Max", "moderator")) is None

    def test_a_lock_that_was_not_free_leaves_nothing_behind(self, mo: User, monkeypatch: pytest.MonkeyPatch) -> None:
        message = reported()
        monkeypatch.setattr(moderator_actions, "keep", _times_out)
        with pytest.raises(Busy):
            decide(mo, about(message), "keep")
        assert not DeskClaim.objects.exists() and not DeskDecision.objects.exists()

    def test_somebody_else_holds_it(self, mo: User) -> None:
        message, max_ = reported(), new_person("Max", "moderator")
        claims.renew(max_, about(message))
        with pytest.raises(Conflict, match="Somebody else") as refused:
            decide(mo, about(message), "keep")
        assert refused.value.code == "held"

    def test_somebody_decided_since_it_was_shown(self, mo: User) -> None:
        message, max_ = reported(), new_person("Max", "moderator")
        seen = decisions.latest_about(about(message))
        decide(max_, about(message), "keep", seen=seen)
        with pytest.raises(Conflict) as refused:
            decide(mo, about(message), "delete", seen=seen)
        assert refused.value.code == "decided" and not Message.objects.get(pk=message.pk).deleted


@pytest.mark.django_db(transaction=True)
def test_a_form_that_is_sent_twice_decides_once() -> None:
    mo, message = new_person("Mo", "moderator"), reported()
    starts, outcomes = Barrier(4), []

    def send() -> None:
        starts.wait()
        try:
            decide(mo, about(message), "keep", seen=0)
            outcomes.append("")
        except DomainError as error:
            outcomes.append(error.code)
        connection.close()

    threads = [Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["", *["decided"] * 3] and DeskDecision.objects.count() == 1


def test_the_tables_fit_together() -> None:
    for kind in SubjectKind:
        keys = [act.key for act in TABLE[kind]]
        assert len(keys) == len(set(keys)) and not set(keys) & set("u0x123456789")
        assert len(reasons.REASONS[kind]) <= 9
        assert len({str(one.text) for one in reasons.REASONS[kind]}) == len(reasons.REASONS[kind])
    about_author = {act.key for act in ABOUT_AUTHOR.values()} | {"p", "m"}  # these two lead to pages
    assert not about_author & {act.key for act in TABLE[SubjectKind.MESSAGE]}
    assert not {"p", "m"} & {act.key for act in TABLE[SubjectKind.PERSON]}
