"""One act on many: what was shown is done, each row once, whatever is killed; and one undo takes all of it back."""

from collections import Counter
from datetime import timedelta
from threading import Thread
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from oasst.accounts.models import AccountWarning, User
from oasst.core.errors import Conflict, DomainError, Invalid, NotAllowed
from oasst.core.models import AuditEntry, WaitingJob
from oasst.site.bulk import previews, running
from oasst.site.bulk.acts import Act, Kind, kind_of
from oasst.site.models import BulkAct, BulkRow
from tests.factories import decide, growing_tree, new_person, new_prompt, new_reply
from trees.contributing import reactions
from trees.lifecycle.policy import TreePolicy
from trees.models import Deletion, Message
from trees.moderation import moderator_actions

pytestmark = pytest.mark.django_db
POLICY = TreePolicy()
Stage, Status = BulkAct.Stage, BulkRow.Status


def draft(actor: User, messages: Any, act: Act = Act.DELETE, **more: Any) -> BulkAct:
    found = Message.objects.filter(pk__in=[message.pk for message in messages])
    return previews.draft_on_messages(actor=actor, kind=kind_of(act), messages=found, chosen_by="These", **more)


def begun(actor: User, messages: Any, act: Act = Act.DELETE) -> BulkAct:
    return running.start(bulk_id=draft(actor, messages, act).pk, actor=actor, reason="Spam.")


def statuses(bulk: BulkAct) -> Counter[str]:
    return Counter(bulk.rows.values_list("status", flat=True))


def deleted(messages: Any) -> list[bool]:
    return [Message.objects.get(pk=message.pk).deleted for message in messages]


@pytest.fixture
def prompts(alice: User) -> list[Message]:
    return [new_prompt(alice, f"A prompt with the number {number}.") for number in range(4)]


