"""How far the people of a data set agree, with intervals: about labels (Krippendorff's alpha) and about the order of
replies (Kendall's W, pairwise agreement). Pure; memory grows with the number of different sets of answers, which is
small.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from trees.interchange.figures_of_people import UNKNOWN
from trees.interchange.tree_record import TreeRecord
from trees.labels import LABELS
from trees.models import Review
from trees.statistics.bootstrap import ratio_interval
from trees.statistics.krippendorff import Answers, alpha, alpha_interval, comparable
from trees.statistics.label_answers import answers_by_label, distance_of
from trees.statistics.rankings import kendall_w, pairwise_agreement

ROUNDS = 1000
ROUNDS_BY_LANGUAGE = 300
FEWEST = 10  # units or sets of replies that a language needs for a figure of its own
ALL = ""
"""The language of figures over all languages."""


class LabelAgreement:
    """Answers to the questions of requested reviews, compared as on the page of statistics (decision 109).

    Free labels and reports are about chosen messages only. Labels that the site does not know are left out.
    """

    def __init__(self) -> None:
        self._units: defaultdict[tuple[str, str], Counter[Answers]] = defaultdict(Counter)

    def add(self, record: TreeRecord, languages: Mapping[str, str]) -> None:
        """`languages`: by message id."""
        reviews: defaultdict[str, list[dict[str, float | None]]] = defaultdict(list)
        for review in record.reviews:
            if review["kind"] == Review.Kind.REVIEW and (labels := review["labels"]):
                reviews[review["message_id"]].append(dict(zip(labels["name"], labels["value"], strict=True)))
        for message_id, given in reviews.items():
            for name, answers in answers_by_label(given).items():
                if len(answers) > 1:
                    self._units[languages.get(message_id, UNKNOWN), name][answers] += 1

    def result(self) -> list[dict[str, Any]]:
        """Return a row for each label, then for each label and language, in the order of the labels."""
        overall: defaultdict[str, Counter[Answers]] = defaultdict(Counter)
        for (_, name), units in self._units.items():
            overall[name].update(units)
        names = [name for name in LABELS if name in overall]
        rows = [_alpha_row(name, ALL, overall[name], ROUNDS) for name in names]
        for lang in sorted({lang for lang, _ in self._units}):
            rows.extend(
                _alpha_row(name, lang, units, ROUNDS_BY_LANGUAGE)
                for name in names
                if comparable(units := self._units.get((lang, name), Counter())) >= FEWEST
            )
        return rows


def _alpha_row(name: str, lang: str, units: Mapping[Answers, int], rounds: int) -> dict[str, Any]:
    distance = distance_of(name)
    return {
        "label": name,
        "lang": lang,
        "distance": distance.value,
        "messages": comparable(units),
        "alpha": _rounded(alpha(units, distance)),
        **_interval(alpha_interval(units, distance, rounds=rounds)),
    }


class RankingAgreement:
    """Orders of the replies to one message by several people, without those that call all replies wrong."""

    def __init__(self) -> None:
        self._sets: defaultdict[str, _Sets] = defaultdict(_Sets)

    def add(self, record: TreeRecord, languages: Mapping[str, str]) -> None:
        orders: defaultdict[str, list[list[str]]] = defaultdict(list)
        for ranking in record.rankings:
            if not ranking["not_rankable"]:
                orders[ranking["parent_id"]].append(ranking["ranked_message_ids"])
        for parent_id, rankings in orders.items():
            if (pairs := pairwise_agreement(rankings)).compared:
                sets = self._sets[languages.get(parent_id, UNKNOWN)]
                sets.pairs[pairs.agreed, pairs.compared] += 1
                if (concordance := kendall_w(rankings)) is not None:
                    sets.concordance[round(concordance.w, 6), round(concordance.beyond_chance, 6)] += 1

    def result(self) -> list[dict[str, Any]]:
        """Return a row for all languages, then for each with enough of them."""
        if not self._sets:
            return []
        everything = _Sets()
        for sets in self._sets.values():
            everything.pairs.update(sets.pairs)
            everything.concordance.update(sets.concordance)
        return [
            _ranking_row(ALL, everything, ROUNDS),
            *(
                _ranking_row(lang, sets, ROUNDS_BY_LANGUAGE)
                for lang, sets in sorted(self._sets.items())
                if sets.pairs.total() >= FEWEST
            ),
        ]


@dataclass
class _Sets:
    """How many sets of replies have each agreement."""

    pairs: Counter[tuple[int, int]] = field(default_factory=Counter)  # equal orders, compared orders
    concordance: Counter[tuple[float, float]] = field(default_factory=Counter)  # W, and what it is beyond chance


def _ranking_row(lang: str, sets: _Sets, rounds: int) -> dict[str, Any]:
    agreed, compared = (sum(pair[part] * number for pair, number in sets.pairs.items()) for part in (0, 1))
    ws = [(w, 1.0) for w, _ in sorted(sets.concordance.elements())]
    return {
        "lang": lang,
        "sets": sets.pairs.total(),
        "pairwise": _rounded(agreed / compared),
        **_interval(ratio_interval(sets.pairs.elements(), rounds=rounds), "pairwise_"),
        "kendall_w": _rounded(fmean(w for w, _ in ws)) if ws else None,
        **_interval(ratio_interval(ws, rounds=rounds), "kendall_w_"),
        "mean_correlation": _rounded(fmean(sorted(value for _, value in sets.concordance.elements()))) if ws else None,
    }


def _interval(interval: tuple[float, float] | None, prefix: str = "") -> dict[str, float | None]:
    low, high = interval or (None, None)
    return {f"{prefix}low": _rounded(low), f"{prefix}high": _rounded(high)}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
