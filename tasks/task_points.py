"""What a task pays, as its card and its page promise it: taken from the table with which scores are counted."""

from dataclasses import dataclass

from leaderboard.points import KINDS
from tasks.kinds import Kind, work_of
from tasks.review_modes import modes_when_asked
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import RANKING_WORK, REVIEW_WORK
from trees.models import Review

_TEXTS = {
    Kind.INITIAL_PROMPT: "prompts",
    Kind.PROMPTER_REPLY: "replies_prompter",
    Kind.ASSISTANT_REPLY: "replies_assistant",
}


@dataclass(frozen=True)
class Pay:
    """Points for one task: `now`, when it is sent (of a review the least and the most), and `accepted`, later, if the
    text is accepted.
    """

    now: tuple[float, float]
    accepted: float = 0

    def __str__(self) -> str:
        least, most = self.now
        first = _points(most) if least == most else f"{least:g} or {_points(most)}"
        return f"{first}, {self.accepted:g} more if accepted" if self.accepted else first


def pay_of(kind: Kind, modes: set[Review.Mode] | None = None) -> Pay:
    """What a task of this kind pays. `modes` are those that a review may have; without them, any."""
    if kind in _TEXTS:
        counter = _TEXTS[kind]
        return Pay(_alike(KINDS[counter].points), KINDS[f"accepted_{counter}"].points)
    work = work_of(kind)
    if work in RANKING_WORK:
        return Pay(_alike(KINDS["rankings_total"].points))
    assert work in REVIEW_WORK
    found = [KINDS[f"labels_{mode.value}"].points for mode in modes or Review.Mode]
    return Pay((min(found), max(found)))


def pay_of_asked(kind: Kind, policy: TreePolicy) -> Pay:
    """What a task of this kind pays to somebody who asks for this kind."""
    return pay_of(kind, modes_when_asked(kind, policy))


def _alike(points: float) -> tuple[float, float]:
    return points, points


def _points(number: float) -> str:
    return f"{number:g} point{'' if number == 1 else 's'}"
