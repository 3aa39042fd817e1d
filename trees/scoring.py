"""Ranks of replies from people's rankings."""

from collections import defaultdict
from uuid import UUID

from trees.consensus import ranked_pairs
from trees.models import Message, MessageTree, Ranking


def score(tree: MessageTree, messages: dict[UUID, Message]) -> set[UUID]:
    """Set `rank` of the tree's replies in memory and return the ids of those that changed.

    Votes that call every reply wrong say nothing about their order and are left out. Parents that nobody ranked here
    keep the ranks that a file gave them.
    """
    votes: dict[UUID, list[list[UUID]]] = defaultdict(list)
    for parent_id, ordered_ids, not_rankable in Ranking.objects.filter(parent__tree=tree).values_list(
        "parent_id", "ordered_ids", "not_rankable"
    ):
        votes[parent_id].extend([] if not_rankable else [ordered_ids])
    changed = set()
    for parent_id, rankings in votes.items():
        siblings = [m for m in messages.values() if m.parent_id == parent_id]
        standing = [m.pk for m in siblings if m.review_result and not m.deleted]
        place = {message_id: index for index, message_id in enumerate(ranked_pairs(rankings, standing))}
        for message in siblings:
            if message.rank != place.get(message.pk):
                message.rank = place.get(message.pk)
                changed.add(message.pk)
    return changed
