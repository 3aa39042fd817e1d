"""A person's own figures in the four time frames, as a table. Reads only."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from leaderboard.queries import BoardPosition, Counts, ranks_of, score_of
from leaderboard.time_frames import Frame
from oasst.accounts.models import User

FRAMES = {Frame.DAY: _("24 hours"), Frame.WEEK: _("7 days"), Frame.MONTH: _("30 days"), Frame.TOTAL: _("All time")}
FIGURES = {
    "prompts": _("Prompts"),
    "accepted_prompts": _("accepted"),
    "replies_assistant": _("Answers as the assistant"),
    "accepted_replies_assistant": _("accepted"),
    "replies_prompter": _("Follow-ups as the user"),
    "accepted_replies_prompter": _("accepted"),
    "labels_full": _("Full reviews"),
    "labels_simple": _("Short reviews"),
    "rankings_total": _("Rankings"),
    "reply_ranked_1": _("Times ranked first"),
}
"""Counter → its label. An accepted one follows what it is a part of."""


@dataclass(frozen=True)
class Row:
    label: Promise
    numbers: list[int | None]
    """One for each frame; None for a rank without a place on the board."""
    is_part: bool = False


@dataclass(frozen=True)
class Table:
    frames: list[Promise]
    rows: list[Row]

    @property
    def is_empty(self) -> bool:
        """True if this person has done nothing yet."""
        return not any(number for row in self.rows for number in row.numbers)


def table_of(user: User, counts: Mapping[Frame, Counts]) -> Table:
    """Return score, rank and the ten counters in each frame. One statement, and once a minute those of the ladders.

    `counts` are those of `queries.own_counts`.
    """
    scores = {frame: score_of(counts[frame], "points") for frame in FRAMES}
    rows = [
        Row(_("Points"), list(scores.values())),
        Row(_("Place on the board"), _places(user, scores)),
        *(
            Row(label, [counts[frame][name] for frame in FRAMES], is_part=name.startswith("accepted_"))
            for name, label in FIGURES.items()
        ),
    ]
    return Table(list(FRAMES.values()), rows)


def _places(user: User, scores: Mapping[Frame, int]) -> list[int | None]:
    """Return the rank in each frame, or None: people without points or who are not shown have no place."""
    if not (user.enabled and user.show_on_leaderboard):
        return [None] * len(scores)
    positions = [BoardPosition(frame, score, user.pk) for frame, score in scores.items() if score > 0]
    ranks = ranks_of("", "points", positions) if positions else []
    found = {position.frame: rank for position, rank in zip(positions, ranks, strict=True)}
    return [found.get(frame) for frame in scores]
