"""Retries of failed scoring, new computation of ranks, and a new policy on running trees."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from oasst.accounts.models import User
from oasst.core.errors import Conflict, NotAllowed
from oasst.core.ids import uuid7
from oasst.core.jobs import PartialFailure
from oasst.site.invariants import find_differences
from tasks import upkeep
from tests.crowd import answer, start_tree, take, work_until
from tests.factories import (
    decide,
    growing_tree,
    new_people,
    new_person,
    new_prompt,
    new_reply,
    review,
    work_until_state,
)
from tests.factories import state_of as state_of_message
from trees.lifecycle import reply_ranks, reranking, transitions
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import Message, MessageTree, Opening, Ranking, TreeTransition
from trees.moderation import moderator_actions
from trees.policies.reading import current_policy
from trees.schedules import retry_scoring

pytestmark = pytest.mark.django_db
SMALL = TreePolicy(goal_tree_size=4, max_tree_depth=1)


def said(command: str, **options: Any) -> str:
    out = StringIO()
    call_command(command, stdout=out, **options)
    return out.getvalue()


def state_of(tree: MessageTree) -> str:
    return MessageTree.objects.values_list("state", flat=True).get(pk=tree.pk)


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The consensus cannot be computed until `broken.undo()`."""

    def fails(*args: Any) -> None:
        raise ArithmeticError("a vote like no other")

    monkeypatch.setattr(reply_ranks, "compute_ranks", fails)
    yield monkeypatch


@pytest.fixture
def failed(broken: Any) -> MessageTree:
    tree = work_until(start_tree(SMALL), State.RANKING, SMALL)
    return work_until(tree, State.SCORING_FAILED, SMALL)


