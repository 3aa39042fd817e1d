"""docs/training.md names every setting with its default, and every file it mentions is there."""

import json
import re

import pytest

from inference.training.config import METHODS, Common
from tests.paths import ROOT

TEXT = (ROOT / "docs/training.md").read_text()


def documented(part: str) -> dict[str, object]:
    table = TEXT.partition(f"<!-- settings {part} -->")[2].partition("<!-- ")[0]
    return {name: json.loads(value) for name, value in re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", table, re.M)}


def defaults(kind: type[Common]) -> dict[str, object]:
    return {name: json.loads(json.dumps(field.default)) for name, field in kind.model_fields.items()}


def test_settings_of_all_methods() -> None:
    assert documented("common") == defaults(Common)


@pytest.mark.parametrize("method", [one for one in METHODS if one != "rloo"])
def test_what_a_method_has_beside_them_or_otherwise(method: str) -> None:
    common = defaults(Common)
    own = {name: value for name, value in defaults(METHODS[method]).items() if common.get(name, ...) != value}
    assert documented(method) == own


def test_both_online_methods_have_the_same() -> None:
    assert defaults(METHODS["rloo"]) == defaults(METHODS["grpo"])


def test_a_language_that_yaml_reads_as_false_is_refused() -> None:
    """Norwegian, of which docs/decisions/0148 speaks."""
    from inference.training.config import read_config
    from inference.training.errors import TrainingError

    with pytest.raises(TrainingError, match="langs is False"):
        read_config("sft", changes=["langs=no"])


def test_every_configuration_of_accelerate_can_be_read() -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    files = sorted((ROOT / "deploy/training").glob("*.yaml"))
    kinds = {file.stem: load_config_from_file(str(file)).distributed_type.value for file in files}
    assert kinds == {
        "cpu": "NO",
        "fsdp": "FSDP",
        "one-gpu": "NO",
        "zero2": "DEEPSPEED",
        "zero3": "DEEPSPEED",
    }
    assert all(f"deploy/training/{file.name}" in file.read_text() for file in files if file.stem != "zero3")
