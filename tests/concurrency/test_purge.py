"""A purge while people work, the purged user among them."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from oasst.accounts.models import PurgeProposal, User
from oasst.core.errors import Conflict, Gone, NotAllowed
from oasst.site import purge_proposals, purging
from oasst.site.invariants import find_differences
from tasks import lottery, submission
from tasks.kinds import Kind
from tests.concurrency.together import at_once, rival_before
from tests.crowd import answer, start_tree, take, work_until
from tests.factories import new_people, new_person
from trees.contributing import reactions
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import Message, Opening, Purge, Ranking, Reaction, Review
from trees.moderation import purging as in_one_tree

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
POLICY = TreePolicy(goal_tree_size=6, max_tree_depth=1, max_children_count=6)


@pytest.fixture(autouse=True)
def _everything_agrees() -> Iterator[None]:
    yield
    assert list(find_differences(POLICY)) == []


@pytest.fixture
def spammer() -> User:
    return new_person("Spam")


def order(person: User, actor: User) -> Purge:
    return purging.start_purge(user=person, actor=actor, reason="Advertising.")


def run(ordered: Purge) -> Purge:
    return purging.continue_purge(purge_id=ordered.pk, policy=POLICY)


def growing_trees(number: int) -> None:
    """Drawn at the end, so that nobody works on the first trees while the others are reviewed."""
    closed = replace(POLICY, max_active_trees=0)
    for _ in range(number):
        work_until(start_tree(closed), State.PROMPT_LOTTERY_WAITING, closed)
    lottery.draw("en", POLICY, limit=number)


def nothing_stands(person: User) -> bool:
    return in_one_tree.trees_of(person.pk) == []


class TestAgainstSubmit:
    def test_by_the_purged_person(self, spammer: User, mo: User) -> None:
        """Ten submissions are running when the ban comes: each is stored before it and removed, or refused."""
        growing_trees(3)
        trees = [start_tree(POLICY) for _ in range(3)]
        tasks = [take(spammer, POLICY, Kind.ASSISTANT_REPLY) for _ in range(3)]
        tasks += [take(spammer, POLICY, Kind.LABEL_INITIAL_PROMPT) for _ in range(3)]
        stale = [User.objects.get(pk=spammer.pk) for _ in range(4)]
        acts = [lambda task=task: answer(task, POLICY) for task in tasks]  # type: ignore[misc]
        acts += [
            lambda person=person, tree=tree: reactions.set_reaction(  # type: ignore[misc]
                message_id=tree.pk, user=person, emoji="rofl"
            )
            for person, tree in zip(stale, trees, strict=False)
        ]
        results = at_once([*acts, lambda: run(order(spammer, mo))])  # type: ignore[list-item]
        refused = [result for result in results if isinstance(result, Exception)]
        assert {type(error) for error in refused} <= {NotAllowed}, refused
        assert nothing_stands(spammer)
        run(purging.undo_purge(purge_id=Purge.objects.get().pk, actor=mo, reason="Wrong person."))
        stored = sum(not isinstance(result, Exception) for result in results[: len(tasks)])
        mine = Message.objects.filter(author=spammer, deleted=False).count()
        assert mine + Review.objects.filter(author=spammer).count() == stored

    def test_an_answer_that_began_before_the_ban(self, spammer: User, mo: User) -> None:
        """The user was allowed in when the request began; the task is locked after the ban."""
        start_tree(POLICY)
        task = take(spammer, POLICY, Kind.LABEL_INITIAL_PROMPT)
        with (
            rival_before(submission, "lock_task", lambda: run(order(spammer, mo))),
            pytest.raises(NotAllowed) as refusal,
        ):
            answer(task, POLICY)
        assert refusal.value.code == "suspended"
        assert not Review.everything.exists()

    def test_by_others_on_the_same_trees(self, spammer: User, mo: User) -> None:
        people = new_people(8)
        growing_trees(2)
        for _ in range(2):
            answer(take(spammer, POLICY, Kind.ASSISTANT_REPLY), POLICY)
        tasks = [take(person, POLICY, Kind.LABEL_ASSISTANT_REPLY) for person in people[:2]]
        tasks += [take(person, POLICY, Kind.ASSISTANT_REPLY) for person in people[2:]]
        acts = [lambda task=task: answer(task, POLICY) for task in tasks]  # type: ignore[misc]
        results = at_once([*acts, lambda: run(order(spammer, mo))])  # type: ignore[list-item]
        refused = [result for result in results if isinstance(result, Exception)]
        assert {type(error) for error in refused} <= {Gone}, refused  # a reviewed reply that was just removed
        assert all(not isinstance(result, Exception) for result in results[2:])
        assert nothing_stands(spammer)

    def test_rankings_that_complete_a_tree(self, spammer: User, mo: User) -> None:
        people = new_people(4)
        small = TreePolicy(goal_tree_size=4, max_tree_depth=1)
        tree = work_until(start_tree(small), State.RANKING, small, people)
        rankers = [spammer, *new_people(2)]
        tasks = [take(person, small, Kind.RANK_ASSISTANT_REPLIES) for person in rankers]
        answer(tasks[0], small)
        acts = [lambda task=task: answer(task, small) for task in tasks[1:]]  # type: ignore[misc]
        results = at_once([*acts, lambda: purging.continue_purge(purge_id=order(spammer, mo).pk, policy=small)])  # type: ignore[list-item]
        assert not [result for result in results if isinstance(result, Exception)]
        tree.refresh_from_db()
        assert Ranking.objects.count() == 2
        assert tree.state == State.READY_FOR_EXPORT or Opening.objects.filter(tree=tree).count() == 1


class TestTwoRuns:
    def test_at_once(self, spammer: User, mo: User) -> None:
        for _ in range(4):
            tree = start_tree(POLICY)
            reactions.set_reaction(message_id=tree.pk, user=spammer, emoji="+1")
        foretold = purging.preview_purge(user=spammer, actor=mo, policy=POLICY)
        ordered = order(spammer, mo)
        results = at_once([lambda: run(ordered)] * 3)
        assert not [result for result in results if isinstance(result, Exception)]
        ordered.refresh_from_db()
        assert ordered.counts == dict(foretold)
        purging.undo_purge(purge_id=ordered.pk, actor=mo, reason="Wrong person.")
        results = at_once([lambda: run(ordered)] * 3)
        assert not [result for result in results if isinstance(result, Exception)]
        assert Reaction.objects.filter(author=spammer).count() == 4
        assert list(Message.objects.values_list("emojis", flat=True)) == [{"+1": 1}] * 4


class TestTwoPeople:
    """Proposing and confirming at the same moment: one purge, or none."""

    def fresh(self, person: User) -> User:
        return User.objects.get(pk=person.pk)

    def test_two_propose(self, spammer: User, mo: User) -> None:
        ida = new_person("Ida", "admin")
        acts = [
            partial(purge_proposals.propose, user=self.fresh(spammer), actor=actor, reason="Spam.")
            for actor in (mo, ida)
        ]
        results = at_once(acts)
        assert [one.code for one in results if isinstance(one, Conflict)] == ["already_proposed"]
        assert PurgeProposal.objects.count() == 1 and not Purge.objects.exists()

    def test_two_confirm_while_it_is_refused_and_withdrawn(self, mo: User) -> None:
        ida, una, max_ = new_person("Ida", "admin"), new_person("Una", "admin"), new_person("Max", "moderator")
        for name in ("First", "Second", "Third"):
            person = new_person(name)
            proposal = purge_proposals.propose(user=person, actor=mo, reason="Spam.")
            acts: list[Any] = [
                partial(purge_proposals.confirm, user=self.fresh(person), actor=actor, name=person.display_name)
                for actor in (ida, una)
            ]
            acts.append(partial(purge_proposals.refuse, proposal_id=proposal.pk, actor=max_, reason="No."))
            results = at_once([*acts, partial(purge_proposals.withdraw, user=self.fresh(person), actor=mo)])
            refused = [one.code for one in results if isinstance(one, Conflict)]
            assert refused == ["nothing_proposed"] * 3 and len(results) == 4
            outcome = PurgeProposal.objects.get(user=person).outcome
            begun = Purge.objects.filter(person=person).count()
            assert (outcome, begun) in (("confirmed", 1), ("refused", 0), ("withdrawn", 0))
