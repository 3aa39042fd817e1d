"""The topics of prompts (trees.enrichment.topics) as a choice of trees, and as a figure of a snapshot. Decision 120."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, QuerySet

from oasst.core.errors import Invalid
from trees.enrichment.clustering import MIN_TEXTS, words_of
from trees.interchange.selection import Selection
from trees.models import MessageTree, PromptTopic, Topic

MAX_NAMED = 20
OTHER = "other"
"""The name of a topic of which no word may be published."""


def choose_topics(trees: QuerySet[MessageTree], chosen: Selection) -> QuerySet[MessageTree]:
    """Return those of the trees whose prompt has a chosen topic (any, if none is chosen) and no excluded one.

    A topic is chosen by words of its name. One statement for each kind. Raise Invalid for words that no topic has.
    """
    of_the_prompt = PromptTopic.objects.filter(message=OuterRef("pk"))  # a tree has the id of its prompt
    if chosen.topics:
        trees = trees.filter(Exists(of_the_prompt.filter(topic__in=_find(chosen.topics, chosen.lang))))
    if chosen.excluded_topics:
        trees = trees.exclude(Exists(of_the_prompt.filter(topic__in=_find(chosen.excluded_topics, chosen.lang))))
    return trees


def refuse_unknown_topics(chosen: Selection) -> None:
    """Raise Invalid as `choose_topics` would."""
    for names in (chosen.topics, chosen.excluded_topics):
        if names:
            _find(names, chosen.lang)


def _find(names: Iterable[str], lang: str | None) -> list[int]:
    topics = Topic.objects.order_by("-size", "pk")
    if lang is not None:
        topics = topics.filter(lang__iexact=lang)
    known = list(topics.values_list("pk", "name"))
    found: list[int] = []
    for name in names:
        words = words_of(name)
        matching = [pk for pk, other in known if words and words <= words_of(other)]
        if not matching:
            existing = "; ".join(other for _, other in known[:MAX_NAMED]) or "none at all"
            more = f"; and {len(known) - MAX_NAMED} more" if len(known) > MAX_NAMED else ""
            raise Invalid(f"No topic has the words {name!r}. Topics: {existing}{more}.", code="options", field="topic")
        found += matching
    return found


class TopicCounts:
    """How many of the published prompts each topic has.

    The site names topics by words of all its prompts, published or not. So that no name tells more than the texts that
    are published with it, a word stays in a name only if MIN_TEXTS published prompts of the topic have it.
    """

    def __init__(self) -> None:
        self._names: dict[int, tuple[str, str]] = {}  # language and name, by topic
        self._prompts = Counter[int | None]()
        self._texts: Counter[tuple[int, str]] = Counter()  # with a word of the name

    def read(self, prompt_ids: Iterable[UUID]) -> Mapping[UUID, int]:
        """Return the topics of these prompts. One statement."""
        rows = PromptTopic.objects.filter(message__in=prompt_ids)
        topics = {}
        for message_id, topic_id, lang, name in rows.values_list("message", "topic", "topic__lang", "topic__name"):
            self._names[topic_id] = (lang, name)
            topics[message_id] = topic_id
        return topics

    def add(self, text: str, topic_id: int | None) -> None:
        """Count a published prompt; `topic_id` is None if it has no topic."""
        self._prompts[topic_id] += 1
        if topic_id is not None:
            _, name = self._names[topic_id]
            self._texts.update((topic_id, word) for word in words_of(name) & words_of(text))

    def as_json(self) -> dict[str, Any]:
        """Return the topics, those with the most prompts first, and how many prompts have none."""
        counts: Counter[tuple[str, str]] = Counter()
        for topic_id, number in self._prompts.items():
            if topic_id is not None:
                counts[self._names[topic_id][0], self._published_name(topic_id)] += number
        ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        topics = [{"lang": lang, "name": name, "prompts": number} for (lang, name), number in ordered]
        return {"topics": topics, "unknown": self._prompts[None]}

    def _published_name(self, topic_id: int) -> str:
        _, name = self._names[topic_id]
        words = [word for word in name.split(", ") if self._texts[topic_id, word] >= MIN_TEXTS]
        return ", ".join(words) or OTHER
