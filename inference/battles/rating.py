"""The boards of models: strengths from decided battles, a board for each language and one for all.

Bradley and Terry (1952) with intervals by resampling people (Efron, 1979), and style control (Li, Angelopoulos and
Chiang, 2024): what an answer gains by its length, lists, headings and bold text is estimated beside the strengths, and
so taken out of them. A board is a list of contestants, best first:

    {model, preset, points, low, high, battles, won, against: {contestant: battles}}

`points` are those of chess (Elo) around 1,000, `won` is the share of its battles with half for each tie.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from inference.battles.battles import is_noise
from inference.battles.contestants import Contestant
from inference.comparing.bradley_terry import ELO, Array, Comparisons, fit, intervals
from inference.models import Battle, BattleBoard

LEAST_BATTLES = 20
"""Of a language, below which it has no board of its own."""
LEAST_CHECKS = 3
"""Decided checks, below which nothing is held against a person."""
MEAN = 1000
BATCH = 2000
STYLES = ("length", "lists", "headings", "bold")
_PATTERNS = (
    re.compile(r"^\s*(?:[-*+]|\d+[.)])\s", re.MULTILINE),
    re.compile(r"^#{1,6}\s", re.MULTILINE),
    re.compile(r"\*\*[^*\n]+\*\*|__[^_\n]+__"),
)
_WON = {Battle.Outcome.LEFT: 1.0, Battle.Outcome.RIGHT: 0.0, Battle.Outcome.BOTH: 0.5, Battle.Outcome.NEITHER: 0.5}


@dataclass
class _Found:
    """The battles of one board, column by column, so that a hundred thousand take some megabytes."""

    left: list[Contestant] = field(default_factory=list)
    right: list[Contestant] = field(default_factory=list)
    won: list[float] = field(default_factory=list)
    people: list[Any] = field(default_factory=list)
    styles: list[tuple[float, ...]] = field(default_factory=list)

    def add(self, battle: Battle, styles: tuple[float, ...]) -> None:
        self.left.append(Contestant(battle.left_model, battle.left_preset))
        self.right.append(Contestant(battle.right_model, battle.right_preset))
        self.won.append(_WON[Battle.Outcome(battle.outcome)])
        self.people.append(battle.user_id)
        self.styles.append(styles)


def rate() -> int:
    """Make all boards anew, and return how many there are. Safe to run twice and concurrently."""
    reliability = _reliability()
    boards: defaultdict[str, _Found] = defaultdict(_Found)
    for battle in _decided():
        if reliability.get(battle.user_id, 1.0) > 0:
            styles = _differences(battle.left.content, battle.right.content)
            for lang in ("", battle.lang):
                boards[lang].add(battle, styles)
    made = {lang: _board(lang, found, reliability) for lang, found in boards.items() if _is_enough(lang, found)}
    with transaction.atomic():
        BattleBoard.objects.exclude(lang__in=made).delete()
        BattleBoard.objects.bulk_create(
            [made[lang] for lang in sorted(made)],
            update_conflicts=True,
            unique_fields=["lang"],
            update_fields=["rated_at", "battles", "people", "standing", "styles"],
        )
    return len(made)


def _decided() -> Iterator[Battle]:
    """Yield what counts: neither checks nor drafts of one contestant, by people who are still here."""
    same = Q(left_model=F("right_model"), left_preset=F("right_preset"))
    rows = Battle.objects.exclude(outcome="").exclude(same).filter(is_check=False, user__is_active=True)
    fields = ("left_model", "left_preset", "right_model", "right_preset", "outcome", "user_id", "lang")
    texts = ("left__content", "right__content")
    return rows.select_related("left", "right").only(*fields, *texts).order_by("pk").iterator(chunk_size=BATCH)


def _reliability() -> dict[Any, float]:
    """Return for everybody with enough decided checks how much their votes count, from 0 to 1.

    One who prefers noise to an answer as often as not says nothing about answers.
    """
    seen: defaultdict[Any, list[bool]] = defaultdict(list)
    checks = Battle.objects.filter(is_check=True).exclude(outcome="").select_related("left__turn")
    for battle in checks.only("user_id", "outcome", "left", "left__turn__sampling"):
        noise = "left" if is_noise(battle.left.turn) else "right"
        seen[battle.user_id].append(battle.outcome not in (noise, Battle.Outcome.BOTH))
    return {
        person: max(0.0, 2 * sum(passed) / len(passed) - 1)
        for person, passed in seen.items()
        if len(passed) >= LEAST_CHECKS
    }


def _is_enough(lang: str, found: _Found) -> bool:
    return bool(found.won) if lang == "" else len(found.won) >= LEAST_BATTLES


def _board(lang: str, found: _Found, reliability: dict[Any, float]) -> BattleBoard:
    names = sorted({*found.left, *found.right})
    number = {one: index for index, one in enumerate(names)}
    people = {person: index for index, person in enumerate(dict.fromkeys(found.people))}
    comparisons = Comparisons(
        models=[one.key for one in names],
        left=np.array([number[one] for one in found.left]),
        right=np.array([number[one] for one in found.right]),
        won=np.array(found.won),
        styles=_scaled(np.array(found.styles)),
        people=np.array([people[person] for person in found.people]),
        counts=_counts(found, reliability),
    )
    strengths = fit(comparisons)
    between = intervals(comparisons)
    standing = [
        {
            "model": one.model,
            "preset": one.preset,
            "points": round(strengths.values[index] * ELO, 1),
            "low": round(between[index].low * ELO, 1),
            "high": round(between[index].high * ELO, 1),
            **_met(found, one),
        }
        for index, one in enumerate(names)
    ]
    gains = dict(zip(STYLES, (strengths.styles * ELO).round(1).tolist(), strict=True))
    return BattleBoard(
        lang=lang,
        rated_at=timezone.now(),
        battles=len(found.won),
        people=len(people),
        standing=sorted(standing, key=lambda row: -row["points"]),
        styles=gains,
    )


def _counts(found: _Found, reliability: dict[Any, float]) -> Array:
    """Return how much each battle counts: all of a person about one pair together as one vote of theirs."""
    pairs = [(person, frozenset((a, b))) for person, a, b in zip(found.people, found.left, found.right, strict=True)]
    number = Counter(pairs)
    return np.array([reliability.get(person, 1.0) / number[person, pair] for person, pair in pairs])


def _met(found: _Found, one: Contestant) -> dict[str, Any]:
    """Return how often it met whom, and the share that it won."""
    against: Counter[str] = Counter()
    won = 0.0
    for left, right, left_won in zip(found.left, found.right, found.won, strict=True):
        if one in (left, right):
            against[(right if one == left else left).key] += 1
            won += left_won if one == left else 1 - left_won
    battles = against.total()
    return {"battles": battles, "won": round(won / battles, 3), "against": dict(against)}


def _differences(left: str, right: str) -> tuple[float, ...]:
    """Return by how much the left answer has more of each feature of form."""
    length = float(np.log1p(len(left)) - np.log1p(len(right)))
    return (length, *(_more(pattern, left, right) for pattern in _PATTERNS))


def _more(pattern: "re.Pattern[str]", left: str, right: str) -> float:
    return float(np.log1p(len(pattern.findall(left))) - np.log1p(len(pattern.findall(right))))


def _scaled(styles: Array) -> Array:
    """Return the features, each divided by its spread; what never differs stays as it is."""
    spread: Array = styles.std(axis=0)
    scaled: Array = styles / np.where(spread > 0, spread, 1.0)
    return scaled


def standing_of(board: BattleBoard) -> Sequence[dict[str, Any]]:
    """Return the board for its page: points around `MEAN`, and where the bar of each interval begins and ends."""
    rows = board.standing
    low = min((row["low"] for row in rows), default=0.0)
    high = max((row["high"] for row in rows), default=0.0)
    width = max(high - low, 1.0)
    return [
        {
            **row,
            "place": index + 1,
            "shown": round(MEAN + row["points"]),
            "from": round(MEAN + row["low"]),
            "to": round(MEAN + row["high"]),
            "x": round((row["low"] - low) / width * 100, 1),
            "width": max(round((row["high"] - row["low"]) / width * 100, 1), 1.0),
            "middle": round((row["points"] - low) / width * 100, 1),
            "percent": round(row["won"] * 100),
        }
        for index, row in enumerate(rows)
    ]
