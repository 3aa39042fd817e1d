"""Which work is handed out first: what settles most, then what is nearly done, then what waits longest."""

from collections.abc import Iterator

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from oasst.accounts.models import User
from oasst.site.invariants import find_differences, openings
from tasks import assignment, submission, upkeep
from tasks.kinds import Kind
from tasks.models import Task
from tests.clock import Clock, stopped_clock
from tests.factories import (
    decide,
    growing_tree,
    new_people,
    new_person,
    new_prompt,
    new_reply,
    rank,
    review,
    work_until_state,
)
from trees.lifecycle import transitions
from trees.lifecycle.locked_tree import lock_tree
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State, Work
from trees.models import Message, Opening
from trees.moderation import moderator_actions

pytestmark = pytest.mark.django_db
POLICY = TreePolicy()


def offered(kind: Kind) -> Message:
    """Return the message that the next user gets."""
    task = assignment.request_task(user=new_person("Next"), lang="en", kind=kind, policy=POLICY)
    assert task.message is not None
    assignment.skip(task_id=task.pk, user=task.user, policy=POLICY)
    return task.message


def priorities(message: Message, work: Work) -> set[int]:
    return set(Opening.objects.filter(message=message, work=work).values_list("priority", flat=True))


def not_true() -> list[str]:
    """Return what check_invariants reports about openings."""
    checks = {check.__name__ for check in openings.CHECKS}
    return [str(one) for one in find_differences(POLICY) if one.check in checks]


def stale() -> list[tuple[str, str]]:
    """Return what check_invariants reports about priorities: expected and actual."""
    return [(one.expected, one.found) for one in find_differences(POLICY) if one.check == "priorities_are_true"]


class TestReviews:
    def test_a_split_vote_then_one_from_a_decision_then_the_oldest(self, alice: User) -> None:
        untouched, begun, split = (new_prompt(alice) for _ in range(3))
        assert offered(Kind.LABEL_INITIAL_PROMPT) == untouched
        review(begun, new_person("Reviewer"))
        assert offered(Kind.LABEL_INITIAL_PROMPT) == begun
        review(split, new_person("Reviewer"))
        review(split, new_person("Reviewer"), spam=1)
        assert offered(Kind.LABEL_INITIAL_PROMPT) == split
        decide(split)
        decide(begun)
        assert offered(Kind.LABEL_INITIAL_PROMPT) == untouched

    def test_replies_in_the_tree_that_is_nearly_done(self, alice: User) -> None:
        early, late = growing_tree(alice), growing_tree(new_person("Other"))
        first = new_reply(early, new_person("Writer"))
        for person in new_people(2):
            decide(new_reply(late, person))
        second = new_reply(late, new_person("Writer"))
        assert offered(Kind.LABEL_ASSISTANT_REPLY) == second
        decide(second)
        assert offered(Kind.LABEL_ASSISTANT_REPLY) == first


class TestReplies:
    def test_a_lonely_reply_gets_a_sibling(self, alice: User) -> None:
        older, lonely = growing_tree(alice), growing_tree(new_person("Other"))
        assert offered(Kind.ASSISTANT_REPLY) == older
        new_reply(lonely, new_person("Writer"))
        assert offered(Kind.ASSISTANT_REPLY) == lonely
        new_reply(lonely, new_person("Writer"))
        assert offered(Kind.ASSISTANT_REPLY) == older

    def test_trees_without_lonely_replies_by_policy(self, alice: User) -> None:
        nobody_is_lonely = TreePolicy(lonely_children_count=1)
        prompt = growing_tree(alice, nobody_is_lonely)
        new_reply(prompt, new_person("Writer"), policy=nobody_is_lonely)
        assert priorities(prompt, Work.ASSISTANT_REPLY) == {0}


class TestRankings:
    def test_the_tree_that_lacks_fewest_rankings(self, alice: User) -> None:
        policy = TreePolicy(goal_tree_size=4, max_tree_depth=1)
        older, newer = (growing_tree(person, policy) for person in (alice, new_person("Other")))
        for tree in (older, newer):
            work_until_state(tree.pk, State.RANKING, policy)
        assert offered(Kind.RANK_ASSISTANT_REPLIES) == older
        rank(newer, new_person("Ranker"), policy)
        assert offered(Kind.RANK_ASSISTANT_REPLIES) == newer


