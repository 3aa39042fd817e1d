"""The commands that measure how similar prompts are found."""

from pathlib import Path

import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command

from inference.engine import tiny
from tests.factories import new_person, new_prompt
from tests.paths import ROOT

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def model(settings: LazySettings, tmp_path: Path) -> None:
    tiny.make_encoder(tmp_path / "tiny-encoder")
    settings.OASST_EMBEDDINGS = str(tmp_path / "tiny-encoder")


def test_the_time_of_a_search(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("measure_similarity", prompts=12, embedded=5, times=5)
    output = capsys.readouterr().out
    assert "12 prompts, 12 sketches, 12 embeddings" in output
    assert "find_similar                       5 |" in output


def test_real_data_is_left_alone() -> None:
    new_prompt(new_person("Alice"))
    with pytest.raises(CommandError, match="empty database"):
        call_command("measure_similarity")


def test_the_figures_of_a_sample(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    call_command("measure_similarity", pairs=ROOT / "tests/data/labelled/prompt_pairs_en.tsv")
    output = capsys.readouterr().out
    assert "60 pairs" in output and "by wording alone                           0 of 30       1 of 30" in output
    broken = tmp_path / "pairs.tsv"
    broken.write_text("same\tone\ttwo\nsame\tone\n")
    with pytest.raises(CommandError, match="line 2"):
        call_command("measure_similarity", pairs=broken)
