"""What counts for scores, and how much.

There are two formulas. `points` is that of the wire, which API clients show next to their own numbers. `quality` counts
only outcomes, so that volume without agreement is worth nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True)
class Kind:
    name: str
    label: str | Promise  # on pages
    points: float = 0  # the sum of each kind is rounded down, so ten prompts are one point
    quality: int = 0
    activity: str = ""  # the board of this activity


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("prompts", _("Prompt written"), 0.1, 0, "writing"),
        Kind("replies_assistant", _("Answer written"), 4, 0, "writing"),
        Kind("replies_prompter", _("Follow-up written"), 1, 0, "writing"),
        Kind("labels_simple", _("Short review"), 1, 0, "reviewing"),
        Kind("labels_full", _("Full review"), 2, 0, "reviewing"),
        Kind("rankings_total", _("Ranking"), 1, 0, "ranking"),
        Kind("accepted_prompts", _("Prompt accepted"), 0.1, 1, "writing"),
        Kind("accepted_replies_assistant", _("Answer accepted"), 4, 8, "writing"),
        Kind("accepted_replies_prompter", _("Follow-up accepted"), 1, 2, "writing"),
        Kind("reply_ranked_1", _("Put first by somebody"), 9, 9, "writing"),
        Kind("reply_ranked_2", _("Put second by somebody"), 3, 3, "writing"),
        Kind("reply_ranked_3", _("Put third by somebody"), 1, 1, "writing"),
        Kind("rejected", _("Text not accepted"), 0, -4, "writing"),
        Kind("reviews_agreed", _("Review in line with the outcome"), 0, 1, "reviewing"),
        Kind("reviews_disagreed", _("Review against the outcome"), 0, -3, "reviewing"),
        Kind("rankings_agreed", _("Ranking in line with the outcome"), 0, 1, "ranking"),
        Kind("rankings_disagreed", _("Ranking against the outcome"), 0, -1, "ranking"),
        # Points of the kinds above for work without an outcome yet.
        Kind("provisional", _("Points whose outcome is open")),
    )
}
COUNTERS = tuple(KINDS)
# Kinds that are pieces of work; the others say what became of them.
WORK = ("prompts", "replies_assistant", "replies_prompter", "labels_simple", "labels_full", "rankings_total")
ACTIVITIES = ("writing", "reviewing", "ranking")

# The moderators' board: what people said about an author's texts. Means are stored as a sum of thousandths and a count,
# since sums of floats drift when numbers are added and subtracted.
FLAGS = ("spam", "lang_mismatch", "not_appropriate", "pii", "hate_speech", "sexual_content", "political_content")
MEANS = ("quality", "humor", "toxicity", "violence", "helpfulness")
COMPLAINTS = (
    "red_flags",
    "upvotes",
    "downvotes",
    "spam_prompts",
    *FLAGS,
    *(f"{name}_{part}" for name in MEANS for part in ("sum", "number")),
)
# Without `spam`: a prompt that was rejected as spam counts as `spam_prompts` only.
TROLL_WEIGHTS = {
    "red_flags": 3,
    "upvotes": -1,
    "downvotes": 1,
    "spam_prompts": 1,
    **{name: 1 for name in FLAGS if name != "spam"},
}


def worth(kind: str, number: int) -> int:
    """Return the points for this number of a kind, rounded down as on the wire."""
    points = KINDS[kind].points
    # Integer division, since 0.1 * 30 is 3.0000000000000004.
    return number // round(1 / points) if 0 < points < 1 else int(points) * number


def score_of(counts: Mapping[str, int], measure: str) -> int:
    """Return the score of these counts, by the formula of the database columns. Kinds without a count are 0."""
    if measure == "quality":
        return sum(kind.quality * counts.get(kind.name, 0) for kind in KINDS.values())
    counting = [kind.name for kind in KINDS.values() if measure in ("points", kind.activity)]
    return sum(worth(name, counts.get(name, 0)) for name in counting)
