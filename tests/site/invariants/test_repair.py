"""check_invariants --repair: what can be derived is repaired, the rest is left, and running work is safe."""

from collections.abc import Callable
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django.utils import timezone

from oasst.accounts.models import User
from oasst.site.invariants import find_differences, tasks
from oasst.site.invariants.difference import Difference
from oasst.site.invariants.repair import NO_HISTORY, REPAIRS, repair
from tasks.kinds import Kind
from tasks.models import Task
from tests.concurrency.together import at_once
from tests.crowd import answer, start_tree, take, work_until
from tests.factories import new_people
from tests.site.invariants.test_check import FINISHED, GROWING, POLICY, SAMPLE
from trees.interchange.importer import import_files
from trees.lifecycle import transitions
from trees.lifecycle.locked_tree import LockedTree
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import Happening, Message, MessageTree, Opening, TreeTransition

pytestmark = pytest.mark.django_db

# Nothing from which it can be derived.
LOST = {
    "a reply in another tree",
    "two turns of one side",
    "a tree beyond its size",
    "too many replies",
    "a fact told twice",
    "a fact never told",
    "a task without its answer",
    "an open task with an answer",
    "the answer of somebody else",
    "a message without a task",
    "a review without a task",
    "a ranking without a task",
    "a skip that left no trace",
}


def mend() -> list[str]:
    return [str(one) for one in repair(POLICY, batch=10)]


def not_mended(ways: dict[str, tuple[Callable[[], object], str]]) -> dict[str, list[str]]:
    """Break in each way and repair; returns the ways after which something is left, with what that is."""
    failed = {}
    for how, (act, _) in ways.items():
        before = transaction.savepoint()
        act()
        said = mend()
        assert said, how
        left = [str(one) for one in find_differences(POLICY)]
        # In no order: the database counts the facts of a message as it likes.
        assert sorted(mend()) == sorted(f"{one}: left, it cannot be derived" for one in left), how
        if left:
            failed[how] = left
        transaction.savepoint_rollback(before)
    return failed


class TestWhatIsDerivable:
    def test_in_a_finished_tree(self) -> None:
        work_until(start_tree(POLICY), State.READY_FOR_EXPORT, POLICY)
        assert set(not_mended(FINISHED)) == LOST

    def test_in_a_growing_tree(self) -> None:
        work_until(start_tree(POLICY), State.GROWING, POLICY)
        assert not_mended(GROWING) == {}

    def test_nothing_to_mend(self) -> None:
        work_until(start_tree(POLICY), State.GROWING, POLICY)
        before = list(Opening.objects.order_by("pk").values()), TreeTransition.objects.count()
        assert mend() == []
        assert (list(Opening.objects.order_by("pk").values()), TreeTransition.objects.count()) == before

    def test_a_lost_opening_is_made_again(self) -> None:
        start_tree(POLICY)
        Opening.objects.all().delete()
        assert len(mend()) == 1
        assert Opening.objects.count() == 2

    def test_a_held_place_stays_held(self) -> None:
        tree = work_until(start_tree(POLICY), State.GROWING, POLICY)
        task = take(new_people(1)[0], POLICY)
        Message.objects.filter(pk=tree.pk).update(review_count=9)
        assert len(mend()) == 1
        assert Opening.objects.filter(lease=task.pk).exists()
        assert answer(task, POLICY).status == Task.Status.DONE

    def test_one_that_fails_does_not_hold_up_the_others(self, monkeypatch: pytest.MonkeyPatch) -> None:
        trees = [start_tree(POLICY) for _ in range(2)]
        Message.objects.update(review_count=7)
        real = transitions.advance

        def advance(locked: LockedTree, **who: object) -> bool:
            if locked.tree.pk == trees[0].pk:
                raise ZeroDivisionError
            return real(locked, **who)  # type: ignore[arg-type]

        with monkeypatch.context() as patch:
            patch.setattr(transitions, "advance", advance)
            said = mend()
        assert [one.split(": ")[-2:] for one in said] == [
            ["left, mending it failed", "ZeroDivisionError()"],
            ["expected 0, found 7", "mended"],
        ]
        assert dict(Message.objects.values_list("pk", "review_count")) == {trees[0].pk: 7, trees[1].pk: 0}

    def test_more_than_is_told_one_by_one(self, monkeypatch: pytest.MonkeyPatch, alice: User, bob: User) -> None:
        """A limited number at a time: the next run repairs the rest."""
        monkeypatch.setattr(tasks, "MAX_DIFFERENCES", 2)
        for _ in range(4):
            start_tree(POLICY)
        holders = new_people(4)
        for person in holders:
            take(person, POLICY, Kind.LABEL_INITIAL_PROMPT)
        Task.objects.filter(status=Task.Status.OPEN).update(status=Task.Status.EXPIRED, finished_at=timezone.now())
        User.objects.filter(pk__in=[person.pk for person in holders]).update(terms_version="old")
        for _ in range(3):
            mend()
        assert mend() == []
        assert not Opening.objects.exclude(lease=None).exists()

    def test_a_place_that_somebody_takes_meanwhile_stays_theirs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        start_tree(POLICY)
        (late, quick), real = new_people(2), tasks.run_check
        task = take(late, POLICY, Kind.LABEL_INITIAL_PROMPT)
        Task.objects.filter(status=Task.Status.OPEN).update(status=Task.Status.EXPIRED, finished_at=timezone.now())

        def run_named(check: str) -> list[Difference]:
            """Between reading and writing, the wrong hold expires and another user takes the opening."""
            found = real(check)
            Opening.objects.filter(lease=task.pk).update(holder=None, lease=None, held_until=None)
            Opening.objects.filter(pk__in=places).delete()
            taken.append(take(quick, POLICY, Kind.LABEL_INITIAL_PROMPT))
            return found

        taken: list[Task] = []
        places = list(Opening.objects.exclude(lease=task.pk).values_list("pk", flat=True))
        monkeypatch.setattr(tasks, "run_check", run_named)
        REPAIRS["leases_are_open_tasks"]()
        assert Opening.objects.get(lease=taken[0].pk).holder_id == quick.pk


