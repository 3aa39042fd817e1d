"""Ranks of replies from people's rankings, and the order in which replies are shown."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from uuid import UUID

from trees.lifecycle.consensus import ranked_pairs
from trees.models import Message, MessageTree, Ranking

Vote = tuple[UUID, Sequence[UUID], bool]
"""Parent id, the order of its replies from best to worst, and whether the person called every reply wrong."""


def in_order(siblings: list[Message]) -> list[Message]:
    """Replies to one message, the same on pages and in files: best first, unranked last. Siblings of a file keep the
    order of the file.
    """
    if any(message.imported is not None for message in siblings):
        return sorted(siblings, key=lambda m: m.position)
    return sorted(siblings, key=lambda m: (m.rank is None, m.rank or 0, m.position))


def score(tree: MessageTree, messages: dict[UUID, Message]) -> set[UUID]:
    """Set `rank` of the tree's replies in memory and return the ids of those that changed."""
    votes = Ranking.objects.filter(parent__tree=tree).values_list("parent_id", "ordered_ids", "not_rankable")
    changed = set()
    for message_id, rank in ranks(votes, messages).items():
        if messages[message_id].rank != rank:
            messages[message_id].rank = rank
            changed.add(message_id)
    return changed


def unrank(messages: dict[UUID, Message], parent_ids: Iterable[UUID]) -> set[UUID]:
    """Give the replies to these messages the ranks of their file, or none, where nobody's ranking is left."""
    left = set(parent_ids) - set(Ranking.objects.filter(parent__in=parent_ids).values_list("parent_id", flat=True))
    changed = set()
    for reply in Message.objects.filter(parent__in=left).only("id", "imported") if left else ():
        given = reply.given.get("rank")
        if messages[reply.pk].rank != given:
            messages[reply.pk].rank = given
            changed.add(reply.pk)
    return changed


def ranks(votes: Iterable[Vote], messages: dict[UUID, Message]) -> dict[UUID, int | None]:
    """Message id → rank, for every reply to a message whose replies were ranked here.

    Votes that call every reply wrong say nothing about their order and are left out. Parents that nobody ranked here
    keep the ranks that a file gave them.
    """
    orders: dict[UUID, list[Sequence[UUID]]] = defaultdict(list)
    for parent_id, ordered_ids, not_rankable in votes:
        orders[parent_id].extend([] if not_rankable else [ordered_ids])
    found: dict[UUID, int | None] = {}
    for parent_id, rankings in orders.items():
        siblings = [m for m in messages.values() if m.parent_id == parent_id]
        standing = [m.pk for m in siblings if m.review_result and not (m.deleted or m.withdrawn)]
        place = {message_id: index for index, message_id in enumerate(ranked_pairs(rankings, standing))}
        found |= {message.pk: place.get(message.pk) for message in siblings}
    return found
