"""Check that each tree has the state that follows from its facts and its history."""

from collections.abc import Iterator
from itertools import pairwise

from oasst.site.invariants.difference import Difference
from oasst.site.invariants.facts import TreeFacts
from trees.lifecycle import transitions
from trees.lifecycle.states import State, is_allowed


def nothing_is_due(facts: TreeFacts) -> Iterator[Difference]:
    """No tree has a due step: it would be stuck, because nothing else triggers the step."""
    if facts.root is None or facts.is_as_imported:
        return
    state = State(facts.tree.state)
    if state == State.READY_FOR_SCORING:  # the transaction that enters this state also leaves it
        due = State.READY_FOR_EXPORT
    elif step := transitions.due_step(facts.as_locked_tree()):
        due = step[0]
    else:
        return
    yield Difference("nothing_is_due", f"tree {facts.tree.pk}", due.value, state.value)


def history_is_one_path(facts: TreeFacts) -> Iterator[Difference]:
    subject, steps = f"tree {facts.tree.pk}", facts.transitions
    if not steps:
        yield Difference("history_is_one_path", subject, "a first step", "no history")
        return
    if steps[0].from_state:
        yield Difference("history_is_one_path", subject, "a first step from nowhere", f"from {steps[0].from_state}")
    for before, after in pairwise(steps):
        if after.from_state != before.to_state:
            yield Difference("history_is_one_path", subject, f"a step from {before.to_state}", str(after))
        elif not is_allowed(State(after.from_state), State(after.to_state)):
            yield Difference("history_is_one_path", subject, "a step that the table of states has", str(after))
    if steps[-1].to_state != facts.tree.state:
        yield Difference("history_is_one_path", subject, f"state {steps[-1].to_state}", facts.tree.state)


CHECKS = (nothing_is_due, history_is_one_path)
