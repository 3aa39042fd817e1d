"""Many people at the same moment: everybody gets work, nothing is counted twice or lost."""

import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest
from django.utils import timezone

from oasst.accounts.models import User
from oasst.core.errors import DomainError, Gone
from oasst.site.invariants import find_differences
from tasks import assignment, backlog, hot, lottery, queries, submission, upkeep
from tasks.kinds import Kind
from tasks.models import Task
from tests.concurrency.together import at_once, in_other_connection, rival_before
from tests.crowd import answer, start_tree, take, work_until
from tests.factories import conversation, new_people
from trees.contributing import reviews
from trees.hot import OpeningManager
from trees.interchange.importer import import_files
from trees.lifecycle import demand
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import Message, MessageTree, Opening, Ranking, Review

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

# Fifteen reviews, of which eight decide: so many openings exist at once.
EIGHT_REVIEWS = TreePolicy(num_reviews_initial_prompt=15, acceptance_threshold_initial_prompt=0.5)
EIGHT_REPLIES = TreePolicy(max_children_count=8, goal_tree_size=9, max_tree_depth=1)
SMALL = TreePolicy(goal_tree_size=4, max_tree_depth=1)


@pytest.fixture(autouse=True)
def _everything_agrees(request: pytest.FixtureRequest) -> Iterator[None]:
    """The facts agree after all concurrent work. Tests name their policy by the mark `policy`."""
    yield
    mark = request.node.get_closest_marker("policy")
    assert list(find_differences(mark.args[0] if mark else SMALL)) == []


def failures(results: list[object]) -> list[object]:
    return [result for result in results if isinstance(result, Exception)]


def all_take(people: list[User], policy: TreePolicy, kind: Kind) -> list[Task]:
    results = at_once([lambda person=person: take(person, policy, kind) for person in people])  # type: ignore[misc]
    assert failures(results) == []
    return results  # type: ignore[return-value]


def all_answer(tasks: list[Task], policy: TreePolicy) -> None:
    results = at_once([lambda task=task: answer(task, policy) for task in tasks])  # type: ignore[misc]
    assert failures(results) == []
    assert {task.status for task in Task.objects.filter(pk__in=[task.pk for task in tasks])} == {"done"}


class TestEightOnOneMessage:
    """Eight take at once, and eight answer at once: eight succeed."""

    @pytest.mark.policy(EIGHT_REVIEWS)
    def test_reviews(self) -> None:
        tree = start_tree(EIGHT_REVIEWS)
        tasks = all_take(new_people(8), EIGHT_REVIEWS, Kind.LABEL_INITIAL_PROMPT)
        all_answer(tasks, EIGHT_REVIEWS)
        root = Message.objects.get(pk=tree.pk)
        assert (root.review_count, root.review_result) == (8, True)
        assert Review.objects.values("author").distinct().count() == 8
        tree.refresh_from_db()
        assert tree.state == State.PROMPT_LOTTERY_WAITING

    @pytest.mark.policy(EIGHT_REPLIES)
    def test_replies(self) -> None:
        tree = work_until(start_tree(EIGHT_REPLIES), State.GROWING, EIGHT_REPLIES)
        all_answer(all_take(new_people(8), EIGHT_REPLIES, Kind.ASSISTANT_REPLY), EIGHT_REPLIES)
        replies = Message.objects.filter(parent=tree.pk)
        assert sorted(replies.values_list("position", flat=True)) == list(range(8))
        assert not Opening.objects.filter(work=Kind.ASSISTANT_REPLY.value).exists()

    @pytest.mark.policy(replace(SMALL, num_required_rankings=8))
    def test_rankings(self) -> None:
        policy = replace(SMALL, num_required_rankings=8)
        tree = work_until(start_tree(policy), State.RANKING, policy)
        all_answer(all_take(new_people(8), policy, Kind.RANK_ASSISTANT_REPLIES), policy)
        assert Ranking.objects.count() == 8
        assert set(Message.objects.filter(parent=tree.pk).values_list("ranking_count", flat=True)) == {8}
        tree.refresh_from_db()
        assert tree.state == State.READY_FOR_EXPORT