class TestWithoutAHistory:
    """A tree has its own state column here, so it always has a state; what can be lost is its history."""

    @pytest.mark.parametrize("state", [State.INITIAL_PROMPT_REVIEW, State.GROWING, State.RANKING])
    def test_it_is_written_again_from_the_outbox(self, state: State) -> None:
        tree = work_until(start_tree(POLICY), state, POLICY)
        before = list(TreeTransition.objects.order_by("id").values_list("from_state", "to_state"))
        TreeTransition.objects.all().delete()
        MessageTree.objects.update(state=State.SCORING_FAILED)
        mend()
        assert list(TreeTransition.objects.order_by("id").values_list("from_state", "to_state")) == before
        tree.refresh_from_db()
        assert tree.state == state
        assert list(find_differences(POLICY)) == []

    @pytest.mark.parametrize("state", [State.INITIAL_PROMPT_REVIEW, State.PROMPT_LOTTERY_WAITING, State.RANKING])
    def test_nothing_is_told_either(self, state: State) -> None:
        """It gets the state that follows from its contents, and due steps are taken from there."""
        policy = TreePolicy(max_active_trees=0) if state == State.PROMPT_LOTTERY_WAITING else POLICY
        tree = work_until(start_tree(policy), state, policy)
        TreeTransition.objects.all().delete()
        Happening.objects.filter(kind="tree_moved").delete()
        MessageTree.objects.update(state=State.ABORTED_LOW_GRADE)
        mend()
        tree.refresh_from_db()
        assert tree.state == state
        assert TreeTransition.objects.order_by("id")[0].reason == NO_HISTORY
        assert list(find_differences(POLICY)) == []

    def test_an_imported_tree_is_what_its_file_said(self) -> None:
        import_files([SAMPLE], policy=POLICY)
        before = dict(MessageTree.objects.values_list("pk", "state"))
        TreeTransition.objects.all().delete()
        MessageTree.objects.update(state=State.GROWING)
        assert mend()
        assert dict(MessageTree.objects.values_list("pk", "state")) == before
        assert list(find_differences(POLICY)) == []


class TestCommand:
    def test_it_says_what_it_did_and_ends_well(self) -> None:
        tree = start_tree(POLICY)
        Message.objects.update(review_count=7)
        out = StringIO()
        call_command("check_invariants", repair=True, stdout=out)
        assert out.getvalue() == (
            f"review_counts: message {tree.pk}: expected 0, found 7: mended\n1 trees agree with their facts.\n"
        )
        again = StringIO()
        call_command("check_invariants", repair=True, stdout=again)
        assert again.getvalue() == "1 trees agree with their facts.\n"

    def test_it_fails_while_something_is_left(self) -> None:
        start_tree(POLICY)
        Happening.objects.filter(kind="message_posted").delete()
        Message.objects.update(review_count=7)
        out = StringIO()
        with pytest.raises(CommandError, match="1 difference in 1 trees"):
            call_command("check_invariants", repair=True, stdout=out)
        said = out.getvalue()
        # The counter of reviews, and the score of the prompt that has no event.
        assert said.count("mended") == 2 and said.count("left, it cannot be derived") == 1
        assert Message.objects.get().review_count == 0


@pytest.mark.django_db(transaction=True)
@pytest.mark.slow
def test_beside_running_work() -> None:
    policy = TreePolicy(num_reviews_initial_prompt=15, acceptance_threshold_initial_prompt=0.5)
    start_tree(policy)
    tasks = [take(person, policy, Kind.LABEL_INITIAL_PROMPT) for person in new_people(8)]
    Message.objects.update(review_count=99)
    acts: list[Callable[[], object]] = [lambda task=task: answer(task, policy) for task in tasks]  # type: ignore[misc]
    results = at_once([*acts, *[lambda: list(repair(policy, batch=10))] * 2])
    assert [one for one in results if isinstance(one, Exception)] == []
    assert list(find_differences(policy)) == []
    assert Message.objects.get().review_count == 8
