"""What an evaluation found. All of it can be written as JSON; what is no number is empty, with the cause."""

import math
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

FORMAT = 1
"""Changes with what the figures mean, so that an old report is never taken for an answer of today."""

Better = Literal["higher", "lower", ""]


class Figure(BaseModel):
    model_config = ConfigDict(extra="forbid")

    value: float | None = None
    low: float | None = None
    high: float | None = None
    """The interval that holds it 95 times of 100; empty if none was estimated."""
    number: int = 0
    """Of what it is made of: answers, trees, pairs."""
    cause: str = ""
    """Why there is no value."""


class Measure(BaseModel):
    """One thing that is measured, of the model and of the one it is compared with."""

    model_config = ConfigDict(extra="forbid")

    title: str
    unit: Literal["", "share", "bits", "nats"] = ""
    better: Better = ""
    model: Figure
    against: Figure | None = None
    difference: Figure | None = None
    """The first minus the second."""


class ModelFacts(BaseModel):
    name: str
    digest: str
    """Of its weights."""
    template: str
    """SHA-256 of its chat template."""
    parameters: int = 0


class Report(BaseModel):
    format: int = FORMAT
    date: str
    """When it began, in UTC."""
    model: ModelFacts
    against: ModelFacts | None = None
    reward_model: ModelFacts | None = None
    snapshot: str
    """SHA-256 of its manifest."""
    settings: dict[str, Any]
    sources: dict[str, str] = Field(default_factory=dict)
    """SHA-256 of the files that were read besides."""
    asked: list[str] = Field(default_factory=list)
    """The parts that were measured, which are the beginnings of the names of measures."""
    measures: dict[str, Measure] = Field(default_factory=dict)
    sampling: list[dict[str, Any]] = Field(default_factory=list)
    """For each model its answers: `model_name`, `date`, `args` and `prompts` with their `results`, each with `outputs`
    and, in the same order, `details`.
    """
    funnels: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """What became of the rows of the snapshot."""
    seconds: dict[str, float] = Field(default_factory=dict)
    """Of each part."""

    def short(self) -> dict[str, Any]:
        """Return the report without the answers, for a list of many."""
        return self.model_dump(mode="json", exclude={"sampling"})


def figure(
    value: float | None, interval: tuple[float, float] | None = None, *, number: int = 0, cause: str = ""
) -> Figure:
    """Return a figure; without a finite value, with the cause."""
    if value is None:
        return Figure(number=number, cause=cause or "There was nothing to measure.")
    if not math.isfinite(value):
        return Figure(number=number, cause="The model computes values that are no numbers.")
    low, high = interval if interval and all(map(math.isfinite, interval)) else (None, None)
    return Figure(value=value, low=low, high=high, number=number)
