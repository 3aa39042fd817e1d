"""The sweep that advances trees that no event moved: its cost, and that failures do not stop it."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from oasst.core.ids import uuid7
from oasst.core.jobs import PartialFailure
from tasks import upkeep
from tests.factories import decide, new_people, new_person, new_prompt, state_of
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import MessageTree

pytestmark = pytest.mark.django_db
POLICY = TreePolicy()


class TestMovingTreesOn:
    def test_each_tree_costs_the_same(self) -> None:
        """For each tree: begin, the lock, messages, openings, votes, end."""

        def statements(trees: int) -> int:
            for person in new_people(trees - MessageTree.objects.count()):
                new_prompt(person)
            with CaptureQueriesContext(connection) as captured:
                assert upkeep.advance_active_trees(policy=POLICY) == 0
            return len(captured)

        few, more, most = (statements(number) for number in (2, 12, 22))
        assert most - more == more - few <= 10 * 6

    def test_one_that_can_not_be_moved_does_not_hold_up_the_others(self) -> None:
        sizes = {"goal_tree_size": 12, "max_depth": 3, "max_children_count": 3}
        broken = MessageTree.objects.create(
            id=uuid7(), state=State.GROWING.value, lang="en", **sizes
        )  # without a prompt
        stuck = new_prompt(new_person("Alice"))
        decide(stuck)
        MessageTree.objects.filter(pk=stuck.pk).update(state=State.INITIAL_PROMPT_REVIEW)
        for _ in range(2):
            with pytest.raises(PartialFailure, match=f"1 failed.*{broken.pk}.*KeyError"):
                upkeep.advance_active_trees(policy=POLICY)
        assert state_of(stuck) == State.PROMPT_LOTTERY_WAITING

    def test_a_sweep_goes_on_where_the_last_one_ended(self) -> None:
        trees = [new_prompt(person) for person in new_people(3)]
        order = MessageTree.objects.order_by("state_since", "pk")
        waiting = list(order.values_list("pk", flat=True))
        assert len(waiting) == len(trees)
        assert [upkeep._next_after_last_sweep(order, 2) for _ in range(3)] == [waiting[:2], waiting[2:], waiting[:2]]
