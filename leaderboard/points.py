"""What counts, and for how much: the one home of the points.

Two formulas. `points` is that of the wire protocol, which clients show next to numbers of their own. `quality` counts
outcomes alone, so that volume is worth nothing without agreement.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    name: str
    label: str  # for one of it, on pages
    points: float = 0  # the sum of each kind is rounded down, so ten prompts are one point
    quality: int = 0
    activity: str = ""  # the board that it belongs to


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("prompts", "Prompt written", 0.1, 0, "writing"),
        Kind("replies_assistant", "Answer written", 4, 0, "writing"),
        Kind("replies_prompter", "Follow-up written", 1, 0, "writing"),
        Kind("labels_simple", "Short review", 1, 0, "reviewing"),
        Kind("labels_full", "Full review", 2, 0, "reviewing"),
        Kind("rankings_total", "Ranking", 1, 0, "ranking"),
        Kind("accepted_prompts", "Prompt accepted", 0.1, 1, "writing"),
        Kind("accepted_replies_assistant", "Answer accepted", 4, 8, "writing"),
        Kind("accepted_replies_prompter", "Follow-up accepted", 1, 2, "writing"),
        Kind("reply_ranked_1", "Put first by somebody", 9, 9, "writing"),
        Kind("reply_ranked_2", "Put second by somebody", 3, 3, "writing"),
        Kind("reply_ranked_3", "Put third by somebody", 1, 1, "writing"),
        Kind("rejected", "Text not accepted", 0, -4, "writing"),
        Kind("reviews_agreed", "Review in line with the outcome", 0, 1, "reviewing"),
        Kind("reviews_disagreed", "Review against the outcome", 0, -3, "reviewing"),
        Kind("rankings_agreed", "Ranking in line with the outcome", 0, 1, "ranking"),
        Kind("rankings_disagreed", "Ranking against the outcome", 0, -1, "ranking"),
        # Points that stand in the sums above and may still gain: nobody knows yet what became of that work.
        Kind("provisional", "Points whose outcome is open"),
    )
}
COUNTERS = tuple(KINDS)
ACTIVITIES = ("writing", "reviewing", "ranking")

# What people said about the texts of a person: the moderators' board. Means are kept as a sum of thousandths and a
# number, since sums of fractions would drift while they are added and taken away.
FLAGS = (
    "spam",
    "lang_mismatch",
    "not_appropriate",
    "pii",
    "hate_speech",
    "sexual_content",
    "political_content",
)
MEANS = ("quality", "humor", "toxicity", "violence", "helpfulness")
COMPLAINTS = (
    "red_flags",
    "upvotes",
    "downvotes",
    "spam_prompts",
    *FLAGS,
    *(f"{name}_{part}" for name in MEANS for part in ("sum", "number")),
)
# `spam` itself is no part of it: a prompt that was rejected as spam counts once, as `spam_prompts`.
TROLL_WEIGHTS = {
    "red_flags": 3,
    "upvotes": -1,
    "downvotes": 1,
    "spam_prompts": 1,
    **{name: 1 for name in FLAGS if name != "spam"},
}


def worth(kind: str, number: int) -> int:
    """The points of so many of a kind, rounded down as the wire does."""
    points = KINDS[kind].points
    # A tenth as a fraction of whole numbers: 0.1 * 30 is 3.0000000000000004.
    return number // round(1 / points) if 0 < points < 1 else int(points) * number
