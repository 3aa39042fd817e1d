"""What people said here of the messages of some trees, as an export tells it: labels, skips, reactions, rankings.

What a purge set aside is not among it.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from trees.interchange.export_json import Events, Said, answers_of
from trees.interchange.selection import Selection
from trees.models import Message, MessageTree, Ranking, Reaction, Review, Skip

SKIP_EMOJIS = {
    Skip.Kind.REPLY.value: "_skip_reply",
    Skip.Kind.RANKING.value: "_skip_ranking",
    Skip.Kind.REVIEW.value: "_skip_labeling",
}
"""A skip stands among the reactions of a file, under the reference's name for it."""


def read_facts(
    trees: Sequence[MessageTree], messages: Mapping[UUID, Message], selection: Selection
) -> dict[UUID, Said]:
    """By message. Two statements, with events four."""
    labels = _labels(trees, messages) if selection.labels else {}
    rows = Skip.objects.filter(message__tree__in=trees).order_by("pk")
    skips = [(one, person, SKIP_EMOJIS[kind]) for one, person, kind in rows.values_list("message", "author", "kind")]
    skipped: defaultdict[UUID, Counter[str]] = defaultdict(Counter)
    for message_id, _, emoji in skips:
        skipped[message_id][emoji] += 1
    events = _events(trees, messages, skips) if selection.events else {}
    return {
        one: Said(answers_of(labels.get(one, ())), skipped[one], events.get(one, {}))
        for one in {*labels, *skipped, *events}
    }


def _labels(trees: Sequence[MessageTree], messages: Mapping[UUID, Message]) -> dict[UUID, list[Any]]:
    """All that was said of the present text: asked for, free, or with a report."""
    found: defaultdict[UUID, list[Any]] = defaultdict(list)
    rows = Review.objects.filter(message__tree__in=trees)
    for message_id, revision_id, labels in rows.values_list("message", "revision", "labels"):
        if messages[message_id].revision_id == revision_id:
            found[message_id].append(labels)
    return found


def _events(
    trees: Sequence[MessageTree], messages: Mapping[UUID, Message], skips: Sequence[tuple[UUID, UUID, str]]
) -> dict[UUID, Events]:
    found: defaultdict[UUID, Events] = defaultdict(dict)
    reactions = (
        Reaction.objects.filter(message__tree__in=trees).order_by("pk").values_list("message", "author", "emoji")
    )
    for message_id, person, emoji in [*reactions, *skips]:
        put = {"type": "emoji", "user_id": str(person), "emoji": emoji}
        found[message_id].setdefault("emoji", []).append(put)
    for ranking in Ranking.objects.filter(parent__tree__in=trees).order_by("created_at", "pk"):
        if event := _ranking_event(ranking, messages):
            found[ranking.parent_id].setdefault("ranking", []).append(event)
    return found


def _ranking_event(ranking: Ranking, messages: Mapping[UUID, Message]) -> dict[str, Any] | None:
    """One person's order. `ranking` holds places among the ranked replies as they came in, the best first.

    No file names what its author withdrew; of less than two replies there is no order.
    """
    ranked = [one for one in ranking.ordered_ids if one in messages and not messages[one].withdrawn]
    if len(ranked) < 2:
        return None
    by_arrival = sorted(ranked, key=lambda one: messages[one].position)
    event: dict[str, Any] = {
        "type": "ranking",
        "user_id": str(ranking.author_id),
        "ranking": [by_arrival.index(one) for one in ranked],
        "ranked_message_ids": [str(one) for one in ranked],
        "ranking_parent_id": str(ranking.parent_id),
        "message_tree_id": str(messages[ranking.parent_id].tree_id),
    }
    return event | ({"not_rankable": True} if ranking.not_rankable else {})
