"""Is every tree where its facts put it, and does its history lead there?"""

from collections.abc import Iterator
from itertools import pairwise

from oasst.site.invariants.difference import Difference
from oasst.site.invariants.facts import TreeFacts
from trees.lifecycle import transitions
from trees.lifecycle.states import State, may_go


def nothing_is_due(facts: TreeFacts) -> Iterator[Difference]:
    """A tree that could move on by its facts is stuck: nobody will come to move it."""
    if facts.root is None or facts.is_as_imported:
        return
    state = State(facts.tree.state)
    if state == State.READY_FOR_SCORING:  # scored in the step that leads here, so nobody ever sees it
        due = State.READY_FOR_EXPORT
    elif step := transitions.due_step(facts.as_locked_tree()):
        due = step[0]
    else:
        return
    yield Difference("nothing_is_due", f"tree {facts.tree.pk}", due.value, state.value)


def history_is_one_path(facts: TreeFacts) -> Iterator[Difference]:
    subject, moves = f"tree {facts.tree.pk}", facts.transitions
    if not moves:
        yield Difference("history_is_one_path", subject, "a first step", "no history")
        return
    if moves[0].from_state:
        yield Difference("history_is_one_path", subject, "a first step from nowhere", f"from {moves[0].from_state}")
    for before, after in pairwise(moves):
        if after.from_state != before.to_state:
            yield Difference("history_is_one_path", subject, f"a step from {before.to_state}", str(after))
        elif not may_go(State(after.from_state), State(after.to_state)):
            yield Difference("history_is_one_path", subject, "a step that the table of states has", str(after))
    if moves[-1].to_state != facts.tree.state:
        yield Difference("history_is_one_path", subject, f"state {moves[-1].to_state}", facts.tree.state)


CHECKS = (nothing_is_due, history_is_one_path)