class TestTheSameTwice:
    def test_one_task_answered_twice_at_once(self, alice: User) -> None:
        task = take(alice, SMALL, Kind.INITIAL_PROMPT)

        def send() -> UUID | None:
            done = submission.submit_text(task_id=task.pk, user=alice, text="How do plants drink?", policy=SMALL)
            return done.result_message_id

        results = at_once([send] * 4)
        assert failures(results) == []  # type: ignore[arg-type]
        assert set(results) == {Message.objects.get().pk}

    def test_two_different_answers_to_one_task(self, alice: User) -> None:
        task = take(alice, SMALL, Kind.INITIAL_PROMPT)

        def send(text: str) -> Callable[[], Task]:
            return lambda: submission.submit_text(task_id=task.pk, user=alice, text=text, policy=SMALL)

        results = at_once([send("One"), send("Two")])
        assert [getattr(error, "code", error) for error in failures(results)] == ["task_done"]  # type: ignore[arg-type]
        assert Message.objects.count() == 1

    def test_one_key_asked_twice_at_once(self, alice: User) -> None:
        def ask() -> UUID:
            return assignment.request_task(user=alice, lang="en", policy=SMALL, repeat_key="once").pk

        results = at_once([ask] * 4)
        assert set(results) == {Task.objects.get().pk}

    def test_the_cap_of_begun_tasks_is_exact(self, alice: User) -> None:
        results = at_once([lambda: take(alice, SMALL, Kind.INITIAL_PROMPT)] * 8 + [lambda: take(alice, SMALL)] * 2)
        assert [getattr(error, "code", error) for error in failures(results)] == ["too_many_pending"] * 2  # type: ignore[arg-type]
        assert Task.objects.count() == queries.MAX_PENDING


class TestTheLastPlace:
    def test_one_gets_it_and_the_other_hears_so(self) -> None:
        start_tree(SMALL)
        first, second, third = new_people(3)
        take(first, SMALL, Kind.LABEL_INITIAL_PROMPT)
        results = at_once(
            [
                lambda: take(second, SMALL, Kind.LABEL_INITIAL_PROMPT),
                lambda: take(third, SMALL, Kind.LABEL_INITIAL_PROMPT),
            ]
        )
        assert [type(error) for error in failures(results)] == [assignment.NothingToDo]  # type: ignore[arg-type]
        assert Opening.objects.filter(held_until=None).count() == 0

    def test_a_place_taken_while_the_tree_moves_is_kept(self) -> None:
        """An accepted answer moves a wanted reply to another parent while somebody takes the former opening."""
        policy = TreePolicy(goal_tree_size=4, max_tree_depth=3, max_children_count=3, lonely_children_count=0)
        tree = work_until(start_tree(policy), State.GROWING, policy)
        writer, late, *reviewers = new_people(5)
        answer(take(writer, policy, Kind.ASSISTANT_REPLY), policy)
        before_last, last = (take(person, policy, Kind.LABEL_ASSISTANT_REPLY) for person in reviewers[:2])
        answer(before_last, policy)
        taken: list[Task] = []
        with rival_before(demand, "openings_wanted", lambda: taken.append(take(late, policy, Kind.ASSISTANT_REPLY))):
            answer(last, policy)
        assert Opening.objects.filter(lease=taken[0].pk).exists()
        assert list(find_differences(policy)) == []
        assert answer(taken[0], policy).status == Task.Status.DONE
        assert list(find_differences(policy)) == []
        assert Message.objects.filter(tree=tree).count() == 3

    def test_a_late_answer_takes_no_place_from_somebody_else(self) -> None:
        """The free opening that it wants is taken between reading and using it."""
        start_tree(SMALL)
        first, late, quick = new_people(3)
        take(first, SMALL, Kind.LABEL_INITIAL_PROMPT)
        task = take(late, SMALL, Kind.LABEL_INITIAL_PROMPT)
        Opening.objects.filter(lease=task.pk).update(held_until=timezone.now())
        taken: list[Task] = []
        rival = lambda: taken.append(take(quick, SMALL, Kind.LABEL_INITIAL_PROMPT))  # noqa: E731
        with rival_before(reviews, "_insert_review", rival), pytest.raises(Gone) as refusal:
            answer(task, SMALL)
        assert refusal.value.code == "no_place_left"
        assert answer(taken[0], SMALL).status == Task.Status.DONE


class TestLottery:
    @pytest.mark.policy(replace(SMALL, max_active_trees=2))
    def test_six_draws_at_once_keep_the_target(self) -> None:
        policy, closed = replace(SMALL, max_active_trees=2), replace(SMALL, max_active_trees=0)
        for _ in range(6):
            work_until(start_tree(closed), State.PROMPT_LOTTERY_WAITING, closed)
        results = at_once([lambda: lottery.draw("en", policy)] * 6)
        assert failures(results) == []  # type: ignore[arg-type]
        assert MessageTree.objects.filter(state=State.GROWING).count() == 2


class TestBacklog:
    """B9 of the reference system: there two requests choose the same tree, and then conflict."""

    @pytest.mark.policy(replace(SMALL, min_active_rankings=2))
    def test_six_at_once_keep_the_room_of_the_rankers(self, tmp_path: Path) -> None:
        policy = replace(SMALL, min_active_rankings=2)
        file = tmp_path / "trees.jsonl"
        file.write_text("".join(json.dumps(conversation()) + "\n" for _ in range(4)))
        import_files([file], policy=policy, to_backlog=True)
        results = at_once([lambda: backlog.activate("en", policy)] * 6)
        assert failures(results) == []  # type: ignore[arg-type]
        assert sum(results) == 2  # type: ignore[arg-type]
        by_age = MessageTree.objects.order_by("number").values_list("state", flat=True)
        assert list(by_age) == [State.RANKING] * 2 + [State.BACKLOG_RANKING] * 2


