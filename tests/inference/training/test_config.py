"""A configuration is checked before anything is loaded, and says what is wrong with it."""

from pathlib import Path

import pytest

from inference.training.config import METHODS, Reward, Sft, from_values, read_config
from inference.training.errors import TrainingError


def refusal(method: str, *changes: str, file: Path | None = None) -> str:
    with pytest.raises(TrainingError) as refused:
        read_config(method, file, changes)
    assert refused.value.code == "config"
    return str(refused.value)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_has_defaults(method: str) -> None:
    config = read_config(method)
    assert from_values(method, config.model_dump(mode="json")) == config


def test_a_file_and_then_single_keys(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("learning_rate: 1e-5\nlangs: [en, de]\nepochs: 2\n")
    assert read_config("sft", file, ["epochs=3", "lora=false"]) == Sft(
        learning_rate=1e-5, langs=("en", "de"), epochs=3, lora=False
    )


def test_words_on_the_command_line() -> None:
    config = read_config("reward", changes=["langs=en, de", "loss=pairs"])
    assert config == Reward(langs=("en", "de"), loss="pairs")


def test_an_empty_file_is_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("# nothing yet\n")
    assert read_config("sft", tmp_path / "empty.yaml") == Sft()


class TestRefusals:
    def test_a_key_that_the_method_does_not_have(self) -> None:
        assert "sft has no setting 'beta'. It has: accumulation, batch_size" in refusal("sft", "beta=0.1")

    def test_several_faults_at_once(self) -> None:
        said = refusal("dpo", "epochs=-1", "seed=today", "loss=best")
        assert "epochs is -1" in said and "seed is 'today'" in said and "loss is 'best'" in said

    @pytest.mark.parametrize("change", ["learning_rate=.nan", "learning_rate=.inf", "learning_rate=0", "epochs="])
    def test_what_is_no_sensible_number(self, change: str) -> None:
        assert change.partition("=")[0] in refusal("sft", change)

    def test_smoothing_that_would_teach_the_opposite(self) -> None:
        assert "label_smoothing" in refusal("reward", "label_smoothing=0.5")

    def test_a_method_that_does_not_exist(self) -> None:
        assert "There is no method 'ppo': choose sft, reward" in refusal("ppo")

    def test_a_change_without_a_value(self) -> None:
        assert "write key=value" in refusal("sft", "lora")

    @pytest.mark.parametrize("content", ["- a list", "key: [", "just words", "\x00"])
    def test_a_file_that_is_none(self, tmp_path: Path, content: str) -> None:
        (tmp_path / "bad.yaml").write_text(content)
        assert "bad.yaml" in refusal("sft", file=tmp_path / "bad.yaml")

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        assert "missing.yaml cannot be read" in refusal("sft", file=tmp_path / "missing.yaml")