class TestScoringFailed:
    def test_one_that_can_not_even_be_tried_does_not_hold_up_the_others(
        self, failed: MessageTree, broken: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = work_until(work_until(start_tree(SMALL), State.RANKING, SMALL), State.SCORING_FAILED, SMALL)
        broken.undo()
        MessageTree.objects.update(state_since=timezone.now() - timedelta(days=2))
        MessageTree.objects.filter(pk=failed.pk).update(state_since=timezone.now() - timedelta(days=3))
        real = transitions.retry_scoring

        def retry(locked: Any, **why: Any) -> None:
            if locked.tree.pk == failed.pk:
                raise ZeroDivisionError
            real(locked, **why)

        with monkeypatch.context() as patch, pytest.raises(PartialFailure, match="ZeroDivisionError"):
            patch.setattr(transitions, "retry_scoring", retry)
            retry_scoring()
        assert (state_of(failed), state_of(other)) == (State.SCORING_FAILED, State.READY_FOR_EXPORT)

    def test_every_vote_is_kept_and_the_cause_is_told(self, failed: MessageTree) -> None:
        assert Ranking.objects.count() == SMALL.num_required_rankings
        last = TreeTransition.objects.filter(tree=failed).latest("id")
        assert (last.to_state, "a vote like no other" in last.reason) == (State.SCORING_FAILED, True)

    def test_a_moderator_scores_it_again(self, failed: MessageTree, broken: Any, mo: User) -> None:
        client = Client()
        client.force_login(mo)
        page = reverse("admin:trees_messagetree_change", args=[failed.pk])
        assert "Score again" in client.get(page).text
        data = {"action": "retry_scoring", "reason": "Mended.", "_selected_action": [str(failed.pk)]}
        again = client.post(reverse("admin:trees_messagetree_changelist"), data, follow=True).text
        assert "It failed again." in again and "a vote like no other" in again
        assert (state_of(failed), Ranking.objects.count()) == (State.SCORING_FAILED, 3)
        broken.undo()
        assert "scored." in client.post(reverse("admin:trees_messagetree_changelist"), data, follow=True).text
        assert state_of(failed) == State.READY_FOR_EXPORT
        assert TreeTransition.objects.filter(tree=failed, reason="Mended.", actor=mo).count() == 2
        assert "Score again" not in client.get(page).text
        assert list(find_differences(SMALL)) == []

    def test_refusals(self, failed: MessageTree, alice: User, mo: User) -> None:
        with pytest.raises(NotAllowed):
            moderator_actions.retry_scoring(tree_id=failed.pk, actor=alice, reason="Please.", policy=SMALL)
        with pytest.raises(Conflict) as refusal:
            moderator_actions.retry_scoring(tree_id=start_tree(SMALL).pk, actor=mo, reason="Please.", policy=SMALL)
        assert refusal.value.code == "not_failed"
        assert state_of(failed) == State.SCORING_FAILED

    def test_the_command(self, failed: MessageTree, broken: Any) -> None:
        with pytest.raises(CommandError, match="1 of 1 trees could not be scored"):
            said("retry_scoring")
        broken.undo()
        assert "1 trees scored." in said("retry_scoring")
        assert state_of(failed) == State.READY_FOR_EXPORT

    def test_the_clock_tries_less_and_less_often(self, failed: MessageTree) -> None:
        retry_scoring()
        assert TreeTransition.objects.filter(tree=failed, to_state=State.SCORING_FAILED).count() == 1
        now = timezone.now()
        assert reranking.failed_trees(due_at=now + timedelta(minutes=11)) == [failed.pk]
        MessageTree.objects.update(state_since=now - timedelta(minutes=11))
        retry_scoring()
        assert TreeTransition.objects.filter(tree=failed, to_state=State.SCORING_FAILED).count() == 2
        assert reranking.failed_trees(due_at=now + timedelta(minutes=19)) == []
        assert reranking.failed_trees(due_at=now + timedelta(minutes=21)) == [failed.pk]


class TestRerank:
    """A23: ranks from the votes that count, also where there were none before."""

    def test_preview_and_run(self) -> None:
        tree = work_until(start_tree(SMALL), State.READY_FOR_EXPORT, SMALL)
        right = dict(Message.objects.values_list("pk", "rank"))
        first = Message.objects.get(rank=0)
        Message.objects.filter(pk=first.pk).update(rank=None)
        line = f"tree {tree.pk}: message {first.pk}: rank none → 0\n"
        out = said("rerank_trees", all=True, dry_run=True)
        assert out == line + "1 finished trees: 1 ranks in 1 of them would change.\n"
        assert Message.objects.get(pk=first.pk).rank is None
        with pytest.raises(CommandError, match="Nothing matches in the state ready_for_export in the language de"):
            said("rerank_trees", lang="de")
        assert line in said("rerank_trees", tree=tree.pk)
        assert dict(Message.objects.values_list("pk", "rank")) == right
        assert said("rerank_trees", all=True).startswith("1 finished trees: 0 ranks")

    def test_fewer_than_two_replies_left(self, alice: User, mo: User) -> None:
        prompt = growing_tree(alice, SMALL)
        work_until_state(prompt.pk, State.READY_FOR_EXPORT, SMALL)
        for reply in Message.objects.filter(parent=prompt)[:2]:
            moderator_actions.delete_message(message_id=reply.pk, actor=mo, reason="Spam.", policy=SMALL)
        assert "0 ranks" in said("rerank_trees", all=True)
        assert set(Message.objects.filter(parent=prompt).values_list("rank", flat=True)) == {None}


@pytest.fixture
def with_policy(settings: Any) -> Callable[[dict[str, Any]], TreePolicy]:
    def use(policy: dict[str, Any]) -> TreePolicy:
        settings.TREE_POLICY = policy
        return current_policy()

    return use


def not_from_tasks(policy: TreePolicy) -> list[object]:
    return [one for one in find_differences(policy) if one.check != "answers_come_from_a_task"]


class TestPolicyChange:
    def everything(self) -> tuple[object, ...]:
        return (
            list(MessageTree.objects.order_by("pk").values()),
            list(Message.objects.order_by("pk").values("pk", "review_result", "rank")),
            sorted(Opening.objects.values_list("message_id", "work")),
            TreeTransition.objects.count(),
        )

    def test_preview_and_run_agree(self, with_policy: Any) -> None:
        old = with_policy({"goal_tree_size": 6, "max_tree_depth": 2})
        growing = work_until(start_tree(old), State.GROWING, old)
        start_tree(old)
        with_policy({"goal_tree_size": 3, "max_tree_depth": 1, "max_children_count": 2})
        before = self.everything()
        foretold = said("apply_policy", dry_run=True)
        assert self.everything() == before
        assert "trees: goal_tree_size 6 → 3" in foretold and "trees: max_depth 2 → 1" in foretold
        assert "2 of 2 running trees would change." in foretold
        assert said("apply_policy") == foretold.replace("would change", "changed")
        growing.refresh_from_db()
        assert (growing.goal_tree_size, growing.max_depth, growing.max_children_count) == (3, 1, 2)
        assert "0 of 2 running trees changed." in said("apply_policy")
        assert list(find_differences(current_policy())) == []
        work_until(growing, State.READY_FOR_EXPORT, current_policy())

    def test_a_tree_that_is_large_enough_moves_on_and_keeps_what_it_has(self, alice: User, with_policy: Any) -> None:
        old = with_policy({"goal_tree_size": 6})
        prompt = growing_tree(alice, old)
        for person in new_people(3):
            decide(new_reply(prompt, person, policy=old), policy=old)
        new = with_policy({"goal_tree_size": 2, "max_children_count": 2})
        assert "on to ranking" in said("apply_policy")
        tree = MessageTree.objects.get()
        assert (tree.state, tree.goal_tree_size, tree.max_children_count) == (State.RANKING, 4, 3)
        assert not_from_tasks(new) == []

    def test_what_was_decided_stays_decided(self, alice: User, with_policy: Any) -> None:
        old = with_policy({"num_reviews_initial_prompt": 1, "num_reviews_reply": 1})
        prompt = growing_tree(alice, old)
        decide(new_reply(prompt, new_person("Writer"), policy=old), policy=old)
        rejected = new_reply(prompt, new_person("Writer"), policy=old)
        decide(rejected, accept=False, policy=old)
        new = with_policy({"num_reviews_initial_prompt": 5, "num_reviews_reply": 5})
        said("apply_policy")
        assert list(Message.objects.order_by("created_at").values_list("review_result", flat=True)) == [
            *(True, True, False)
        ]
        assert not_from_tasks(new) == []

    def test_fewer_reviews_decide_at_once(self, alice: User, bob: User, with_policy: Any) -> None:
        old = with_policy({"num_reviews_initial_prompt": 5})
        prompt = new_prompt(alice, policy=old)
        review(prompt, bob, policy=old)
        with_policy({"num_reviews_initial_prompt": 1})
        out = said("apply_policy")
        assert "1 messages: decided at once" in out and "on to prompt_lottery_waiting" in out
        assert state_of_message(prompt) == State.PROMPT_LOTTERY_WAITING
        assert upkeep.advance_active_trees(policy=current_policy()) == 0

    def test_the_first_reviews_decide_if_they_suffice_now(self, alice: User, with_policy: Any) -> None:
        """All three together would accept it, the first two do not."""
        old = with_policy({"num_reviews_initial_prompt": 4, "acceptance_threshold_initial_prompt": 0.5})
        prompt = new_prompt(alice, policy=old)
        for person, spam in zip(new_people(3), (1, 0, 0), strict=True):
            review(prompt, person, spam=spam, policy=old)
        new = with_policy({"num_reviews_initial_prompt": 2, "acceptance_threshold_initial_prompt": 0.5})
        said("apply_policy")
        assert state_of_message(prompt) == State.ABORTED_LOW_GRADE
        assert not_from_tasks(new) == []

    def test_somebody_who_writes_at_that_moment_still_gets_in(self, with_policy: Any) -> None:
        old = with_policy({"goal_tree_size": 6, "max_tree_depth": 1, "max_children_count": 5})
        tree = work_until(start_tree(old), State.GROWING, old)
        tasks = [take(person, old) for person in new_people(3)]
        tasks = [task for task in tasks if task.message_id == tree.pk]
        new = with_policy({"goal_tree_size": 2, "max_tree_depth": 1, "max_children_count": 1})
        said("apply_policy")
        for task in tasks:
            assert answer(task, new).result_message is not None
        assert list(find_differences(new)) == []

    def test_one_that_fails_does_not_hold_up_the_others(self, alice: User, bob: User, with_policy: Any) -> None:
        old = with_policy({"num_reviews_initial_prompt": 5})
        sizes = {"goal_tree_size": 12, "max_depth": 3, "max_children_count": 3}
        broken = MessageTree.objects.create(
            id=uuid7(), state=State.GROWING.value, lang="en", **sizes
        )  # without a prompt
        prompt = new_prompt(alice, policy=old)
        review(prompt, bob, policy=old)
        with_policy({"num_reviews_initial_prompt": 1})
        out = StringIO()
        with pytest.raises(CommandError, match=f"1 failed; the first was {broken.pk}"):
            call_command("apply_policy", stdout=out)
        assert "1 messages: decided at once" in out.getvalue()
        assert state_of_message(prompt) == State.PROMPT_LOTTERY_WAITING

    def test_finished_trees_are_left_alone(self, with_policy: Any) -> None:
        work_until(start_tree(SMALL), State.READY_FOR_EXPORT, SMALL)
        before = self.everything()
        with_policy({"goal_tree_size": 2, "num_required_rankings": 9, "num_reviews_reply": 9})
        assert "0 of 0 running trees changed." in said("apply_policy")
        assert self.everything() == before
        assert list(find_differences(replace(current_policy(), goal_tree_size=2))) == []
