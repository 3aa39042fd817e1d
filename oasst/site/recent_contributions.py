"""What a user sent last, with what became of it, for the dashboard."""

from dataclasses import replace

from oasst.accounts.models import User
from tasks.supply import Supply
from trees import queries as tree_queries
from trees.interchange.snapshots.salt import known_pseudonyms
from trees.models import Snapshot, SnapshotTree
from trees.queries import Contribution

SIZE = 5


def recent_contributions_of(user: User, lang: str, supply: Supply) -> list[Contribution]:
    """Return the user's latest contributions, with the data set that has their conversation, and how many prompts wait
    to be drawn beside theirs in the language of the supply. Four statements.

    The draw is by lot and nobody has a place in it, so the number of those who wait is all that can be said.
    """
    rows = tree_queries.contributions_of(user, size=SIZE).rows
    names = _snapshots_of(rows)
    waiting = min(supply.waiting, supply.policy.max_prompt_lottery_waiting)
    return [
        replace(
            row,
            snapshot=names.get(str(row.tree_id), ""),
            waiting=waiting if row.is_waiting and row.lang == lang else 0,
        )
        for row in rows
    ]


def _snapshots_of(rows: list[Contribution]) -> dict[str, str]:
    """Return tree id → the newest offered data set with this tree. At most one statement."""
    accepted = {str(row.tree_id) for row in rows if row.state == "accepted" and not row.is_waiting}
    pseudonyms = known_pseudonyms() if accepted else None
    if pseudonyms is None:
        return {}
    frozen = {pseudonyms.pseudonym("message", tree_id): tree_id for tree_id in accepted}
    offered = SnapshotTree.objects.filter(
        tree_id__in=frozen, snapshot__published_at__isnull=False, snapshot__state=Snapshot.State.FROZEN
    )
    newest = offered.order_by("snapshot").values_list("tree_id", "snapshot__name")
    return {frozen[str(tree_id)]: name for tree_id, name in newest}