class TestPreview:
    def test_it_says_what_goes_and_what_is_left_out_and_why(self, mo: User, alice: User, bob: User) -> None:
        prompt = growing_tree(alice)
        reply = new_reply(prompt, bob)
        decide(reply)
        below = new_reply(reply, alice)
        own, gone, other = new_prompt(mo), new_prompt(alice), new_prompt(alice, lang="de")
        moderator_actions.delete_message(message_id=gone.pk, actor=mo, reason="Spam.", policy=POLICY)
        bulk = draft(mo, [reply, below, own, gone, other], langs=["en"])
        assert bulk.preview == {
            "rows": 1,
            "left_out": {"with_above": 1, "own": 1, "deleted": 1, "language": 1},
            "below": 1,
            "stopping": 0,
            "authors": [[str(bob.pk), 1]],
            "number_of_authors": 1,
        }
        assert [row.subject_id for row in bulk.rows.all()] == [reply.pk]
        of_tree = draft(mo, [prompt]).preview
        assert (of_tree["rows"], of_tree["below"], of_tree["stopping"]) == (1, 2, 1)

    def test_what_comes_later_is_not_touched(self, mo: User, alice: User, prompts: list[Message]) -> None:
        bulk = previews.draft_on_messages(
            actor=mo, kind=kind_of("delete"), messages=Message.objects.filter(author=alice), chosen_by="Alice"
        )
        later = new_prompt(alice)
        running.start(bulk_id=bulk.pk, actor=mo, reason="Spam.")
        running.continue_bulk_act(bulk_id=bulk.pk)
        assert deleted([*prompts, later]) == [True] * 4 + [False]

    def test_what_is_too_much_or_leaves_nothing_is_refused(
        self, mo: User, prompts: list[Message], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with pytest.raises(Invalid, match="Nothing of it can be done"):
            draft(mo, [new_prompt(mo)])
        monkeypatch.setattr(previews, "MAX_ROWS", 3)
        with pytest.raises(Invalid) as error:
            draft(mo, prompts)
        assert error.value.code == "too_many" and not BulkAct.objects.exists()

    def test_drafts_are_forgotten_and_what_was_begun_is_not(self, mo: User, prompts: list[Message]) -> None:
        first, second = draft(mo, prompts), begun(mo, prompts)
        BulkAct.objects.update(created_at="2020-01-01T00:00Z")
        assert previews.forget_drafts() == 1
        assert list(BulkAct.objects.all()) == [second] and not BulkRow.objects.filter(bulk=first.pk).exists()

    def test_it_costs_the_same_for_ten_times_the_rows(self, mo: User, alice: User) -> None:
        def cost(messages: list[Message]) -> int:
            with CaptureQueriesContext(connection) as captured:
                draft(mo, messages)
            return len(captured)

        few = cost([new_prompt(alice) for _ in range(2)])
        assert cost([new_prompt(alice) for _ in range(20)]) == few


class TestRun:
    def test_every_row_is_done_with_its_entry_and_the_reason(self, mo: User, prompts: list[Message]) -> None:
        bulk = begun(mo, prompts)
        assert WaitingJob.objects.filter(job__endswith="go_on_with_bulk_act").count() == 1
        done = running.continue_bulk_act(bulk_id=bulk.pk)
        assert done.stage == Stage.DONE and done.ended_at and deleted(prompts) == [True] * 4
        assert set(Deletion.objects.values_list("reason", flat=True)) == {"Spam."}
        assert AuditEntry.objects.filter(act="bulk.start", target_id=str(bulk.pk), actor=mo).count() == 1
        kept = {row.subject_id: row.entries for row in bulk.rows.all()}
        logged = AuditEntry.objects.filter(act="message.delete").values_list("target_id", "pk")
        assert {str(pk): entries for pk, entries in kept.items()} == {target: [pk] for target, pk in logged}

    def test_a_refusal_is_kept_and_does_not_stop_the_others(self, mo: User, prompts: list[Message]) -> None:
        bulk = begun(mo, prompts)
        moderator_actions.delete_message(message_id=prompts[1].pk, actor=mo, reason="Before.", policy=POLICY)
        running.continue_bulk_act(bulk_id=bulk.pk)
        assert statuses(bulk) == {Status.DONE: 3, Status.REFUSED: 1}
        assert bulk.rows.get(status=Status.REFUSED).refusal == "This message is deleted already."

    def test_killed_between_rows_it_goes_on_where_it_was(self, mo: User, prompts: list[Message]) -> None:
        bulk = begun(mo, prompts)
        assert running.continue_bulk_act(bulk_id=bulk.pk, rows=2).stage == Stage.RUNNING
        assert statuses(bulk) == {Status.DONE: 2, Status.WAITING: 2}
        assert running.continue_bulk_act(bulk_id=bulk.pk).stage == Stage.DONE
        assert Deletion.objects.count() == 4 and statuses(bulk) == {Status.DONE: 4}

    def test_killed_within_a_row_neither_the_act_nor_the_status_is_stored(
        self, mo: User, prompts: list[Message], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bulk = begun(mo, prompts)
        landing = running._landing

        def killed(row: BulkRow) -> Any:
            def land(entry: AuditEntry) -> None:
                landing(row)(entry)
                raise KeyboardInterrupt

            return land

        with monkeypatch.context() as patch:
            patch.setattr(running, "_landing", killed)
            with pytest.raises(KeyboardInterrupt):
                running.continue_bulk_act(bulk_id=bulk.pk)
        assert statuses(bulk) == {Status.WAITING: 4} and deleted(prompts) == [False] * 4
        running.continue_bulk_act(bulk_id=bulk.pk)
        assert statuses(bulk) == {Status.DONE: 4} and Deletion.objects.count() == 4

    def test_what_fails_is_tried_again_and_then_refused(
        self, mo: User, prompts: list[Message], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: Any) -> None:
            raise ZeroDivisionError

        bulk = begun(mo, prompts)
        monkeypatch.setattr(running, "kind_of", lambda name: Kind(Act.DELETE, "deleted", fail))
        assert running.continue_bulk_act(bulk_id=bulk.pk).stage == Stage.DONE
        assert set(bulk.rows.values_list("status", "tries", "refusal")) == {(Status.REFUSED, 2, running.FAILED)}

    def test_stopped_it_does_no_more_until_it_goes_on(self, mo: User, prompts: list[Message]) -> None:
        bulk = begun(mo, prompts)
        running.continue_bulk_act(bulk_id=bulk.pk, rows=1)
        running.stop(bulk_id=bulk.pk, actor=mo, reason="Wait.")
        assert running.continue_bulk_act(bulk_id=bulk.pk).stage == Stage.STOPPED
        assert sum(deleted(prompts)) == 1
        running.go_on(bulk_id=bulk.pk, actor=mo)
        assert running.continue_bulk_act(bulk_id=bulk.pk).stage == Stage.DONE
        assert sum(deleted(prompts)) == 4

    def test_a_row_that_another_worker_did_is_left_to_it(self, mo: User, prompts: list[Message]) -> None:
        bulk = begun(mo, prompts)
        row = bulk.rows.order_by("id")[0]
        BulkRow.objects.filter(pk=row.pk).update(status=Status.DONE, entries=[7])
        running._do(row, mo, BulkAct.objects.get(pk=bulk.pk))
        assert deleted(prompts)[0] is False  # rolled back: the other one's stands
        row.refresh_from_db()
        assert (row.status, row.entries) == (Status.DONE, [7])

    def test_who_lost_the_right_does_no_more(self, mo: User, prompts: list[Message]) -> None:
        bulk = begun(mo, prompts)
        User.objects.filter(pk=mo.pk).update(role="general")
        running.continue_bulk_act(bulk_id=bulk.pk)
        assert statuses(bulk) == {Status.REFUSED: 4} and sum(deleted(prompts)) == 0


class TestDecisions:
    def test_only_those_who_chose_it_begin_it_and_only_with_a_reason(self, mo: User, prompts: list[Message]) -> None:
        bulk = draft(mo, prompts)
        for actor, reason, wanted in (
            (new_person("Max", "moderator"), "Spam.", NotAllowed),
            (new_person("Ada", "general"), "Spam.", NotAllowed),
            (mo, " ", Invalid),
        ):
            with pytest.raises(wanted):
                running.start(bulk_id=bulk.pk, actor=actor, reason=reason)
        assert BulkAct.objects.get().stage == Stage.DRAFT and not WaitingJob.objects.exists()

    def test_what_does_not_fit_its_state_is_refused(self, mo: User, prompts: list[Message]) -> None:
        bulk = draft(mo, prompts)
        with pytest.raises(Conflict):
            running.go_on(bulk_id=bulk.pk, actor=mo)
        for act in (running.stop, running.undo):
            with pytest.raises(Conflict):
                act(bulk_id=bulk.pk, actor=mo, reason="No.")
        running.start(bulk_id=bulk.pk, actor=mo, reason="Spam.")
        with pytest.raises(Conflict, match="begun already"):
            running.start(bulk_id=bulk.pk, actor=mo, reason="Spam.")

    @pytest.mark.django_db(transaction=True)
    def test_two_who_begin_it_at_once_begin_it_once(self, mo: User, prompts: list[Message]) -> None:
        bulk = draft(mo, prompts)
        outcomes = list[str]()

        def start() -> None:
            try:
                running.start(bulk_id=bulk.pk, actor=mo, reason="Spam.")
                outcomes.append("begun")
            except DomainError as error:
                outcomes.append(error.code)
            finally:
                connection.close()

        threads = [Thread(target=start) for _ in range(2)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert len(outcomes) == 2 and "begun" in outcomes
        assert AuditEntry.objects.filter(act="bulk.start").count() == 1

    @pytest.mark.django_db(transaction=True)
    def test_two_workers_at_once_do_each_row_once(self, mo: User, prompts: list[Message]) -> None:
        bulk = begun(mo, prompts)

        def work() -> None:
            running.continue_bulk_act(bulk_id=bulk.pk)
            connection.close()

        threads = [Thread(target=work) for _ in range(2)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert statuses(bulk) == {Status.DONE: 4} and Deletion.objects.count() == 4


class TestUndo:
    def test_one_undo_brings_everything_back(self, mo: User, prompts: list[Message]) -> None:
        bulk = begun(mo, prompts)
        running.continue_bulk_act(bulk_id=bulk.pk)
        running.undo(bulk_id=bulk.pk, actor=mo, reason="A mistake.")
        assert running.continue_bulk_act(bulk_id=bulk.pk, rows=2).stage == Stage.UNDOING
        assert statuses(bulk) == {Status.DONE: 2, Status.UNDONE: 2}
        assert running.continue_bulk_act(bulk_id=bulk.pk).stage == Stage.UNDONE
        assert deleted(prompts) == [False] * 4 and statuses(bulk) == {Status.UNDONE: 4}
        assert AuditEntry.objects.filter(act="act.undo").count() == 4

    def test_undo_before_the_end_leaves_the_rest_alone(self, mo: User, prompts: list[Message]) -> None:
        bulk = begun(mo, prompts)
        running.continue_bulk_act(bulk_id=bulk.pk, rows=2)
        running.undo(bulk_id=bulk.pk, actor=mo, reason="A mistake.")
        running.continue_bulk_act(bulk_id=bulk.pk)
        assert sum(deleted(prompts)) == 0 and statuses(bulk) == {Status.UNDONE: 2, Status.WAITING: 2}

    def test_what_was_undone_by_itself_counts_as_undone(self, mo: User, prompts: list[Message]) -> None:
        bulk = begun(mo, prompts)
        running.continue_bulk_act(bulk_id=bulk.pk)
        entry = bulk.rows.order_by("id")[0].entries[0]
        moderator_actions.undo(entry_id=entry, actor=mo, reason="No.", policy=POLICY)
        running.undo(bulk_id=bulk.pk, actor=mo, reason="A mistake.")
        running.continue_bulk_act(bulk_id=bulk.pk)
        assert statuses(bulk) == {Status.UNDONE: 4} and sum(deleted(prompts)) == 0

    def test_bringing_back_many_is_undone_too(self, mo: User, prompts: list[Message]) -> None:
        running.continue_bulk_act(bulk_id=begun(mo, prompts).pk)
        back = begun(mo, prompts, Act.RESTORE)
        running.continue_bulk_act(bulk_id=back.pk)
        assert sum(deleted(prompts)) == 0 and statuses(back) == {Status.DONE: 4}
        running.undo(bulk_id=back.pk, actor=mo, reason="No.")
        running.continue_bulk_act(bulk_id=back.pk)
        assert sum(deleted(prompts)) == 4 and statuses(back) == {Status.UNDONE: 4}


class TestOthers:
    """Administrators stop an act on many, let it go on, and undo it; nobody else does anything about it."""

    def test_an_administrator_stops_it_and_its_moderator_cannot_go_on(self, mo: User, prompts: list[Message]) -> None:
        ida, bulk = new_person("Ida", "admin"), begun(mo, prompts)
        running.continue_bulk_act(bulk_id=bulk.pk, rows=1)
        running.stop(bulk_id=bulk.pk, actor=ida, reason="These are no spam.")
        assert running.continue_bulk_act(bulk_id=bulk.pk).stage == Stage.STOPPED and sum(deleted(prompts)) == 1
        entry = AuditEntry.objects.get(act="bulk.stop")
        assert (entry.actor, entry.person, entry.text.reason) == (ida, mo, "These are no spam.")
        with pytest.raises(NotAllowed, match="Somebody else stopped this"):
            running.go_on(bulk_id=bulk.pk, actor=mo)
        assert BulkAct.objects.get().stage == Stage.STOPPED
        running.go_on(bulk_id=bulk.pk, actor=ida)
        assert running.continue_bulk_act(bulk_id=bulk.pk).stage == Stage.DONE and sum(deleted(prompts)) == 4
        assert set(Deletion.objects.values_list("actor", flat=True)) == {mo.pk}, "it is still their act"

    def test_what_one_stopped_oneself_nobody_else_lets_go_on(self, mo: User, prompts: list[Message]) -> None:
        bulk = begun(mo, prompts)
        running.stop(bulk_id=bulk.pk, actor=mo, reason="Wait.")
        with pytest.raises(NotAllowed):
            running.go_on(bulk_id=bulk.pk, actor=new_person("Ida", "admin"))
        running.go_on(bulk_id=bulk.pk, actor=mo)

    def test_after_that_both_can_undo_it(self, mo: User, alice: User, prompts: list[Message]) -> None:
        ida = new_person("Ida", "admin")
        for undoer, undone in ((mo, prompts[:2]), (ida, prompts[2:])):
            bulk = begun(mo, undone)
            running.continue_bulk_act(bulk_id=bulk.pk, rows=1)
            running.stop(bulk_id=bulk.pk, actor=ida, reason="No spam.")
            running.undo(bulk_id=bulk.pk, actor=undoer, reason="No spam.")
            assert running.continue_bulk_act(bulk_id=bulk.pk).stage == Stage.UNDONE
            assert statuses(bulk) == {Status.WAITING: 1, Status.UNDONE: 1} and sum(deleted(undone)) == 0
            assert AuditEntry.objects.filter(act="act.undo", actor=undoer).count() == 1

    def test_an_administrator_undoes_what_somebody_did_who_is_suspended(self, mo: User, alice: User, bob: User) -> None:
        ida = new_person("Ida", "admin")
        people = previews.draft_on_people(actor=mo, kind=kind_of("suspend"), people=[alice, bob], chosen_by="Them")
        warned = previews.draft_on_people(actor=mo, kind=kind_of("warn"), people=[alice, bob], chosen_by="Them")
        for bulk in (warned, people):
            running.start(bulk_id=bulk.pk, actor=mo, reason="Spam.")
            running.continue_bulk_act(bulk_id=bulk.pk)
        User.objects.filter(pk=mo.pk).update(enabled=False)
        for bulk in (people, warned):
            running.undo(bulk_id=bulk.pk, actor=ida, reason="A rampage.")
            running.continue_bulk_act(bulk_id=bulk.pk)
            assert statuses(bulk) == {Status.UNDONE: 2}
        assert set(User.objects.filter(enabled=False)) == {mo}
        assert not AccountWarning.objects.filter(withdrawn_at=None).exists()

    def test_other_moderators_and_drafts(self, mo: User, prompts: list[Message]) -> None:
        ida, max_, bulk = new_person("Ida", "admin"), new_person("Max", "moderator"), draft(mo, prompts)
        for actor in (ida, max_):
            with pytest.raises(NotAllowed):
                running.stop(bulk_id=bulk.pk, actor=actor, reason="No.")
        running.start(bulk_id=bulk.pk, actor=mo, reason="Spam.")
        for act in (running.stop, running.undo):
            with pytest.raises(NotAllowed):
                act(bulk_id=bulk.pk, actor=max_, reason="No.")
            with pytest.raises(Invalid):
                act(bulk_id=bulk.pk, actor=ida, reason=" ")
        assert BulkAct.objects.get().stage == Stage.RUNNING and not AuditEntry.objects.filter(act="bulk.stop").exists()


def test_many_are_hidden_kept_and_moved_and_all_of_it_is_undone(mo: User, prompts: list[Message], bob: User) -> None:
    def facts() -> list[tuple[Any, ...]]:
        rows = Message.objects.filter(pk__in=[prompt.pk for prompt in prompts]).order_by("pk")
        return list(rows.values_list("hidden", "lang", "reports__status", "tree__state"))

    for prompt in prompts:
        reactions.report(message_id=prompt.pk, reporter=bob, category="spam")
    states, began = list[list[tuple[Any, ...]]](), list[BulkAct]()
    for act, value in ((Act.HIDE, ""), (Act.KEEP, ""), (Act.MOVE, "de")):
        states.append(facts())
        bulk = draft(mo, prompts, act, value=value)
        began.append(running.start(bulk_id=bulk.pk, actor=mo, reason="So."))
        running.continue_bulk_act(bulk_id=bulk.pk)
        assert statuses(bulk) == {Status.DONE: 4} and facts() != states[-1], act
    assert {row[:2] for row in facts()} == {(False, "de")}
    for bulk in reversed(began):
        running.undo(bulk_id=bulk.pk, actor=mo, reason="No.")
        running.continue_bulk_act(bulk_id=bulk.pk)
        assert statuses(bulk) == {Status.UNDONE: 4} and facts() == states.pop()


class TestPeople:
    def test_many_are_suspended_and_let_in_again(self, mo: User, alice: User, bob: User) -> None:
        max_ = new_person("Max", "moderator")
        bulk = previews.draft_on_people(
            actor=mo, kind=kind_of("suspend"), people=[alice, bob, max_, mo], chosen_by="Them"
        )
        assert bulk.preview["left_out"] == {"rank": 1, "yourself": 1} and bulk.preview["rows"] == 2
        running.start(bulk_id=bulk.pk, actor=mo, reason="Spam.")
        running.continue_bulk_act(bulk_id=bulk.pk)
        assert set(User.objects.filter(enabled=False)) == {alice, bob}
        running.undo(bulk_id=bulk.pk, actor=mo, reason="A mistake.")
        running.continue_bulk_act(bulk_id=bulk.pk)
        assert not User.objects.filter(enabled=False).exists() and statuses(bulk) == {Status.UNDONE: 2}

    def test_many_are_suspended_for_some_days(self, mo: User, alice: User, bob: User) -> None:
        bulk = previews.draft_on_people(
            actor=mo, kind=kind_of("suspend"), people=[alice, bob], chosen_by="Them", value="7"
        )
        running.start(bulk_id=bulk.pk, actor=mo, reason="Spam.")
        running.continue_bulk_act(bulk_id=bulk.pk)
        ends = [user.banned_until for user in User.objects.filter(enabled=False) if user.banned_until]
        week = timezone.now() + timedelta(days=7)
        assert len(ends) == 2 and all(week - timedelta(minutes=5) < end <= week for end in ends)

    def test_many_are_warned_and_the_warnings_taken_back(self, mo: User, alice: User, bob: User) -> None:
        closed = new_person("Carl")
        User.objects.filter(pk=closed.pk).update(is_active=False)
        people = list(User.objects.filter(pk__in=[alice.pk, bob.pk, closed.pk]))
        bulk = previews.draft_on_people(actor=mo, kind=kind_of("warn"), people=people, chosen_by="Them")
        assert bulk.preview["left_out"] == {"closed": 1}
        running.start(bulk_id=bulk.pk, actor=mo, reason="Please stop.")
        running.continue_bulk_act(bulk_id=bulk.pk)
        warned = AccountWarning.objects.filter(withdrawn_at=None)
        assert {(row.user, row.reason) for row in warned} == {(alice, "Please stop."), (bob, "Please stop.")}
        assert statuses(bulk) == {Status.DONE: 2}
        running.undo(bulk_id=bulk.pk, actor=mo, reason="A mistake.")
        running.continue_bulk_act(bulk_id=bulk.pk)
        assert statuses(bulk) == {Status.UNDONE: 2} and not warned.all().exists()


def test_whoever_loses_the_right_in_the_middle_does_no_further_row(
    mo: User, prompts: list[Message], monkeypatch: pytest.MonkeyPatch
) -> None:
    bulk, delete = begun(mo, prompts), moderator_actions.delete_message

    def delete_and_be_suspended(**about: Any) -> Deletion:
        deletion = delete(**about)
        User.objects.filter(pk=mo.pk).update(enabled=False)
        return deletion

    monkeypatch.setattr(moderator_actions, "delete_message", delete_and_be_suspended)
    running.continue_bulk_act(bulk_id=bulk.pk)
    assert statuses(bulk) == {Status.DONE: 1, Status.REFUSED: 3} and sum(deleted(prompts)) == 1