class TestPrioritiesStayTrue:
    def test_a_free_place_follows_the_facts(self, alice: User) -> None:
        prompt = new_prompt(alice)
        before = set(Opening.objects.values_list("pk", flat=True))
        review(prompt, new_person("Reviewer"))
        left = Opening.objects.get()
        assert left.pk in before and left.priority == 10

    def test_a_held_place_too_since_its_hold_runs_out_by_itself(self, alice: User, bob: User) -> None:
        prompt = new_prompt(alice)
        assignment.request_task(user=bob, lang="en", kind=Kind.LABEL_INITIAL_PROMPT, policy=POLICY)
        review(prompt, new_person("Reviewer"))
        assert Opening.objects.get(holder=bob).priority == 10
        assert stale() == []

    def test_nothing_is_written_when_nothing_changed(self, alice: User) -> None:
        prompt = growing_tree(alice)
        new_reply(prompt, new_person("Writer"))
        with transaction.atomic(), CaptureQueriesContext(connection) as captured:
            transitions.advance(lock_tree(prompt.pk, POLICY))
        read = ("SELECT", "SAVEPOINT", "RELEASE")
        assert [query["sql"] for query in captured if not query["sql"].startswith(read)] == []

    def test_a_stale_one_is_found(self, alice: User) -> None:
        new_prompt(alice)
        Opening.objects.filter(pk=Opening.objects.earliest("pk").pk).update(priority=7)
        assert stale() == [("0", "7")]


class TestPlacesThatAreLeft:
    """A user writes a reply to a message that is edited meanwhile, and so reviewed again."""

    @pytest.fixture
    def clock(self) -> Iterator[Clock]:
        with stopped_clock() as clock:
            yield clock

    @pytest.fixture
    def edited(self, clock: Clock, alice: User, mo: User) -> Message:
        reply = new_reply(growing_tree(alice), new_person("Writer"))
        decide(reply)
        self.task = assignment.request_task(user=new_person("Slow"), lang="en", kind=Kind.PROMPTER_REPLY, policy=POLICY)
        assert self.task.message == reply
        moderator_actions.edit_message(message_id=reply.pk, actor=mo, text="Bread.", reason="Typo.", policy=POLICY)
        return reply

    def wanted(self, message: Message) -> bool:
        return Opening.objects.filter(message=message, work=Work.PROMPTER_REPLY).exists()

    def test_who_writes_keeps_their_place(self, edited: Message) -> None:
        answer = {"task_id": self.task.pk, "user": self.task.user, "text": "And rye?", "policy": POLICY}
        assert submission.submit_text(**answer).status == Task.Status.DONE

    def test_nobody_gets_it_when_the_hold_runs_out(self, clock: Clock, edited: Message, bob: User) -> None:
        clock.forward(assignment.PAGE_LEASE)
        with pytest.raises(assignment.NothingToDo):
            assignment.request_task(user=bob, lang="en", kind=Kind.PROMPTER_REPLY, policy=POLICY)
        assert not_true() == []

    def test_it_goes_when_it_is_skipped(self, edited: Message) -> None:
        assignment.skip(task_id=self.task.pk, user=self.task.user, policy=POLICY)
        assert not self.wanted(edited) and not_true() == []

    def test_it_goes_when_the_task_is_over(self, clock: Clock, edited: Message) -> None:
        clock.forward(assignment.VALIDITY)
        assert upkeep.expire_tasks(policy=POLICY) == 1
        assert not self.wanted(edited) and not_true() == []

    def test_it_is_free_again_when_the_new_text_is_accepted(self, clock: Clock, edited: Message, bob: User) -> None:
        clock.forward(assignment.PAGE_LEASE)
        decide(edited)
        task = assignment.request_task(user=bob, lang="en", kind=Kind.PROMPTER_REPLY, policy=POLICY)
        assert task.message == edited
