"""Which of two models answers the same prompts better, by a judge that is asked in both orders.

A judge that prefers whatever stands first, or second, has an even share then, and the report says how often it changed
its mind with the order. Ties are half a win.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from inference.engine.base import Message
from inference.evaluating.answering import Answers, Said
from inference.evaluating.report import Measure, figure
from inference.evaluating.shares import share_figure
from inference.training.judging import Judge
from inference.training.sampling import Answer


@dataclass(frozen=True)
class Duel:
    """Two answers to one conversation. The judge does not learn whose they are."""

    prompt: Sequence[Message]
    first: str
    second: str


Decide = Callable[[Sequence[Duel]], list[float | None]]
"""Returns for each duel 1 if the first is better, 0 if the second, 0.5 for a tie; None if the judge said neither."""


class ScoresOf:
    """Decides by the scores of a reward model, and keeps them, so that no answer is read twice without need."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._kept: dict[tuple[str, ...], float] = {}

    def decide(self, duels: Sequence[Duel]) -> list[float | None]:
        rows = [[*duel.prompt, Message("assistant", text)] for duel in duels for text in (duel.first, duel.second)]
        scores = self._judge.scores(rows)
        self._kept |= {_texts(row): score for row, score in zip(rows, scores, strict=True)}
        return [_better(one, two) for one, two in zip(scores[::2], scores[1::2], strict=True)]

    def note(self, answers: Answers) -> None:
        """Write the score of each answer beside it."""
        rows = [
            [*said.prompt.messages, Message("assistant", one.text)] for said in answers.said for one in said.answers
        ]
        unknown = [row for row in rows if _texts(row) not in self._kept]
        new = zip(unknown, self._judge.scores(unknown), strict=True)
        self._kept |= {_texts(row): score for row, score in new}
        scores = iter(self._kept[_texts(row)] for row in rows)
        for said in answers.said:
            said.scores = [round(one, 4) if math.isfinite(one := next(scores)) else None for _ in said.answers]


def _texts(messages: Sequence[Message]) -> tuple[str, ...]:
    return tuple(message.content for message in messages)


def _better(one: float, two: float) -> float | None:
    if not (math.isfinite(one) and math.isfinite(two)):
        return None
    # Batches of other sizes round otherwise, which is no preference.
    return 0.5 if abs(one - two) <= 1e-5 * max(1.0, abs(one)) else float(one > two)


def duels_of(said: Said, against: Said) -> list[Duel]:
    """Return each answer of the one with the answer of the same place of the other."""
    pairs: list[tuple[Answer, Answer]] = list(zip(said.answers, against.answers, strict=True))
    return [Duel(said.prompt.messages, one.text, other.text) for one, other in pairs]


def win_rates(part: str, by_whom: str, decide: Decide, mine: Answers, other: Answers) -> dict[str, Measure]:
    """Return the win rate over ordinary prompts, by language too, and what the order of the answers changed."""
    said = list(zip(mine.ordinary(), other.ordinary(), strict=True))
    each = [duels_of(one, two) for one, two in said]
    duels = [duel for several in each for duel in several]
    straight = decide(duels)
    swapped = decide([Duel(duel.prompt, duel.second, duel.first) for duel in duels])
    wins: list[float] = []
    langs: list[str] = []
    place = silent = 0
    for (one, _), several in zip(said, each, strict=True):
        range_ = range(place, place + len(several))
        place += len(several)
        found = [_mean_of_both(straight[at], swapped[at]) for at in range_]
        known = [value for value in found if value is not None]
        silent += len(found) - len(known)
        if known:
            wins.append(sum(known) / len(known))
            langs.append(one.prompt.lang)
    return {
        f"{part}.win_rate": _win_rate(f"Won by {by_whom}; ties are half", wins, silent),
        **{
            f"{part}.win_rate.{lang}": _win_rate(
                f"Won by {by_whom}, {lang}", [win for win, its in zip(wins, langs, strict=True) if its == lang], 0
            )
            for lang in sorted({*langs} - {""})
        },
        **_order_effects(part, straight, swapped),
    }


def _mean_of_both(straight: float | None, swapped: float | None) -> float | None:
    return None if straight is None or swapped is None else (straight + 1 - swapped) / 2


def _win_rate(title: str, wins: list[float], silent: int) -> Measure:
    cause = (
        f"The judge decided none of {silent} pairs." if silent else "There were no prompts that both models answered."
    )
    return Measure(title=title, unit="share", better="higher", model=share_figure(wins, cause))


def _order_effects(part: str, straight: list[float | None], swapped: list[float | None]) -> dict[str, Measure]:
    both = [(one, two) for one, two in zip(straight, swapped, strict=True) if one is not None and two is not None]
    changed = [float(one != 1 - two) for one, two in both]
    firsts = [(one + two) / 2 for one, two in both]
    decided = [float(one is not None and two is not None) for one, two in zip(straight, swapped, strict=True)]
    mean = sum(firsts) / len(firsts) - 0.5 if firsts else None
    return {
        f"{part}.changed_with_order": Measure(
            title="Decisions that changed with the order of the answers", unit="share", model=share_figure(changed)
        ),
        f"{part}.position_bias": Measure(
            title="How much the judge prefers what stands first (0: not at all)",
            model=figure(mean, number=len(firsts), cause="The judge decided nothing."),
        ),
        f"{part}.decided": Measure(title="Pairs that the judge decided", unit="share", model=share_figure(decided)),
    }
