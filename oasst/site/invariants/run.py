"""Running every check."""

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


def differences(
    policy: TreePolicy, *, batch: int = BATCH, progress: Callable[[int], None] | None = None
) -> Iterator[Difference]:
    """Every disagreement between what is stored and what the facts say. `progress` is told the trees read so far."""
    for _, found in tree_differences(policy, batch=batch, progress=progress):
        yield from found
    yield from tasks.differences()
    yield from names.differences()
    yield from (Difference(SCORES, *one) for one in score_differences())


def tree_differences(
    policy: TreePolicy, *, batch: int = BATCH, progress: Callable[[int], None] | None = None
) -> Iterator[tuple[UUID, list[Difference]]]:
    """The trees that disagree with their facts, with their disagreements."""
    last, read = None, 0
    while True:
        # Collected per batch, so that no snapshot stays open while the caller prints.
        with _one_moment():
            trees = read_batch(policy, after=last, size=batch)
            found = [(facts.tree.pk, [one for check in TREE_CHECKS for one in check(facts)]) for facts in trees]
        yield from ((tree_id, differences) for tree_id, differences in found if differences)
        if not trees:
            break
        last, read = trees[-1].tree.pk, read + len(trees)
        if progress:
            progress(read)


def _one_moment() -> AbstractContextManager[None]:
    """All statements of a batch see the same moment. Inside somebody's own transaction there is only theirs."""
    return nullcontext() if connection.in_atomic_block else snapshot()
