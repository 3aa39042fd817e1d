"""Toxicity scores from a classifier on this machine: a folder with a transformer, loaded when it is first needed."""

from collections.abc import Sequence
from pathlib import Path

from django.conf import settings

from inference.engine import encoders
from inference.engine.base import EngineError
from inference.scoring.base import Unavailable
from inference.scoring.scores import Question, Scores, named_scores

_RETRY_AFTER = 600  # seconds


class LocalClassifier:
    """The classifier in OASST_TOXICITY_MODEL. Its labels must be among those in `scores`."""

    def is_configured(self) -> bool:
        return bool(settings.OASST_TOXICITY_MODEL)

    def score(self, questions: Sequence[Question]) -> list[Scores | Exception]:
        """Return scores for each text. Raise Unavailable if the folder holds no classifier."""
        try:
            classifier = encoders.load_classifier(Path(settings.OASST_TOXICITY_MODEL))
        except EngineError as error:
            raise Unavailable(str(error), retry_after=_RETRY_AFTER) from error
        answers = classifier([question.text for question in questions])
        return [named_scores(one.items(), model=classifier.name, version=classifier.version) for one in answers]
