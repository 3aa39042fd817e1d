"""What a snapshot is like, in figures: a fold over its trees. Pure: no database, no file.

Memory does not grow with the texts: there are counters, and eight bytes a message to find repeated texts. What is
unknown is counted as unknown, never as 0 or as no. The result is plain JSON with a constant order.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from trees.interchange.figures_of_agreement import LabelAgreement, RankingAgreement
from trees.interchange.figures_of_people import UNKNOWN, Bases, Contributors
from trees.interchange.figures_of_texts import DetoxifyScores, Lengths, RepeatedTexts
from trees.interchange.format import Node
from trees.interchange.tree_record import TreeRecord


class Figures:
    """Add each record once, then ask for the result. The order of the records does not matter but for rounding."""

    def __init__(self) -> None:
        self._trees, self._messages, self._labels = _Trees(), _Messages(), _LabelMeans()
        self._lengths, self._repeated, self._detoxify = Lengths(), RepeatedTexts(), DetoxifyScores()
        self._contributors, self._bases = Contributors(), Bases()
        self._label_agreement, self._ranking_agreement = LabelAgreement(), RankingAgreement()

    def add(self, record: TreeRecord) -> None:
        messages = _messages_of(record)
        split = record.split
        self._trees.add(record, size=len(messages))
        for message in messages:
            self._messages.add(message)
            self._labels.add(message)
            self._lengths.add(message)
            self._repeated.add(message, split)
            self._detoxify.add(message)
            self._bases.add(message)
        self._contributors.add(record, messages)
        languages = {message["message_id"]: _known(message["lang"]) for message in messages}
        self._label_agreement.add(record, languages)
        self._ranking_agreement.add(record, languages)

    def result(self) -> dict[str, Any]:
        return {
            "trees": self._trees.result(),
            "messages": self._messages.result(),
            "lengths": self._lengths.result(),
            "labels": self._labels.result(),
            "repeated_texts": self._repeated.result(),
            "detoxify": self._detoxify.result(),
            "contributors": self._contributors.result(),
            "bases": self._bases.result(),
            "agreement": {"labels": self._label_agreement.result(), "rankings": self._ranking_agreement.result()},
        }


class _Trees:
    def __init__(self) -> None:
        self.states, self.sizes = Counter[str](), Counter[int]()
        self.reviews, self.rankings, self.not_rankable = 0, 0, 0

    def add(self, record: TreeRecord, *, size: int) -> None:
        self.states[_known(record.tree["tree_state"])] += 1
        self.sizes[size] += 1
        self.reviews += len(record.reviews)
        self.rankings += len(record.rankings)
        self.not_rankable += sum(bool(ranking["not_rankable"]) for ranking in record.rankings)

    def result(self) -> dict[str, Any]:
        return {
            "total": self.sizes.total(),
            "by_state": _most_first(self.states),
            "by_size": _in_order(self.sizes),
            "reviews": self.reviews,
            "rankings": self.rankings,
            "rankings_of_only_wrong_replies": self.not_rankable,
        }


class _Messages:
    def __init__(self) -> None:
        self.by: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.results: defaultdict[str, Counter[str]] = defaultdict(Counter)  # by role
        self.reviews = 0
        self.first = self.last = ""

    def add(self, message: Node) -> None:
        role, date = message["role"], message["created_date"]
        self.by["lang"][_known(message["lang"])] += 1
        self.by["role"][role] += 1
        self.by["month"][date[:7] if date else UNKNOWN] += 1
        self.results[role][_DECISIONS[message["review_result"]]] += 1
        if message["synthetic"]:
            self.by["model"][_known(message["model_name"])] += 1
        self.reviews += message["review_count"] or 0
        if date:
            self.first, self.last = min(self.first or date, date), max(self.last, date)

    def result(self) -> dict[str, Any]:
        return {
            "total": self.by["role"].total(),
            "by_lang": _most_first(self.by["lang"]),
            "by_role": _in_order(self.by["role"]),
            "by_month": _in_order(self.by["month"]),
            "first_date": self.first[:10] or None,
            "last_date": self.last[:10] or None,
            "review_result": {role: _in_order(counts) for role, counts in sorted(self.results.items())},
            "by_model": _most_first(self.by["model"]),
            "reviews": self.reviews,  # as the messages count those that decided
        }


_DECISIONS = {True: "accepted", False: "rejected", None: "undecided"}


class _LabelMeans:
    """Means over all answers. A message says only the mean and the number of its answers."""

    def __init__(self) -> None:
        self._sums: defaultdict[str, float] = defaultdict(float)
        self._answers, self._messages = Counter[str](), Counter[str]()

    def add(self, message: Node) -> None:
        labels = message["labels"]
        if labels is None:
            return
        for name, value, count in zip(labels["name"], labels["value"], labels["count"], strict=True):
            if value is not None and count:
                self._sums[name] += value * count
                self._answers[name] += count
                self._messages[name] += 1

    def result(self) -> dict[str, Any]:
        return {
            name: {
                "mean": round(self._sums[name] / self._answers[name], 6),
                "answers": self._answers[name],
                "messages": self._messages[name],
            }
            for name in sorted(self._answers)
        }


def _messages_of(record: TreeRecord) -> list[Node]:
    found: list[Node] = []
    waiting: list[Node] = [record.tree["prompt"]]
    while waiting:
        found.append(waiting.pop())
        waiting.extend(found[-1]["replies"])
    return found


def _known(value: str | None) -> str:
    return value or UNKNOWN


def _most_first(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _in_order(counts: Mapping[Any, int]) -> dict[str, int]:
    """Return the counts by ascending keys, which become strings as in JSON."""
    return {str(key): number for key, number in sorted(counts.items())}
