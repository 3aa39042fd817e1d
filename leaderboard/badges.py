"""Badges. A user has a badge while its rule is true; nothing is stored, so nothing can be out of date."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from leaderboard.streaks import Streak

Counts = Counter[str]
_TEXTS = ("accepted_prompts", "accepted_replies_assistant", "accepted_replies_prompter")
_DECIDED = ("reviews_agreed", "reviews_disagreed")


@dataclass(frozen=True)
class Badge:
    key: str
    name: str
    rule: str
    progress: Callable[[Counts, Streak], tuple[int, int]]
    """Returns (how many the user has, how many it takes)."""


@dataclass(frozen=True)
class BadgeProgress:
    badge: Badge
    have: int
    needed: int

    @property
    def earned(self) -> bool:
        return self.have >= self.needed


def _number_of(*kinds: str, needed: int) -> Callable[[Counts, Streak], tuple[int, int]]:
    return lambda counts, streak: (sum(counts[kind] for kind in kinds), needed)


def _days(needed: int) -> Callable[[Counts, Streak], tuple[int, int]]:
    return lambda counts, streak: (streak.days, needed)


def _keen_eye(counts: Counts, streak: Streak) -> tuple[int, int]:
    decided = sum(counts[kind] for kind in _DECIDED)
    # One below the threshold while more than one in ten reviews went against the outcome.
    return (decided if counts["reviews_agreed"] * 10 >= decided * 9 else min(decided, 49)), 50


BADGES = (
    Badge("first", "First words", "A text of yours was accepted.", _number_of(*_TEXTS, needed=1)),
    Badge(
        "author", "Author", "25 answers of yours were accepted.", _number_of("accepted_replies_assistant", needed=25)
    ),
    Badge(
        "opener",
        "Conversation starter",
        "10 prompts of yours were accepted.",
        _number_of("accepted_prompts", needed=10),
    ),
    Badge("gold", "On top", "Three people put an answer of yours first.", _number_of("reply_ranked_1", needed=3)),
    Badge("reader", "Careful reader", "100 reviews.", _number_of("labels_full", "labels_simple", needed=100)),
    Badge("eye", "Keen eye", "50 reviews were decided, nine of ten as you said.", _keen_eye),
    Badge("judge", "Fair judge", "50 rankings.", _number_of("rankings_total", needed=50)),
    Badge("week", "Seven days", "Work on seven days in a row. Yours while the streak lasts.", _days(7)),
    Badge("month", "Thirty days", "Work on thirty days in a row. Yours while the streak lasts.", _days(30)),
)


def badges_of(counts: Counts, streak: Streak) -> list[BadgeProgress]:
    """Return all badges, the earned ones first."""
    return sorted(
        (BadgeProgress(badge, *badge.progress(counts, streak)) for badge in BADGES), key=lambda row: not row.earned
    )
