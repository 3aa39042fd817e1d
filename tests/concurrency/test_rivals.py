"""Two users want opposite things of one tree at the same moment: one is first, both get the right answer."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from django.utils import timezone

from oasst.accounts.account_bans import ban
from oasst.accounts.models import User
from oasst.core.errors import DomainError
from oasst.site.invariants import find_differences
from tasks import upkeep
from tasks.kinds import Kind
from tasks.models import Task
from tests.concurrency.together import at_once
from tests.crowd import answer, start_tree, take, work_until
from tests.factories import new_people, new_person
from trees.interchange.importer import import_files
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import Deletion, Message, MessageTree, Opening, Ranking, Review, TreeTransition
from trees.moderation import moderator_actions

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

SMALL = TreePolicy(goal_tree_size=4, max_tree_depth=1)
ONE_REVIEW = replace(SMALL, num_reviews_initial_prompt=1)
ROUNDS = 4  # the order is random, so each test has some rounds


@pytest.fixture(autouse=True)
def _everything_agrees(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    mark = request.node.get_closest_marker("policy")
    assert list(find_differences(mark.args[0] if mark else SMALL)) == []


@pytest.fixture
def mo(transactional_db: None) -> User:
    return new_person("Mo", role="moderator")


def rivals(*acts: Callable[[], object], allowed: set[str]) -> list[str]:
    """Return the result of each act: "" or the code of its refusal, which must be allowed. Busy never is."""
    results = at_once(acts)
    strange = [one for one in results if isinstance(one, Exception) and not isinstance(one, DomainError)]
    assert strange == []
    codes = [one.code if isinstance(one, DomainError) else "" for one in results]
    assert set(codes) <= allowed | {""}
    return codes


def kept(tasks: list[Task]) -> int:
    return Task.objects.filter(pk__in=[task.pk for task in tasks], status=Task.Status.DONE).count()


def let_holds_end(tasks: list[Task]) -> None:
    Opening.objects.filter(lease__in=[task.pk for task in tasks]).update(held_until=timezone.now())


class TestTheLastPlace:
    def test_of_three_late_replies_one_gets_it(self) -> None:
        policy = replace(SMALL, goal_tree_size=2)
        tree = work_until(start_tree(policy), State.GROWING, policy)
        late: list[Task] = []
        for person in new_people(3):  # each got the one opening after the hold of the one before had ended
            late.append(take(person, policy, Kind.ASSISTANT_REPLY))
            let_holds_end(late)
        codes = rivals(*[lambda one=one: answer(one, policy) for one in late], allowed={"no_place_left"})  # type: ignore[misc]
        assert sorted(codes) == ["", "no_place_left", "no_place_left"]
        assert Message.objects.filter(parent=tree.pk).count() == kept(late) == 1

    @pytest.mark.policy(ONE_REVIEW)
    def test_of_three_late_reviews_as_many_as_are_wanted(self) -> None:
        policy = ONE_REVIEW
        tree = start_tree(policy)
        late: list[Task] = []
        for person in new_people(3):
            late.append(take(person, policy, Kind.LABEL_INITIAL_PROMPT))
            let_holds_end(late)
        codes = rivals(*[lambda one=one: answer(one, policy) for one in late], allowed={"no_place_left"})  # type: ignore[misc]
        assert sorted(codes) == ["", "no_place_left", "no_place_left"]
        assert Review.objects.filter(message=tree.pk).count() == Message.objects.get(pk=tree.pk).review_count == 1


class TestTheLastVote:
    def test_three_rankings_at_once_finish_the_tree_once(self) -> None:
        tree = work_until(start_tree(SMALL), State.RANKING, SMALL)
        tasks = [take(person, SMALL, Kind.RANK_ASSISTANT_REPLIES) for person in new_people(3)]
        rivals(*[lambda one=one: answer(one, SMALL) for one in tasks], allowed=set())  # type: ignore[misc]
        tree.refresh_from_db()
        assert tree.state == State.READY_FOR_EXPORT
        assert Ranking.objects.count() == kept(tasks) == 3
        steps = TreeTransition.objects.filter(tree=tree).values_list("to_state", flat=True)
        assert list(steps).count(State.READY_FOR_EXPORT) == list(steps).count(State.READY_FOR_SCORING) == 1
        replies = Message.objects.filter(parent=tree.pk)
        assert sorted(replies.values_list("rank", flat=True)) == [0, 1, 2]

    def test_two_reviews_at_once_decide_once(self) -> None:
        tree = start_tree(SMALL)
        tasks = [take(person, SMALL, Kind.LABEL_INITIAL_PROMPT) for person in new_people(2)]
        rivals(*[lambda one=one: answer(one, SMALL) for one in tasks], allowed=set())  # type: ignore[misc]
        tree.refresh_from_db()
        assert (tree.state, kept(tasks)) == (State.PROMPT_LOTTERY_WAITING, 2)
        assert TreeTransition.objects.filter(tree=tree, to_state=State.PROMPT_LOTTERY_WAITING).count() == 1


class TestModeratorAgainstContributor:
    def test_halt_against_answers(self, mo: User) -> None:
        for _ in range(ROUNDS):
            tree = start_tree(SMALL)
            tasks = self._reviewers()
            halt = lambda pk=tree.pk: moderator_actions.halt(tree_id=pk, actor=mo, reason="Odd.", policy=SMALL)  # noqa: E731
            codes = rivals(halt, *self._answers(tasks), allowed={"tree_stopped"})
            assert codes[0] == ""
            tree.refresh_from_db()
            assert (tree.state, Opening.objects.filter(tree=tree).count()) == (State.HALTED_BY_MODERATOR, 0)
            assert Review.objects.filter(message=tree.pk).count() == kept(tasks) == codes[1:].count("")

    def test_delete_against_answers(self, mo: User) -> None:
        for _ in range(ROUNDS):
            tree = start_tree(SMALL)
            tasks = self._reviewers()
            delete = lambda pk=tree.pk: moderator_actions.delete_message(  # noqa: E731
                message_id=pk, actor=mo, reason="Copied.", policy=SMALL
            )
            codes = rivals(delete, *self._answers(tasks), allowed={"message_deleted"})
            assert codes[0] == ""
            tree.refresh_from_db()
            assert tree.state == State.HALTED_BY_MODERATOR
            assert Review.objects.filter(message=tree.pk).count() == kept(tasks) == codes[1:].count("")

    def test_deleted_twice_at_once_is_one_deletion(self, mo: User) -> None:
        tree = start_tree(SMALL)
        delete = lambda: moderator_actions.delete_message(message_id=tree.pk, actor=mo, reason="Copied.", policy=SMALL)  # noqa: E731
        assert sorted(rivals(*[delete] * 4, allowed={"already_deleted"})) == ["", *["already_deleted"] * 3]
        assert Deletion.objects.count() == 1

    def test_edit_against_reviews(self, mo: User) -> None:
        """A review counts for the text that was read, or is refused because the text has changed."""
        for number in range(ROUNDS):
            tree = start_tree(SMALL)
            tasks = self._reviewers()
            edit = lambda pk=tree.pk, number=number: moderator_actions.edit_message(  # noqa: E731
                message_id=pk, actor=mo, text=f"Better {number}.", reason="Typo.", policy=SMALL
            )
            codes = rivals(edit, *self._answers(tasks), allowed={"text_changed"})
            assert codes[0] == ""
            root = Message.objects.get(pk=tree.pk)
            assert not Review.objects.filter(revision=root.revision_id).exists()
            assert root.review_count == kept(tasks) == codes[1:].count("")
            # The next round needs its own tree: this one may still want reviews, and the oldest come first.
            moderator_actions.halt(tree_id=tree.pk, actor=mo, reason="Done with.", policy=SMALL)

    def test_ban_against_an_answer(self, mo: User) -> None:
        for _ in range(ROUNDS):
            start_tree(SMALL)
            (task,) = self._reviewers(1)
            person = User.objects.get(pk=task.user_id)
            codes = rivals(
                lambda person=person: ban(person, actor=mo, reason="Rude."),  # type: ignore[misc]
                *self._answers([task]),
                allowed={"suspended"},
            )
            assert codes[0] == ""
            assert kept([task]) == Review.objects.filter(author=task.user_id).count() == codes[1:].count("")

    @staticmethod
    def _reviewers(number: int = 2) -> list[Task]:
        return [take(person, SMALL, Kind.LABEL_INITIAL_PROMPT) for person in new_people(number)]

    @staticmethod
    def _answers(tasks: list[Task]) -> list[Callable[[], Task]]:
        return [lambda one=one: answer(one, SMALL) for one in tasks]  # type: ignore[misc]


class TestTheClockAgainstAnAnswer:
    def test_a_task_is_done_or_expired(self) -> None:
        for _ in range(ROUNDS):
            start_tree(SMALL)
            task = take(new_person("Late"), SMALL, Kind.LABEL_INITIAL_PROMPT)
            Task.objects.filter(pk=task.pk).update(expires_at=timezone.now() + timedelta(milliseconds=15))
            codes = rivals(
                lambda task=task: answer(task, SMALL),  # type: ignore[misc]
                *[partial(upkeep.expire_tasks, policy=SMALL)] * 3,
                allowed={"task_expired"},
            )
            upkeep.expire_tasks(policy=SMALL)
            task.refresh_from_db()
            assert task.status == (Task.Status.EXPIRED if codes[0] else Task.Status.DONE)
            # Not of this round's tree: a tree with an expired task comes first.
            assert Review.objects.filter(message=task.message_id, author=task.user).count() == kept([task])


class TestTheLottery:
    def test_six_who_ask_at_once_let_two_grow_when_two_are_wanted(self) -> None:
        policy, closed = replace(SMALL, max_active_trees=2), replace(SMALL, max_active_trees=0)
        for _ in range(5):
            work_until(start_tree(closed), State.PROMPT_LOTTERY_WAITING, closed)
        people = new_people(6)
        codes = rivals(
            *[lambda one=one: take(one, policy, Kind.ASSISTANT_REPLY) for one in people],  # type: ignore[misc]
            allowed={"no_work"},
        )
        assert MessageTree.objects.filter(state=State.GROWING).count() == 2
        # Two trees want three replies each, and the users whose requests drew them see their openings too.
        assert codes.count("") == Task.objects.filter(kind=Kind.ASSISTANT_REPLY, status="open").count() == 6


class TestTheBacklog:
    def test_six_who_ask_at_once_bring_as_many_as_rankers_have_room_for(self, tmp_path: Path) -> None:
        policy, file = replace(SMALL, min_active_rankings=2), tmp_path / "trees.jsonl"
        file.write_text("".join(json.dumps(_line(uuid4())) + "\n" for _ in range(5)))
        import_files([file], policy=policy, to_backlog=True)
        people = new_people(6)
        codes = rivals(
            *[lambda one=one: take(one, policy, Kind.RANK_ASSISTANT_REPLIES) for one in people],  # type: ignore[misc]
            allowed={"no_work"},
        )
        first, second, *others = MessageTree.objects.order_by("number").values_list("state", flat=True)
        assert {first, second} == {State.RANKING}
        assert {*others} == {State.BACKLOG_RANKING}
        # Three people rank each tree, and the user whose request activated it can take it too.
        assert codes.count("") == Task.objects.filter(status="open").count() == 6


class TestAFileBesideWork:
    def test_both_go_on(self, tmp_path: Path) -> None:
        tree = start_tree(SMALL)
        tasks = [take(person, SMALL, Kind.LABEL_INITIAL_PROMPT) for person in new_people(2)]
        file = tmp_path / "trees.jsonl"
        file.write_text("".join(json.dumps(_line(uuid4())) + "\n" for _ in range(30)))
        rivals(
            lambda: import_files([file], policy=SMALL),
            lambda: import_files([file], policy=SMALL),
            *[lambda one=one: answer(one, SMALL) for one in tasks],  # type: ignore[misc]
            allowed={"message_id_taken"},
        )
        tree.refresh_from_db()
        assert (tree.state, kept(tasks)) == (State.PROMPT_LOTTERY_WAITING, 2)
        assert MessageTree.objects.exclude(pk=tree.pk).count() == 30
        assert take(new_person("Ranker"), SMALL, Kind.RANK_ASSISTANT_REPLIES).message is not None


def _line(tree_id: UUID) -> dict[str, object]:
    def node(message_id: UUID, role: str, *replies: object) -> dict[str, object]:
        facts = {"message_id": str(message_id), "text": f"Text {message_id}.", "role": role, "lang": "en"}
        return {**facts, "review_result": True, "review_count": 3, "replies": list(replies)}

    replies = [node(uuid4(), "assistant") for _ in range(2)]
    return {"message_tree_id": str(tree_id), "tree_state": "ranking", "prompt": node(tree_id, "prompter", *replies)}
