"""The ranks of replies from people's rankings, and the order in which replies are shown."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from uuid import UUID

from trees.lifecycle.consensus import ranked_pairs
from trees.models import Message, MessageTree, Ranking

Vote = tuple[UUID, Sequence[UUID], bool]
"""Parent id, its replies from best to worst, True if the user called every reply wrong."""


def sort_siblings(siblings: list[Message]) -> list[Message]:
    """Return the replies to one message in display order: best first, unranked last; imported ones as in their file."""
    if any(message.imported is not None for message in siblings):
        return sorted(siblings, key=lambda m: m.position)
    return sorted(siblings, key=lambda m: (m.rank is None, m.rank or 0, m.position))


def may_be_ranked(reply: Message) -> bool:
    """Return True if rankings of this reply count."""
    return bool(reply.review_result) and not (reply.is_out or reply.withdrawn)


def score(tree: MessageTree, messages: dict[UUID, Message]) -> set[UUID]:
    """Set `rank` of the tree's replies in memory. Return the ids of those that changed."""
    votes = Ranking.objects.filter(parent__tree=tree).values_list("parent_id", "ordered_ids", "not_rankable")
    changed = set()
    for message_id, rank in compute_ranks(votes, messages).items():
        if messages[message_id].rank != rank:
            messages[message_id].rank = rank
            changed.add(message_id)
    return changed


def reset_unranked(messages: dict[UUID, Message], parent_ids: Iterable[UUID]) -> set[UUID]:
    """Reset replies without any ranking to the rank of their file, or none. Return the ids of the changed ones."""
    unranked = set(parent_ids) - set(Ranking.objects.filter(parent__in=parent_ids).values_list("parent_id", flat=True))
    changed = set()
    for reply in Message.objects.filter(parent__in=unranked).only("id", "imported") if unranked else ():
        rank = reply.given.get("rank")
        if messages[reply.pk].rank != rank:
            messages[reply.pk].rank = rank
            changed.add(reply.pk)
    return changed


def compute_ranks(votes: Iterable[Vote], messages: dict[UUID, Message]) -> dict[UUID, int | None]:
    """Return the rank by message id, for every reply to a message whose replies were ranked here.

    Votes that call every reply wrong are left out. Parents that nobody ranked here keep the ranks of their file.
    """
    orders: dict[UUID, list[Sequence[UUID]]] = defaultdict(list)
    for parent_id, ordered_ids, not_rankable in votes:
        orders[parent_id].extend([] if not_rankable else [ordered_ids])
    result: dict[UUID, int | None] = {}
    for parent_id, rankings in orders.items():
        siblings = [m for m in messages.values() if m.parent_id == parent_id]
        candidates = [m.pk for m in siblings if may_be_ranked(m)]
        positions = {message_id: index for index, message_id in enumerate(ranked_pairs(rankings, candidates))}
        result |= {message.pk: positions.get(message.pk) for message in siblings}
    return result
