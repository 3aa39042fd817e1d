"""How toxic a text is: a ladder of scorers. The first that has scores for a text decides; without any they are unknown.

1. The server at TOXICITY_URL (`remote`).
2. The classifier in the folder OASST_TOXICITY_MODEL, on this machine (`local`).

There is no third step: the classifiers that are small enough to come with the site find who a person is more toxic than
what is said about them (decision 111). Where nothing is set, nothing is scored.
"""

from collections.abc import Sequence
from typing import Protocol

from inference.scoring import local, remote
from inference.scoring.base import NotScorable, Unavailable
from inference.scoring.scores import Question, Scores

__all__ = ["SCORES", "Ladder", "Question", "Scores", "ladder"]

SCORES = ("toxicity", "severe_toxicity", "obscene", "identity_attack", "insult", "threat", "sexual_explicit")
"""The names under which `Scores.values` has scores from 0 to 1. A scorer may lack some, never `toxicity`."""

Outcome = Scores | Exception


class Step(Protocol):
    def is_configured(self) -> bool: ...

    def score(self, questions: Sequence[Question]) -> Sequence[Outcome]:
        """Return scores, NotScorable or another error for each text. Raise Unavailable for all."""


class Ladder:
    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = steps

    def is_configured(self) -> bool:
        return any(step.is_configured() for step in self.steps)

    def score(self, questions: Sequence[Question]) -> list[Outcome]:
        """Return scores for each text, or why it has none: a passing reason rather than a lasting one."""
        outcomes: list[Outcome] = [NotScorable("this site has no toxicity classifier")] * len(questions)
        open_ones = list(range(len(questions)))
        for step in self.steps:
            if not open_ones or not step.is_configured():
                continue
            answers = _answers(step, [questions[index] for index in open_ones])
            for index, answer in zip(open_ones, answers, strict=True):
                if _is_better(answer, outcomes[index]):
                    outcomes[index] = answer
            open_ones = [index for index in open_ones if not isinstance(outcomes[index], Scores)]
        return outcomes


def _is_better(answer: Outcome, known: Outcome) -> bool:
    """`known` is an error. Of two errors that pass, the first one counts."""
    if isinstance(answer, Unavailable):
        return not isinstance(known, Unavailable)
    return isinstance(answer, Scores) or isinstance(known, NotScorable)


def _answers(step: Step, questions: Sequence[Question]) -> Sequence[Outcome]:
    try:
        return step.score(questions)
    except Unavailable as reason:
        return [reason] * len(questions)


def ladder(*, attempts: int = remote.ATTEMPTS) -> Ladder:
    """Return the ladder of this site. `attempts`: how often a text is sent to a server that fails."""
    return Ladder([remote.RemoteClassifier(attempts=attempts), local.LocalClassifier()])
