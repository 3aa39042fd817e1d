"""Figures of the people behind a data set, without naming one: how many, how evenly they contributed, and under which
terms. Pure; memory grows with the number of people.
"""

from collections import Counter
from collections.abc import Collection
from math import ceil
from typing import Any

from trees.interchange.format import Node
from trees.interchange.tree_record import TreeRecord

UNKNOWN = "unknown"


class Contributors:
    """Who wrote, reviewed and ranked how much, by pseudonym. Imported files may not say who did."""

    def __init__(self) -> None:
        self._written: Counter[str | None] = Counter()
        self._reviewed: Counter[str | None] = Counter()
        self._ranked: Counter[str | None] = Counter()

    def add(self, record: TreeRecord, messages: Collection[Node]) -> None:
        self._written.update(message["user_id"] for message in messages)
        self._reviewed.update(review["user_id"] for review in record.reviews)
        self._ranked.update(ranking["user_id"] for ranking in record.rankings)

    def result(self) -> dict[str, Any]:
        people = {*self._written, *self._reviewed, *self._ranked} - {None}
        return {
            "people": len(people),
            "writers": _distribution(self._written),
            "reviewers": _distribution(self._reviewed),
            "rankers": _distribution(self._ranked),
        }


def _distribution(counts: Counter[str | None]) -> dict[str, Any]:
    """Return how evenly contributions are spread: the share of the busiest tenth of the people, and the Gini
    coefficient (0 if all did the same, near 1 if one person did everything). None for nobody.
    """
    ordered = sorted(number for person, number in counts.items() if person is not None)
    people, total = len(ordered), sum(ordered)
    weighted = sum(place * number for place, number in enumerate(ordered, start=1))
    return {
        "people": people,
        "contributions": total,
        "by_unknown_people": counts[None],
        "share_of_busiest_tenth": round(sum(ordered[-ceil(people / 10) :]) / total, 4) if people else None,
        "gini": round((2 * weighted / total - people - 1) / people, 4) if people else None,
    }


class Bases:
    """Why the messages may be published: the terms that their authors agreed to, or the license of an imported file."""

    def __init__(self) -> None:
        self._messages: Counter[str] = Counter()
        self._people: dict[str, set[str]] = {}

    def add(self, message: Node) -> None:
        basis = message["basis"] if message["basis"] is not None else UNKNOWN
        self._messages[basis] += 1
        people = self._people.setdefault(basis, set())
        if message["user_id"] is not None:
            people.add(message["user_id"])

    def result(self) -> dict[str, Any]:
        return {
            basis: {"messages": number, "people": len(self._people[basis])}
            for basis, number in sorted(self._messages.items())
        }
