"""What counts for scores, and how much.

There are two formulas. `points` is that of the wire, which API clients show next to their own numbers. `quality` counts
only outcomes, so that volume without agreement is worth nothing.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    name: str
    label: str  # on pages
    points: float = 0  # the sum of each kind is rounded down, so ten prompts are one point
    quality: int = 0
    activity: str = ""  # the board of this activity


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
        # Points of the kinds above for work without an outcome yet.
        Kind("provisional", "Points whose outcome is open"),
    )
}
COUNTERS = tuple(KINDS)
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
