"""The command that measures how well machines read labelled samples."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command

from inference.engine import tiny
from inference.scoring import remote
from oasst.simulation.measuring.labelled import FOLDER, read_columns
from tests.fake_classifier import FakeClassifier

pytestmark = pytest.mark.django_db
SENTENCES = read_columns(FOLDER / "toxicity.tsv", 3)


@pytest.fixture
def server(settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeClassifier]:
    server = FakeClassifier()
    settings.TOXICITY_URL = server.url
    monkeypatch.setattr(remote, "FIRST_PAUSE", 0.001)
    yield server
    server.close()


@pytest.fixture
def figures(capsys: pytest.CaptureFixture[str]) -> "Figures":
    return Figures(capsys)


class Figures:
    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def of(self, *kinds: str, **options: object) -> str:
        call_command("measure_reading", *kinds, **options)
        return self.capsys.readouterr().out


def score_of(label: str) -> bytes:
    score = {"toxic": 0.9, "harmless": 0.1, "wrong": 0.6}[label]
    return f'[[{{"label": "toxicity", "score": {score}}}]]'.encode()


def test_languages_and_the_questions_that_nobody_should_be_asked(figures: Figures) -> None:
    text = figures.of("language")
    assert "138 texts in 46 languages: 124 exact" in text
    assert "filed rightly, and asked all the same: 0 of 86 (short 0 of 25, code 0 of 13" in text


def test_personal_data_by_kind(figures: Figures) -> None:
    text = figures.of("personal-data", faults=True)
    assert "all         precision 1.000, recall 1.000 (180 right, 0 wrong, 0 missed)" in text
    assert "113 lines unknown to whoever wrote the rules" in text and "missed phone: '020 7946 1582' in" in text


def test_a_perfect_classifier(server: FakeClassifier, figures: Figures) -> None:
    labels = {text: label for label, _, text in SENTENCES}
    server.answer = lambda body: score_of(labels[body["inputs"]])
    text = figures.of("toxicity")
    assert "77 sentences, by 127.0.0.1 huggingface" in text
    assert "area under the curve 1.000" in text
    assert "toxic from 0.8 on: precision 1.000, recall 1.000 (25 right, 0 wrong, 0 missed)" in text
    assert "unknown" not in text


def test_false_alarms_are_counted_by_group(server: FakeClassifier, figures: Figures) -> None:
    """A classifier that takes for toxic who somebody is."""
    groups = {text: group for _, group, text in SENTENCES}
    server.answer = lambda body: score_of("wrong" if groups[body["inputs"]] == "identity" else "harmless")
    text = figures.of("toxicity", faults=True)
    assert "toxic from 0.5 on: precision 0.000, recall 0.000 (0 right, 12 wrong, 25 missed)" in text
    assert "false alarms:    identity 12 of 12, medical 0 of 8" in text
    assert "0.10 toxic (insult): You are an idiot" in text


def test_sentences_without_a_score_are_unknown(server: FakeClassifier, figures: Figures) -> None:
    server.refuses = lambda text: 400 if text in {text for _, group, text in SENTENCES if group == "medical"} else None
    assert "unknown: 8 of 77; the first: NotScorable: the server refused the text with 400" in figures.of("toxicity")
    server.refuses = lambda text: 500
    assert "by nothing that answered\n  unknown: 77 of 77; the first: Unavailable" in figures.of("toxicity")


def test_without_a_classifier_there_is_nothing_to_measure(settings: LazySettings, figures: Figures) -> None:
    settings.TOXICITY_URL, settings.OASST_EMBEDDINGS = "", "none"
    assert "nothing to measure, TOXICITY_URL and OASST_TOXICITY_MODEL are unset" in figures.of("toxicity")
    assert "OASST_EMBEDDINGS is none" in figures.of("duplicates")


@pytest.mark.slow
def test_a_classifier_in_a_folder(figures: Figures, settings: LazySettings, tmp_path: Path) -> None:
    """Loads torch. Its scores mean nothing."""
    tiny.make_encoder(tmp_path / "classifier", labels=("toxicity", "insult"))
    settings.TOXICITY_URL, settings.OASST_TOXICITY_MODEL = "", str(tmp_path / "classifier")
    text = figures.of("toxicity")
    assert "77 sentences, by classifier " in text and "area under the curve 0." in text and "unknown" not in text


@pytest.mark.slow
def test_near_duplicates(figures: Figures, settings: LazySettings, tmp_path: Path) -> None:
    tiny.make_encoder(tmp_path / "tiny-encoder")
    settings.OASST_EMBEDDINGS = str(tmp_path / "tiny-encoder")
    text = figures.of("duplicates")
    assert [text.count(f"{number} pairs; ") for number in (60, 40)] == [2, 1]


def test_what_is_wrong_with_a_sample_or_a_kind(tmp_path: Path) -> None:
    (tmp_path / "toxicity.tsv").write_text("toxic\tinsult\tone\ntoxic\ttwo\n")
    with pytest.raises(CommandError, match="line 2: 2 columns between tabs, not 3"):
        call_command("measure_reading", "toxicity", samples=tmp_path)
    with pytest.raises(CommandError, match=r"no sample for .toxic.\. Choose from language"):
        call_command("measure_reading", "toxic")
