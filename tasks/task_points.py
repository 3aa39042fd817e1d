"""The points for a task on its card and its page, from the table of scores."""

from dataclasses import dataclass

from django.utils.translation import gettext, ngettext

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
class TaskPoints:
    """Points for one task: `now` for sending it (least and most), and `accepted` more if the text is accepted."""

    now: tuple[float, float]
    accepted: float = 0

    @property
    def when_sent(self) -> float:
        return self.now[1]

    def __str__(self) -> str:
        least, most = self.now
        if most + self.accepted < 1:
            return gettext("less than 1 point")
        if self.accepted:
            both = f"{most + self.accepted:g}"
            return gettext("%(first)s, %(both)s if accepted") % {"first": _points(most), "both": both}
        if least == most:
            return _points(most)
        return gettext("%(least)s or %(points)s") % {"least": f"{least:g}", "points": _points(most)}


def points_of(kind: Kind, modes: set[Review.Mode] | None = None) -> TaskPoints:
    """Return the points for a task of this kind. `modes` are the possible modes of a review; None means any."""
    if kind in _TEXTS:
        points = KINDS[_TEXTS[kind]].points
        return TaskPoints((points, points), KINDS[f"accepted_{_TEXTS[kind]}"].points)
    work = work_of(kind)
    if work in RANKING_WORK:
        points = KINDS["rankings_total"].points
        return TaskPoints((points, points))
    assert work in REVIEW_WORK
    by_mode = [KINDS[f"labels_{mode.value}"].points for mode in modes or Review.Mode]
    return TaskPoints((min(by_mode), max(by_mode)))


def points_when_asked(kind: Kind, policy: TreePolicy) -> TaskPoints:
    """Return the points for a task of this kind when the user chose the kind."""
    return points_of(kind, modes_when_asked(kind, policy))


def _points(number: float) -> str:
    for_plural = 1 if number == 1 else max(2, round(number))  # of 0.5 and 1.5 points English says "points"
    return ngettext("%(points)s point", "%(points)s points", for_plural) % {"points": f"{number:g}"}
