"""What users said here about the messages of some trees: labels, skips, reactions, rankings; and the toxicity of their
texts. It leaves out what a purge set aside.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from trees.interchange.export_json import Events, Judgments, values_by_label
from trees.interchange.selection import Selection
from trees.models import Message, MessageReading, MessageTree, Ranking, Reaction, ReadingKind, Review, Skip

SKIP_EMOJIS = {
    Skip.Kind.REPLY.value: "_skip_reply",
    Skip.Kind.RANKING.value: "_skip_ranking",
    Skip.Kind.REVIEW.value: "_skip_labeling",
}
"""A file lists skips among the reactions, under the names of the reference system."""


def read_facts(
    trees: Sequence[MessageTree], messages: Mapping[UUID, Message], selection: Selection
) -> dict[UUID, Judgments]:
    """Return what was said, by message, and how toxic a machine finds it. Three statements, five with events."""
    labels = _labels(trees, messages) if selection.labels else {}
    rows = Skip.objects.filter(message__tree__in=trees).order_by("pk")
    skips = [(pk, user_id, SKIP_EMOJIS[kind]) for pk, user_id, kind in rows.values_list("message", "author", "kind")]
    skipped: defaultdict[UUID, Counter[str]] = defaultdict(Counter)
    for message_id, _, emoji in skips:
        skipped[message_id][emoji] += 1
    events = _events(trees, messages, skips) if selection.events else {}
    toxicity = toxicity_of(messages)
    return {
        message_id: Judgments(
            values_by_label(labels.get(message_id, ())),
            skipped[message_id],
            events.get(message_id, {}),
            toxicity.get(message_id, {}),
        )
        for message_id in {*labels, *skipped, *events, *toxicity}
    }


def toxicity_of(messages: Mapping[UUID, Message]) -> dict[UUID, dict[str, float]]:
    """Return the scores of the present texts, by message. One statement."""
    by_revision = {message.revision_id: message_id for message_id, message in messages.items()}
    rows = MessageReading.objects.filter(
        revision__in=by_revision, kind=ReadingKind.TOXICITY.value, result__isnull=False
    )
    return {by_revision[revision_id]: result or {} for revision_id, result in rows.values_list("revision_id", "result")}


def _labels(trees: Sequence[MessageTree], messages: Mapping[UUID, Message]) -> dict[UUID, list[Any]]:
    """Return all labels of the present text: requested, free, or with a report."""
    result: defaultdict[UUID, list[Any]] = defaultdict(list)
    rows = Review.objects.filter(message__tree__in=trees)
    for message_id, revision_id, labels in rows.values_list("message", "revision", "labels"):
        if messages[message_id].revision_id == revision_id:
            result[message_id].append(labels)
    return result


def _events(
    trees: Sequence[MessageTree], messages: Mapping[UUID, Message], skips: Sequence[tuple[UUID, UUID, str]]
) -> dict[UUID, Events]:
    result: defaultdict[UUID, Events] = defaultdict(dict)
    reactions = (
        Reaction.objects.filter(message__tree__in=trees).order_by("pk").values_list("message", "author", "emoji")
    )
    for message_id, user_id, emoji in [*reactions, *skips]:
        reaction = {"type": "emoji", "user_id": str(user_id), "emoji": emoji}
        result[message_id].setdefault("emoji", []).append(reaction)
    for ranking in Ranking.objects.filter(parent__tree__in=trees).order_by("created_at", "pk"):
        if event := _ranking_event(ranking, messages):
            result[ranking.parent_id].setdefault("ranking", []).append(event)
    return result


def _ranking_event(ranking: Ranking, messages: Mapping[UUID, Message]) -> dict[str, Any] | None:
    """Return one user's ranking, best first; `ranking` holds positions among the ranked replies by arrival.

    Withdrawn messages are left out; fewer than two replies have no order.
    """
    ranked = [pk for pk in ranking.ordered_ids if pk in messages and not messages[pk].withdrawn]
    if len(ranked) < 2:
        return None
    by_arrival = sorted(ranked, key=lambda pk: messages[pk].position)
    event: dict[str, Any] = {
        "type": "ranking",
        "user_id": str(ranking.author_id),
        "ranking": [by_arrival.index(pk) for pk in ranked],
        "ranked_message_ids": [str(pk) for pk in ranked],
        "ranking_parent_id": str(ranking.parent_id),
        "message_tree_id": str(messages[ranking.parent_id].tree_id),
    }
    return event | ({"not_rankable": True} if ranking.not_rankable else {})
