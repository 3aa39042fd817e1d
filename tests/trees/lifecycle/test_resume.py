"""A12 and A13: resuming restores the former state, and deleted messages take up no room."""

import json
from pathlib import Path

import pytest

from oasst.accounts.models import User
from tasks.supply import read_supply
from tests.factories import decide, new_prompt, state_of
from tests.paths import SAMPLE
from trees.interchange.importer import import_files
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import MessageTree, Opening
from trees.moderation import moderator_actions

pytestmark = pytest.mark.django_db
POLICY = TreePolicy()


def halt_and_resume(tree_id: object, mo: User) -> None:
    moderator_actions.halt(tree_id=tree_id, actor=mo, reason="Odd.", policy=POLICY)  # type: ignore[arg-type]
    moderator_actions.resume(tree_id=tree_id, actor=mo, reason="Fine.", policy=POLICY)  # type: ignore[arg-type]


class TestResumeRestores:
    def test_a_low_grade_tree_takes_no_room_in_review(self, alice: User, mo: User) -> None:
        prompt = new_prompt(alice)
        decide(prompt, accept=False)
        halt_and_resume(prompt.pk, mo)
        assert state_of(prompt) == State.ABORTED_LOW_GRADE
        assert read_supply("en", POLICY).in_review == 0
        assert not Opening.objects.exists()

    @pytest.mark.parametrize("state", [State.BACKLOG_RANKING, State.RANKING, State.GROWING, State.READY_FOR_EXPORT])
    def test_an_imported_tree_goes_back_and_not_into_the_lottery(self, mo: User, tmp_path: Path, state: State) -> None:
        line = json.loads(SAMPLE.read_text().split("\n")[0])
        file = tmp_path / "one.jsonl"
        file.write_text(json.dumps({**line, "tree_state": state.value}) + "\n")
        import_files([file], policy=POLICY)
        tree = MessageTree.objects.get()
        halt_and_resume(tree.pk, mo)
        tree.refresh_from_db()
        assert tree.state != State.PROMPT_LOTTERY_WAITING
        assert state in tree.transitions.values_list("to_state", flat=True)
        assert tree.goal_tree_size == POLICY.goal_tree_size


class TestDeletedPromptsTakeNoRoom:
    def test_at_once_in_review_and_in_the_lottery(self, alice: User, bob: User, mo: User) -> None:
        in_review, waiting = new_prompt(alice), new_prompt(bob)
        decide(waiting)
        wanted = read_supply("en", POLICY).prompts_wanted()
        for prompt in (in_review, waiting):
            moderator_actions.delete_message(message_id=prompt.pk, actor=mo, reason="Spam.", policy=POLICY)
        supply = read_supply("en", POLICY)
        assert (supply.in_review, supply.waiting) == (0, 0)
        assert supply.prompts_wanted() > wanted
