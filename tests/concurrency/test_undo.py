"""An answer is taken back while others take, judge or decide about it: one is first, nothing is half done."""

from collections.abc import Iterator

import pytest

from oasst.accounts.models import User
from oasst.site.invariants import find_differences
from tasks import lottery
from tasks.assignment import NothingToDo
from tasks.kinds import Kind
from tasks.models import Task
from tasks.undo import undo_answer
from tests.concurrency.test_rivals import ROUNDS, rivals
from tests.crowd import answer, take
from tests.factories import new_person
from tests.tasks.test_undo import POLICY, a_reply, deciding_review, first_ranking, first_review, last_ranking
from trees.models import Message, MessageTree, Opening, Ranking, Review
from trees.moderation import moderator_actions

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture(autouse=True)
def _everything_agrees(transactional_db: None) -> Iterator[None]:
    yield
    assert list(find_differences(POLICY)) == []


def undo(task: Task) -> None:
    undo_answer(task_id=task.pk, user=task.user, policy=POLICY)


def is_undone(task: Task) -> bool:
    return Task.objects.get(pk=task.pk).status == Task.Status.OPEN


def clear(tree: MessageTree, mo: User) -> None:
    """Leave no work of this round to the next."""
    moderator_actions.halt(tree_id=tree.pk, actor=mo, reason="Out of the way of the next round.", policy=POLICY)


@pytest.fixture
def mo(transactional_db: None) -> User:
    return new_person("Mo", role="moderator")


def test_pressed_twice_at_once() -> None:
    task = first_review()
    answer(task, POLICY)
    assert rivals(*[lambda: undo(task)] * 3, allowed=set()) == ["", "", ""]
    assert Review.objects.count() == 0 and Opening.objects.filter(lease=task.pk).count() == 1


def test_a_reply_against_its_first_reader(mo: User) -> None:
    for _ in range(ROUNDS):
        task = a_reply()
        answer(task, POLICY)
        reader = new_person("Reader")
        codes = rivals(
            lambda one=task: undo(one),  # type: ignore[misc]
            lambda one=reader: take(one, POLICY, Kind.LABEL_ASSISTANT_REPLY),  # type: ignore[misc]
            allowed={"built_on", NothingToDo.default_code},
        )
        assert is_undone(task) == (codes[0] == "")
        took = Task.objects.filter(user=reader, status=Task.Status.OPEN).exists()
        assert took == (codes[1] == "") and (codes[0] == "") != took
        assert task.message is not None
        clear(task.message.tree, mo)


def test_the_last_review_against_who_draws_and_answers(mo: User) -> None:
    for _ in range(ROUNDS):
        task = deciding_review()
        answer(task, POLICY)
        lottery.draw("en", POLICY)
        writer = new_person("Writer")
        codes = rivals(
            lambda one=task: undo(one),  # type: ignore[misc]
            lambda one=writer: answer(take(one, POLICY, Kind.ASSISTANT_REPLY), POLICY),  # type: ignore[misc]
            allowed={"built_on", "no_place_left", "message_deleted", NothingToDo.default_code},
        )
        assert is_undone(task) == (codes[0] == "")
        assert task.message is not None
        replies = Message.objects.filter(parent=task.message.pk, deleted=False).count()
        assert (replies == 1) == (codes[1] == "") and not (is_undone(task) and replies)
        clear(task.message.tree, mo)


def test_two_rankings_at_once_and_one_is_taken_back(mo: User) -> None:
    for _ in range(ROUNDS):
        task = first_ranking()
        answer(task, POLICY)
        other = take(new_person("Ranker"), POLICY, Kind.RANK_ASSISTANT_REPLIES)
        codes = rivals(
            lambda one=task: undo(one),  # type: ignore[misc]
            lambda one=other: answer(one, POLICY),  # type: ignore[misc]
            allowed={"built_on"},
        )
        assert codes[1] == "" and is_undone(task) == (codes[0] == "")
        assert task.message is not None
        assert Ranking.objects.filter(parent=task.message).count() == 1 + (codes[0] != "")
        clear(task.message.tree, mo)


def test_against_a_moderator_who_stops_the_tree(mo: User) -> None:
    for _ in range(ROUNDS):
        task = last_ranking()
        answer(task, POLICY)
        assert task.message is not None
        tree = task.message.tree
        codes = rivals(
            lambda one=task: undo(one),  # type: ignore[misc]
            lambda one=tree: clear(one, mo),  # type: ignore[misc]
            allowed={"built_on"},
        )
        assert codes[1] == "" and is_undone(task) == (codes[0] == "")
