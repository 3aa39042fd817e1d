"""Toxicity scores from a classifier on this machine: a folder with a transformer, loaded when it is first needed."""

from collections.abc import Sequence
from pathlib import Path

from django.conf import settings

from inference.engine import encoders
from inference.engine.base import EngineError
from inference.scoring.base import Unavailable
from inference.scoring.scores import Question, Scores, WrongAnswer, named_scores, our_name

_RETRY_AFTER = 600  # seconds


class LocalClassifier:
    """The classifier in OASST_TOXICITY_MODEL. Its labels must be among those in `scores`."""

    def is_configured(self) -> bool:
        return bool(settings.OASST_TOXICITY_MODEL)

    def score(self, questions: Sequence[Question]) -> list[Scores | Exception]:
        """Return scores or an error for each text. Raise Unavailable if the folder holds no classifier of toxicity."""
        try:
            classifier = encoders.load_classifier(Path(settings.OASST_TOXICITY_MODEL), threads=settings.ENGINE_THREADS)
        except EngineError as error:
            raise Unavailable(str(error), retry_after=_RETRY_AFTER) from error
        if "toxicity" not in map(our_name, classifier.labels):
            reason = f"The classifier {classifier.name} has no label called toxicity."
            raise Unavailable(reason, retry_after=_RETRY_AFTER)
        answers = classifier([question.text for question in questions])
        return [_scores(one, classifier) for one in answers]


def _scores(answer: encoders.Scores, classifier: encoders.Classifier) -> Scores | WrongAnswer:
    try:
        return named_scores(answer.items(), model=classifier.name, version=classifier.version)
    except WrongAnswer as error:
        return error
