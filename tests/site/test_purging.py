"""Purging a user: previewed, done tree by tree, undone exactly, and final after 30 days."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from leaderboard import rebuild
from leaderboard.models import Standing
from oasst.accounts.models import AccountWarning, Appeal, Ban, User
from oasst.core.errors import Conflict, Gone, Invalid, NotAllowed
from oasst.core.jobs import PartialFailure
from oasst.core.models import WaitingJob
from oasst.site import purging
from oasst.site.admin import purges
from oasst.site.invariants import find_differences
from oasst.site.models import DeskDecision
from oasst.site.schedules import look_after_purges
from tasks import upkeep
from tasks.kinds import Kind
from tasks.models import Draft, Task
from tests.crowd import answer, start_tree, take, work_until
from tests.factories import new_people, new_person
from tests.leaderboard.test_tallies import everything as scores
from tests.leaderboard.test_tallies import read_all, rebuilding_changes_nothing
from trees.contributing import reactions
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import (
    Deletion,
    Happening,
    Message,
    MessageTree,
    Opening,
    Purge,
    Ranking,
    Reaction,
    Report,
    Review,
    Revision,
    Skip,
)
from trees.moderation import bans, moderator_actions
from trees.moderation.finding import find_messages

pytestmark = pytest.mark.django_db
POLICY = TreePolicy(goal_tree_size=6, max_tree_depth=2)


@pytest.fixture(autouse=True)
def _nothing_disagrees(db: None) -> object:
    yield
    everything_agrees()


def everything_agrees() -> None:
    assert list(find_differences(POLICY)) == []
    assert upkeep.advance_active_trees(policy=POLICY) == 0


def purge(person: User, actor: User, reason: str = "Advertising.") -> Purge:
    return purging.continue_purge(
        purge_id=purging.start_purge(user=person, actor=actor, reason=reason).pk, policy=POLICY
    )


def undo(done: Purge, actor: User) -> Purge:
    purging.undo_purge(purge_id=done.pk, actor=actor, reason="The wrong person.")
    return purging.continue_purge(purge_id=done.pk, policy=POLICY)


def everything() -> dict[str, Any]:
    """Return everything that users can see of the trees, to compare before and after."""
    return {
        "trees": list(MessageTree.objects.order_by("pk").values_list("pk", "state", "halted_from", "goal_tree_size")),
        "messages": list(
            Message.objects.order_by("pk").values_list(
                *("pk", "text", "deleted", "review_count", "review_result", "ranking_count", "rank", "emojis", "edited")
            )
        ),
        "openings": Counter(Opening.objects.values_list("message", "work")),
        "reviews": set(Review.objects.values_list("pk", flat=True)),
        "rankings": set(Ranking.objects.values_list("pk", flat=True)),
        "reactions": set(Reaction.objects.values_list("message", "author", "emoji")),
        "skips": set(Skip.objects.values_list("pk", flat=True)),
        "reports": set(Report.objects.values_list("pk", "status")),
        "people": set(User.objects.values_list("pk", "enabled", "ban_reason")),
    }


@pytest.fixture
def spammer(db: None) -> User:
    return new_person("Spam")


@pytest.fixture
def busy_life(spammer: User, mo: User) -> User:
    """A user who did everything, in trees of every stage; also an edited message and replies of others."""
    others = new_people(5)
    people = [spammer, *others]
    own = work_until(start_tree(POLICY, spammer), State.GROWING, POLICY, others)
    work_until(own, State.READY_FOR_EXPORT, POLICY, people)
    finished = work_until(start_tree(POLICY, others[0]), State.READY_FOR_EXPORT, POLICY, people)
    ranking = work_until(start_tree(POLICY, others[1]), State.RANKING, POLICY, people)
    growing = work_until(start_tree(POLICY, others[2]), State.GROWING, POLICY, people)
    answer(take(spammer, POLICY, Kind.ASSISTANT_REPLY), POLICY)
    start_tree(POLICY, spammer)
    new = start_tree(POLICY, others[3])
    answer(take(spammer, POLICY, Kind.LABEL_INITIAL_PROMPT), POLICY)
    mine = Message.objects.filter(author=spammer, tree=finished).first() or Message.objects.get(pk=own.pk)
    moderator_actions.edit_message(message_id=mine.pk, actor=mo, text="Edited.", reason="A typo.", policy=POLICY)
    for tree in (finished, ranking, growing, new):
        reactions.set_reaction(message_id=tree.pk, user=spammer, emoji="+1")
        reactions.set_reaction(message_id=tree.pk, user=others[4], emoji="+1")
    reactions.report(message_id=growing.pk, reporter=spammer, category="spam", text="My rival.")
    for message_id in Message.objects.filter(author=spammer).values_list("pk", flat=True)[:3]:
        reactions.set_reaction(message_id=message_id, user=others[4], emoji="rofl")
    everything_agrees()
    return spammer


class TestWholeLife:
    def test_preview_real_run_and_undo(self, busy_life: User, mo: User) -> None:
        before = everything()
        foretold = purging.preview_purge(user=busy_life, actor=mo, policy=POLICY)
        assert everything() == before
        assert not Purge.objects.exists() and not Deletion.objects.exists()

        done = purge(busy_life, mo)
        assert done.stage == Purge.Stage.DONE
        assert Counter(done.counts) == foretold
        for kind in ("trees", "messages", "messages_of_others", "reviews", "rankings", "reactions", "reports"):
            assert foretold[kind] > 0, kind
        assert not Message.objects.filter(author=busy_life, deleted=False).exists()
        assert not Review.objects.filter(author=busy_life).exists()
        assert not Ranking.objects.filter(author=busy_life).exists()
        assert not Reaction.objects.filter(author=busy_life).exists()
        assert not Report.objects.filter(reporter=busy_life).exists()
        assert not User.objects.get(pk=busy_life.pk).enabled
        everything_agrees()

        assert undo(done, mo).stage == Purge.Stage.UNDONE
        assert everything() == before
        everything_agrees()
        assert purge(User.objects.get(pk=busy_life.pk), mo).counts == done.counts

    def test_killed_in_the_middle_and_run_again(self, busy_life: User, mo: User, monkeypatch: Any) -> None:
        before = everything()
        foretold = purging.preview_purge(user=busy_life, actor=mo, policy=POLICY)
        ordered = purging.start_purge(user=busy_life, actor=mo, reason="Advertising.")
        self.killed_after(2, monkeypatch, "purge_tree", ordered)
        everything_agrees()
        look_after_purges()
        ordered.refresh_from_db()
        assert (ordered.stage, Counter(ordered.counts)) == (Purge.Stage.DONE, foretold)
        purging.undo_purge(purge_id=ordered.pk, actor=mo, reason="The wrong person.")
        self.killed_after(2, monkeypatch, "undo_step", ordered)
        everything_agrees()
        look_after_purges()
        assert everything() == before

    def killed_after(self, steps: int, monkeypatch: Any, name: str, ordered: Purge) -> None:
        real, left = getattr(purging.purging, name), [steps]

        def dies(*args: Any, **kwargs: Any) -> object:
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            return real(*args, **kwargs)

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(purging.purging, name, dies)
            purging.continue_purge(purge_id=ordered.pk, policy=POLICY)

    def test_undone_while_under_way(self, busy_life: User, mo: User, monkeypatch: Any) -> None:
        before = everything()
        ordered = purging.start_purge(user=busy_life, actor=mo, reason="Advertising.")
        self.killed_after(2, monkeypatch, "purge_tree", ordered)
        assert undo(ordered, mo).stage == Purge.Stage.UNDONE
        assert everything() == before

    def test_what_others_did_meanwhile_stays(self, busy_life: User, mo: User) -> None:
        done = purge(busy_life, mo)
        growing = MessageTree.objects.filter(state=State.GROWING)[0]
        work_until(growing, State.READY_FOR_EXPORT, POLICY)
        given = Message.objects.filter(tree=growing, deleted=False).count()
        undo(done, mo)
        growing.refresh_from_db()
        assert growing.state == State.READY_FOR_EXPORT
        assert Message.objects.filter(tree=growing, deleted=False).count() >= given


class TestVotes:
    def test_a_purged_voter_leaves_a_tree_that_can_finish(self, spammer: User, mo: User) -> None:
        """A5: the counters follow, the opening is offered again, and three people rank in the end."""
        others = new_people(6)
        tree = work_until(start_tree(POLICY), State.RANKING, POLICY, others)
        answer(take(spammer, POLICY, Kind.RANK_ASSISTANT_REPLIES), POLICY)
        purge(spammer, mo)
        everything_agrees()
        work_until(tree, State.READY_FOR_EXPORT, POLICY)
        assert Ranking.objects.filter(author=spammer).count() == 0

    def test_a_decision_that_lost_its_vote_is_asked_again(self, spammer: User, mo: User) -> None:
        tree = work_until(start_tree(POLICY), State.GROWING, POLICY)
        writer, bob, carol = new_people(3)
        reply = answer(take(writer, POLICY, Kind.ASSISTANT_REPLY), POLICY).result_message
        assert reply is not None
        for person in (spammer, bob):
            answer(take(person, POLICY, Kind.LABEL_ASSISTANT_REPLY), POLICY)
        reply.refresh_from_db()
        assert reply.review_result is True
        done = purge(spammer, mo)
        reply.refresh_from_db()
        assert (reply.review_result, reply.review_count) == (None, 1)
        assert Happening.objects.filter(kind="message_reopened", message=reply).count() == 1
        everything_agrees()
        answer(take(carol, POLICY, Kind.LABEL_ASSISTANT_REPLY), POLICY)
        reply.refresh_from_db()
        assert (reply.review_result, reply.review_count) == (True, 2)
        undo(done, mo)
        reply.refresh_from_db()
        assert (reply.review_result, reply.review_count) == (True, 3)
        assert MessageTree.objects.get(pk=tree.pk).state == State.GROWING

    def test_a_vote_that_comes_back_counts_in_its_turn(self, spammer: User, mo: User) -> None:
        """Two rejected it; without one of them two others accepted it. With all votes the first two decide."""
        work_until(start_tree(POLICY), State.GROWING, POLICY)
        writer, bob, carol, dora = new_people(4)
        reply = answer(take(writer, POLICY, Kind.ASSISTANT_REPLY), POLICY).result_message
        assert reply is not None
        for person in (spammer, bob):
            answer(take(person, POLICY, Kind.LABEL_ASSISTANT_REPLY), POLICY, spam=1)
        done = purge(spammer, mo)
        for person in (carol, dora):
            answer(take(person, POLICY, Kind.LABEL_ASSISTANT_REPLY), POLICY)
        reply.refresh_from_db()
        assert reply.review_result is True
        undo(done, mo)
        reply.refresh_from_db()
        assert (reply.review_result, reply.review_count) == (False, 4)

    def test_a_finished_tree_keeps_its_decisions_and_makes_its_order_anew(self, spammer: User, mo: User) -> None:
        others = new_people(6)
        tree = work_until(start_tree(POLICY), State.RANKING, POLICY, others)
        task = take(spammer, POLICY, Kind.RANK_ASSISTANT_REPLIES)
        answer(task, POLICY)
        work_until(tree, State.READY_FOR_EXPORT, POLICY)
        before = set(Message.objects.filter(tree=tree).values_list("pk", "review_result"))
        purge(spammer, mo)
        tree.refresh_from_db()
        assert tree.state == State.READY_FOR_EXPORT
        assert set(Message.objects.filter(tree=tree).values_list("pk", "review_result")) == before

    def test_a_place_held_by_the_purged_person_is_free(self, spammer: User, mo: User) -> None:
        start_tree(POLICY)
        task = take(spammer, POLICY, Kind.LABEL_INITIAL_PROMPT)
        purge(spammer, mo)
        assert not Opening.objects.exclude(lease=None).exists()
        with pytest.raises(NotAllowed) as refusal:
            answer(task, POLICY)
        assert refusal.value.code == "suspended"
        assert not Review.everything.exists()


class TestForeignReplies:
    def test_replies_of_others_below_go_and_come_back_as_one_branch(self, spammer: User, mo: User) -> None:
        """A6, and A7 with it: the message was edited and others answered it."""
        tree = work_until(start_tree(POLICY), State.GROWING, POLICY)
        reply = answer(take(spammer, POLICY, Kind.ASSISTANT_REPLY), POLICY).result_message
        assert reply is not None
        for person in new_people(2):
            answer(take(person, POLICY, Kind.LABEL_ASSISTANT_REPLY), POLICY)
        asker = new_people(1)[0]
        below = answer(take(asker, POLICY, Kind.PROMPTER_REPLY), POLICY).result_message
        moderator_actions.edit_message(message_id=reply.pk, actor=mo, text="Edited.", reason="Typo.", policy=POLICY)
        done = purge(spammer, mo)
        assert below is not None
        assert set(Deletion.objects.get().message_ids) == {reply.pk, below.pk}
        assert done.counts == {"trees": 1, "branches": 1, "messages": 1, "messages_of_others": 1}
        undo(done, mo)
        assert not Message.objects.filter(tree=tree, deleted=True).exists()

    def test_what_was_deleted_before_stays_deleted(self, spammer: User, mo: User) -> None:
        tree = start_tree(POLICY, spammer)
        moderator_actions.delete_message(message_id=tree.pk, actor=mo, reason="Spam.", policy=POLICY)
        done = purge(spammer, mo)
        assert done.counts == {}
        undo(done, mo)
        assert Message.objects.get(pk=tree.pk).deleted


class TestScores:
    def agree(self) -> list[Any]:
        """Return the scores once all events are read: as the facts say, and as a full rebuild gives."""
        read_all()
        assert list(rebuild.differences()) == []
        assert rebuilding_changes_nothing()
        return scores()

    def test_they_follow_each_step_and_come_back(self, busy_life: User, mo: User, monkeypatch: Any) -> None:
        before = self.agree()
        ordered = purging.start_purge(user=busy_life, actor=mo, reason="Advertising.")
        TestWholeLife().killed_after(2, monkeypatch, "purge_tree", ordered)
        half = self.agree()
        purging.continue_purge(purge_id=ordered.pk, policy=POLICY)
        assert before != half != self.agree()
        assert not Standing.objects.filter(person=busy_life, points__gt=0).exists()
        purging.undo_purge(purge_id=ordered.pk, actor=mo, reason="The wrong person.")
        TestWholeLife().killed_after(2, monkeypatch, "undo_step", ordered)
        self.agree()
        purging.continue_purge(purge_id=ordered.pk, policy=POLICY)
        assert self.agree() == before


class TestInPieces:
    def test_a_preview_that_takes_too_long_says_what_it_did_not_see(
        self, client: Client, busy_life: User, mo: User, monkeypatch: Any
    ) -> None:
        monkeypatch.setattr(purges, "PREVIEW_SECONDS", 0)
        client.force_login(mo)
        before, whole = everything(), purging.preview_purge(user=busy_life, actor=mo, policy=POLICY)
        page = client.post(reverse("admin:accounts_user_purge", args=[busy_life.pk]), {"step": "preview"})
        assert dict(page.context["counts"])["Conversations more, for which there was no time here"] == whole["trees"]
        assert everything() == before
        assert "no time here" not in str(purging.labeled_counts(whole))

    def test_a_long_purge_makes_way_and_goes_on(self, busy_life: User, mo: User, monkeypatch: Any) -> None:
        """A worker has few threads: what is left after ROUND_SECONDS becomes a new job."""
        monkeypatch.setattr(purging, "ROUND_SECONDS", 0)
        ordered = purging.start_purge(user=busy_life, actor=mo, reason="Advertising.")
        foretold = purging.preview_purge(user=busy_life, actor=mo, policy=POLICY)
        left = foretold["trees"]
        while left:
            WaitingJob.objects.all().delete()
            purging.go_on_with_purge(str(ordered.pk))
            ordered.refresh_from_db()
            left -= 1
            assert ordered.steps.count() == foretold["trees"] - left
            assert ordered.stage == Purge.Stage.RUNNING
            assert WaitingJob.objects.filter(job=purging.go_on_with_purge.name, args=[str(ordered.pk)]).count() == 1
        WaitingJob.objects.all().delete()
        purging.go_on_with_purge(str(ordered.pk))
        ordered.refresh_from_db()
        assert (ordered.stage, Counter(ordered.counts)) == (Purge.Stage.DONE, foretold)
        # What is left is to check the messages that their complaints hid.
        assert list(WaitingJob.objects.values_list("job", flat=True)) == ["trees.jobs.follow_standing"]

    def test_one_that_fails_does_not_hold_up_the_others(self, mo: User, monkeypatch: Any) -> None:
        stuck, other = new_people(2)
        start_tree(POLICY, stuck)
        start_tree(POLICY, other)
        for person in (stuck, other):
            purging.start_purge(user=person, actor=mo, reason="Advertising.")
        real = purging.purging.purge_tree

        def take_out(locked: Any, purge: Purge) -> object:
            if purge.person_id == stuck.pk:
                raise ZeroDivisionError
            return real(locked, purge)

        with monkeypatch.context() as patch:
            patch.setattr(purging.purging, "purge_tree", take_out)
            with pytest.raises(PartialFailure, match="ZeroDivisionError"):
                look_after_purges()
        assert Purge.objects.get(person=other).stage == Purge.Stage.DONE
        look_after_purges()
        assert Purge.objects.get(person=stuck).stage == Purge.Stage.DONE


class TestAfterAMonth:
    def wait(self, done: Purge) -> None:
        month = timedelta(days=31)
        Message.objects.update(created_at=F("created_at") - month)
        Purge.objects.filter(pk=done.pk).update(finished_at=timezone.now() - month)
        look_after_purges()
        look_after_purges()
        done.refresh_from_db()

    def test_texts_are_gone_for_good(self, busy_life: User, mo: User) -> None:
        task = take(busy_life, POLICY)
        Draft.objects.create(task=task, body={"text": "Buy my secret thing"})
        mine = Message.objects.filter(author=busy_life)
        text = mine.order_by("pk")[0].text
        about = {"subject_kind": "message", "subject_id": str(mine[0].pk), "moderator": mo}
        DeskDecision.objects.create(**about, session="one", act="keep", reason="Buy: said by this person.")
        AccountWarning.objects.create(user=busy_life, actor=mo, reason="Spam.", about=text[:30])
        answered = {"status": Appeal.Status.REFUSED, "decided_at": timezone.now(), "answer": "No."}
        Appeal.objects.create(user=busy_life, text="I sell.", **answered)
        done = purge(busy_life, mo)
        assert find_messages(mine, f'"{text[:30]}"', "", 1)
        self.wait(done)
        assert [AccountWarning.objects.get().about, Appeal.objects.get().text, DeskDecision.objects.get().reason] == [
            *("", "", "")
        ]
        assert (done.stage, done.erased_at is not None) == (Purge.Stage.ERASED, True)
        assert set(mine.values_list("text", flat=True)) == {""}
        assert set(Revision.objects.filter(message__in=mine).values_list("text", flat=True)) == {""}
        assert not find_messages(mine, f'"{text[:30]}"', "", 1)
        assert not Draft.objects.filter(task__user=busy_life).exists()
        assert not Report.everything.filter(reporter=busy_life).exists()

    def test_texts_of_others_stay(self, busy_life: User, mo: User) -> None:
        def texts() -> set[str]:
            return set(Message.objects.exclude(author=busy_life).values_list("text", flat=True))

        before = texts()
        self.wait(purge(busy_life, mo))
        assert texts() == before

    def test_it_can_not_be_undone_any_more(self, busy_life: User, mo: User) -> None:
        done = purge(busy_life, mo)
        self.wait(done)
        with pytest.raises(Gone) as refusal:
            purging.undo_purge(purge_id=done.pk, actor=mo, reason="Too late.")
        assert refusal.value.code == "too_late"
        batch = Deletion.objects.filter(message__parent=None)[0]
        with pytest.raises(Conflict) as other:
            moderator_actions.undelete(deletion_id=batch.pk, actor=mo, reason="Try.", policy=POLICY)
        assert other.value.code == "erased"
        assert not Message.objects.filter(author=busy_life, deleted=False).exists()

    def test_whoever_is_let_in_again_then_takes_part_like_everybody(self, spammer: User, mo: User) -> None:
        tree = start_tree(POLICY)
        reactions.set_reaction(message_id=tree.pk, user=spammer, emoji="+1")
        self.wait(purge(spammer, mo))
        bans.unban(spammer, actor=mo, reason="They promised.")
        assert reactions.set_reaction(message_id=tree.pk, user=spammer, emoji="+1").emojis == {"+1": 1}


class TestRefusals:
    def test_ranks(self, spammer: User, alice: User, mo: User) -> None:
        for actor, person in ((alice, spammer), (mo, new_person("Max", "moderator")), (mo, mo)):
            with pytest.raises(NotAllowed):
                purging.preview_purge(user=person, actor=actor, policy=POLICY)
            with pytest.raises(NotAllowed):
                purging.start_purge(user=person, actor=actor, reason="Spam.")
            assert User.objects.get(pk=person.pk).enabled
        assert not Purge.objects.exists()

    def test_a_reason_is_needed(self, spammer: User, mo: User) -> None:
        with pytest.raises(Invalid):
            purging.start_purge(user=spammer, actor=mo, reason=" ")
        assert User.objects.get(pk=spammer.pk).enabled
        done = purge(spammer, mo)
        with pytest.raises(Invalid):
            purging.undo_purge(purge_id=done.pk, actor=mo, reason=" ")
        done.refresh_from_db()
        assert done.stage == Purge.Stage.DONE

    def test_twice(self, spammer: User, mo: User) -> None:
        done = purge(spammer, mo)
        with pytest.raises(Conflict) as refusal:
            purge(spammer, mo)
        assert refusal.value.code == "already_purged"
        undo(done, mo)
        with pytest.raises(Conflict):
            undo(done, mo)

    def test_a_purged_person_comes_back_by_the_undo_only(self, spammer: User, mo: User) -> None:
        done = purge(spammer, mo)
        with pytest.raises(Conflict) as refusal:
            bans.unban(spammer, actor=mo, reason="They promised.")
        assert refusal.value.code == "purged"
        assert not User.objects.get(pk=spammer.pk).enabled
        undo(done, mo)
        assert User.objects.get(pk=spammer.pk).enabled

    def test_whoever_was_banned_before_stays_banned(self, spammer: User, mo: User) -> None:
        bans.ban(spammer, actor=mo, reason="Rude.")
        undo(purge(spammer, mo), mo)
        spammer.refresh_from_db()
        assert (spammer.enabled, spammer.ban_reason) == (False, "Rude.")

    def test_a_ban_that_was_decided_since_stands(self, spammer: User, mo: User) -> None:
        done = purge(spammer, mo)
        bans.ban(spammer, actor=new_person("Boss", "admin"), reason="Threats.")
        undo(done, mo)
        spammer.refresh_from_db()
        assert (spammer.enabled, spammer.ban_reason) == (False, "Threats.")
        assert [one.reason for one in Ban.objects.filter(user=spammer, lifted_at=None)] == ["Threats."]


def test_the_same_cost_for_a_tree_however_many_there_are(spammer: User, mo: User) -> None:
    for number in (2, 8):
        person = new_person("Spam")
        for _ in range(number):
            reactions.set_reaction(message_id=start_tree(POLICY).pk, user=person, emoji="+1")
        ordered = purging.start_purge(user=person, actor=mo, reason="Spam.")
        with CaptureQueriesContext(connection) as captured:
            purging.continue_purge(purge_id=ordered.pk, policy=POLICY)
        assert len(captured) <= 20 + 22 * number
    assert Task.objects.exists()