class TestPriority:
    def test_a_place_is_taken_while_its_priority_changes(self) -> None:
        start_tree(SMALL)
        first, second = new_people(2)
        task = take(first, SMALL, Kind.LABEL_INITIAL_PROMPT)
        rival = lambda: take(second, SMALL, Kind.LABEL_INITIAL_PROMPT)  # noqa: E731
        with rival_before(OpeningManager, "change", rival):
            answer(task, SMALL)
        left = Opening.objects.get()
        assert (left.holder, left.priority) == (second, 10)


class TestAgainstTheClock:
    def test_the_clean_up_passes_by_an_answer_in_work(self) -> None:
        start_tree(SMALL)
        task = take(new_people(1)[0], SMALL, Kind.LABEL_INITIAL_PROMPT)
        Task.objects.filter(pk=task.pk).update(expires_at=timezone.now() + timedelta(seconds=1))

        def expire() -> None:
            time.sleep(1.1)
            assert upkeep.expire_tasks(policy=SMALL) == 0

        with rival_before(reviews, "record_labels", expire):
            answer(task, SMALL)
        task.refresh_from_db()
        assert task.status == Task.Status.DONE

    def test_an_answer_after_the_clean_up(self) -> None:
        start_tree(SMALL)
        task = take(new_people(1)[0], SMALL, Kind.LABEL_INITIAL_PROMPT)

        def expire() -> None:
            Task.objects.filter(pk=task.pk).update(expires_at=timezone.now())
            assert upkeep.expire_tasks(policy=SMALL) == 1

        with rival_before(submission, "lock_task", expire), pytest.raises(Gone) as refusal:
            answer(task, SMALL)
        assert refusal.value.code == "task_expired"
        assert not Review.objects.exists()
        assert Opening.objects.filter(held_until=None).count() == 2

    def test_clean_ups_at_once_close_each_task_once(self) -> None:
        start_tree(SMALL)
        for person in new_people(2):
            take(person, SMALL, Kind.LABEL_INITIAL_PROMPT)
        Task.objects.filter(status="open").update(expires_at=timezone.now())
        results = at_once([partial(upkeep.expire_tasks, policy=SMALL)] * 3)
        assert failures(results) == []  # type: ignore[arg-type]
        assert sum(results) == 2  # type: ignore[arg-type]


class TestSkipAgainstAnswer:
    def test_one_of_them_counts(self) -> None:
        start_tree(SMALL)
        for _ in range(3):
            task = take(new_people(1)[0], SMALL, Kind.LABEL_INITIAL_PROMPT)
            results = at_once(
                [
                    lambda task=task: answer(task, SMALL),  # type: ignore[misc]
                    lambda task=task: assignment.skip(task_id=task.pk, user=task.user, policy=SMALL),  # type: ignore[misc]
                ]
            )
            task.refresh_from_db()
            assert task.status in (Task.Status.DONE, Task.Status.SKIPPED)
            assert [type(error) for error in failures(results)] == [Gone]  # type: ignore[arg-type]
            if task.status == Task.Status.DONE:
                break

    def test_skipping_while_the_answer_is_on_its_way(self) -> None:
        start_tree(SMALL)
        task = take(new_people(1)[0], SMALL, Kind.LABEL_INITIAL_PROMPT)
        give_up = lambda: assignment.skip(task_id=task.pk, user=task.user, policy=SMALL)  # noqa: E731
        with rival_before(submission, "lock_task", give_up), pytest.raises(Gone) as refusal:
            answer(task, SMALL)
        assert refusal.value.code == "task_skipped"
        assert not Review.objects.exists()


class TestMix:
    @pytest.mark.policy(replace(SMALL, max_active_trees=3))
    def test_a_crowd_of_threads(self) -> None:
        """Six threads, each with several people, on few trees, so that many of them meet."""
        policy = replace(SMALL, max_active_trees=3)
        people = new_people(18)
        for person in people[:3]:
            start_tree(policy, person)

        def work(some: list[User]) -> Callable[[], int]:
            def go() -> int:
                done = 0
                for _ in range(25):
                    person = random.choice(some)
                    try:
                        answer(take(person, policy), policy)
                        done += 1
                    except (DomainError, assignment.NothingToDo) as error:
                        assert error.code in ("no_work", "no_place_left"), error
                return done

            return go

        results = at_once([work(people[n::6]) for n in range(6)])
        assert failures(results) == []  # type: ignore[arg-type]
        assert sum(results) > 30  # type: ignore[arg-type]
        assert in_other_connection(lambda: hot.available_kinds(people[0], "en", timezone.now())) is not None
