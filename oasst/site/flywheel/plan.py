"""What one turn of the flywheel does: which trainings with which settings, how the model is judged, who gets it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from inference.evaluating import settings as evaluating
from inference.training.config import Common, from_values
from inference.training.errors import TrainingError
from inference.training.yaml_settings import parse_value, read_yaml, words
from oasst.core.errors import Invalid

Settings = dict[str, Any]


class Plan(BaseModel):
    """The keys of a plan. Trainings come in the order of the steps, each on the model of the one before."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: tuple[Literal["sft", "reward", "dpo", "kto"], ...] = ("sft", "reward", "dpo")
    """A reward model is trained from the model before it, and judges the last one; it is not what comes after."""
    sft: Settings = {}
    reward: Settings = {}
    dpo: Settings = {}
    kto: Settings = {}
    evaluation: Settings = {}
    """See inference.evaluating."""
    stage: Literal["nobody", "staff", "share", "all"] = "staff"
    """Who may choose the model when it has passed the gate."""
    share: int = Field(default=5, ge=1, le=100)
    """Percent of the users at the stage `share`."""

    def training(self, method: str) -> Common:
        """Return the settings of a training. Raise Invalid `plan`."""
        try:
            return from_values(method, getattr(self, method))
        except TrainingError as error:
            raise Invalid(f"{method}: {error}", code="plan") from error

    def evaluation_settings(self) -> evaluating.Settings:
        """Return the settings of the comparison. Raise Invalid `plan`."""
        try:
            return evaluating.from_values(self.evaluation)
        except TrainingError as error:
            raise Invalid(f"evaluation: {error}", code="plan") from error


def read_plan(file: Path | None = None, changes: Sequence[str] = ()) -> Plan:
    """Return the plan of a YAML file with changes such as `sft.epochs=2`. Raise Invalid `plan` that names the fault."""
    values = _read(file) if file is not None else {}
    for change in changes:
        _change(values, change)
    try:
        plan = Plan.model_validate(values)
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}." for one in error.errors(include_url=False)]
        raise Invalid(f"The plan is wrong. {' '.join(wrong)}", code="plan") from error
    _require_sense(plan)
    for method in plan.steps:
        plan.training(method)
    plan.evaluation_settings()
    return plan


def _require_sense(plan: Plan) -> None:
    if not set(plan.steps) - {"reward"}:
        raise Invalid("A plan needs a step that trains a model to serve: sft, dpo or kto.", code="plan")
    if len(set(plan.steps)) < len(plan.steps):
        raise Invalid("Each step of a plan may come once.", code="plan")


def _change(values: dict[str, Any], change: str) -> None:
    path, equals, text = change.partition("=")
    if not equals:
        raise Invalid(f"{change!r} is no setting: write for example sft.epochs=2.", code="plan")
    part, dot, key = path.strip().partition(".")
    value = parse_value(text)
    if not dot:
        values[part] = words(value) if part == "steps" else value
        return
    inner = values.get(part) or {}
    if not isinstance(inner, Mapping):
        raise Invalid(f"{part} has no setting {key!r}.", code="plan")
    values[part] = {**inner, key: value}


def _read(file: Path) -> dict[str, Any]:
    try:
        return read_yaml(file, may_be_empty=True)
    except TrainingError as error:
        raise Invalid(error.message, code="plan") from error
