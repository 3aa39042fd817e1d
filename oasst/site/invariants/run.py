"""Run all checks."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from uuid import UUID

from django.db import connection

from leaderboard.rebuild import differences as score_differences
from oasst.site.invariants import decisions, names, openings, outbox, states, structure, tasks
from oasst.site.invariants.difference import Difference
from oasst.site.invariants.facts import TreeFacts, read_batch
from trees.interchange.writer import snapshot
from trees.lifecycle.policy import TreePolicy

BATCH = 200  # trees
SCORES = "scores_follow_the_facts"

TREE_CHECKS: tuple[Callable[[TreeFacts], Iterator[Difference]], ...] = (
    *structure.CHECKS,
    *decisions.CHECKS,
    *states.CHECKS,
    *openings.CHECKS,
    *outbox.CHECKS,
)


def find_differences(
    policy: TreePolicy, *, batch: int = BATCH, progress: Callable[[int], None] | None = None
) -> Iterator[Difference]:
    """Yield all differences between stored data and the facts. `progress` gets the number of trees read so far."""
    for _, of_tree in tree_differences(policy, batch=batch, progress=progress):
        yield from of_tree
    yield from tasks.find_differences()
    yield from names.find_differences()
    yield from (Difference(SCORES, *score_difference) for score_difference in score_differences())


def tree_differences(
    policy: TreePolicy, *, batch: int = BATCH, progress: Callable[[int], None] | None = None
) -> Iterator[tuple[UUID, list[Difference]]]:
    """Yield (tree id, its differences) of each tree that has any."""
    last, read = None, 0
    while True:
        # Collected per batch, so that no snapshot stays open while the caller prints.
        with _one_snapshot():
            trees = read_batch(policy, after=last, size=batch)
            checked = [(facts.tree.pk, [each for check in TREE_CHECKS for each in check(facts)]) for facts in trees]
        yield from ((tree_id, differences) for tree_id, differences in checked if differences)
        if not trees:
            break
        last, read = trees[-1].tree.pk, read + len(trees)
        if progress:
            progress(read)


def _one_snapshot() -> AbstractContextManager[None]:
    """Give all statements of a batch the same snapshot; inside a transaction of the caller, only that transaction's."""
    return nullcontext() if connection.in_atomic_block else snapshot()
