"""The plan of a turn of the flywheel: wrong ones are refused before anything is computed."""

from pathlib import Path

import pytest

from oasst.core.errors import Invalid
from oasst.site.flywheel.plan import read_plan


def test_without_a_file_it_is_sft_reward_dpo_for_staff() -> None:
    plan = read_plan()
    assert (plan.steps, plan.stage) == (("sft", "reward", "dpo"), "staff")


def test_a_file_and_changes_on_top(tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text("steps: [sft, dpo]\nsft:\n  epochs: 2\n  batch_size: 8\nstage: all\n")
    plan = read_plan(file, ["sft.epochs=3", "dpo.beta=0.2", "share=10"])
    assert (plan.steps, plan.stage, plan.share) == (("sft", "dpo"), "all", 10)
    assert (plan.training("sft").epochs, plan.training("sft").batch_size) == (3, 8)
    assert plan.training("dpo").model_dump()["beta"] == 0.2
    assert read_plan(None, ["steps=sft, kto"]).steps == ("sft", "kto")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("sft.epoch=2", "sft has no setting 'epoch'"),
        ("sft.epochs=-1", "epochs"),
        ("stage=everybody", "stage"),
        ("stages=all", "stages"),
        ("steps=reward", "sft, dpo or kto"),
        ("steps=sft,sft", "once"),
        ("steps=ppo", "steps"),
        ("stage.x=1", "stage"),
        ("sft", "sft.epochs=2"),
    ],
)
def test_wrong_plans_are_named(change: str, named: str) -> None:
    with pytest.raises(Invalid, match=named) as error:
        read_plan(None, [change])
    assert error.value.code == "plan"


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [", "\x00"])
def test_a_file_that_is_no_plan(tmp_path: Path, text: str) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(text)
    with pytest.raises(Invalid, match=r"plan\.yaml"):
        read_plan(file)
    with pytest.raises(Invalid, match="missing"):
        read_plan(tmp_path / "missing.yaml")
