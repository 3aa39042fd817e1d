"""The gate: rules about the figures of a report, as a file that a person can read, and what they say.

What cannot be decided does not pass: a figure that is missing or no number, an interval that is asked for and was not
estimated.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from inference.evaluating.report import Figure, Measure, Report
from inference.evaluating.settings import sentence_of
from inference.training.errors import TrainingError
from inference.training.yaml_settings import read_yaml

DEFAULT_GATE = Path(__file__).with_name("default_gate.yaml")
_KINDS = ("not_worse_by", "better_by", "at_least", "at_most")


@dataclass(frozen=True)
class Amount:
    """A number, or a percentage of the value of the other model."""

    number: float
    is_percent: bool = False

    def of(self, base: float) -> float:
        return abs(base) * self.number / 100 if self.is_percent else self.number

    def __str__(self) -> str:
        return f"{self.number:g} %" if self.is_percent else f"{self.number:g}"

    def as_value(self) -> float | str:
        return str(self) if self.is_percent else self.number


def _amount(value: Any) -> Any:
    if isinstance(value, str) and value.strip().endswith("%"):
        try:
            return Amount(float(value.strip()[:-1]), is_percent=True)
        except ValueError:
            return value
    return Amount(float(value)) if isinstance(value, int | float) and not isinstance(value, bool) else value


AmountField = Annotated[Amount | None, BeforeValidator(_amount)]


class Rule(BaseModel):
    """One of the four kinds, about one figure."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, arbitrary_types_allowed=True)

    figure: Annotated[str, Field(min_length=1, max_length=100)]
    """The name of a measure, such as held_out.bits_per_byte or format.ended."""
    not_worse_by: AmountField = None
    """Than the other model, by more than this: a number, or a percentage such as 2%."""
    better_by: AmountField = None
    """Than the other model, by at least this."""
    at_least: float | None = None
    at_most: float | None = None
    judged_by: Literal["value", "worst", "best"] = "value"
    """Of the interval the end that is worst for the model (it must surely be good), or best (it must surely be bad to
    be refused)."""
    optional: bool = False
    """Leave the rule out if this part was not asked for, such as without a reward model. A figure that was asked for
    and is missing is refused even so."""
    why: Annotated[str, Field(max_length=500)] = ""

    @model_validator(mode="after")
    def _has_one_kind(self) -> "Rule":
        kinds = [kind for kind in _KINDS if getattr(self, kind) is not None]
        if len(kinds) != 1:
            raise ValueError(f"give one of {', '.join(_KINDS)}")
        amount = self.not_worse_by or self.better_by
        if amount is not None and not (math.isfinite(amount.number) and amount.number >= 0):
            raise ValueError("the amount must be 0 or more")
        return self

    def as_values(self) -> dict[str, Any]:
        """Return the rule as it is written."""
        unset = {name: field.default for name, field in type(self).model_fields.items() if not field.is_required()}
        values = {name: value for name, value in self if name not in unset or value != unset[name]}
        return {name: value.as_value() if isinstance(value, Amount) else value for name, value in values.items()}


class Gate(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    rules: Annotated[tuple[Rule, ...], Field(min_length=1, max_length=100)]

    def as_values(self) -> dict[str, Any]:
        return {"rules": [rule.as_values() for rule in self.rules]}


@dataclass(frozen=True)
class Check:
    """What one rule says."""

    passed: bool
    sentence: str


@dataclass(frozen=True)
class Verdict:
    passed: bool
    checks: tuple[Check, ...]

    @property
    def reasons(self) -> list[str]:
        """Return why it did not pass, or all that it passed."""
        return [check.sentence for check in self.checks if self.passed or not check.passed]


def read_gate(file: Path | None = None) -> Gate:
    """Return the gate of a file, or the default one. Raise TrainingError (`gate`)."""
    try:
        return Gate.model_validate(read_yaml(file or DEFAULT_GATE))
    except TrainingError as error:
        raise TrainingError(error.message, code="gate") from error
    except ValidationError as error:
        raise TrainingError(f"{file}: {sentence_of(error, Gate)}", code="gate") from error


def decide(report: Report, gate: Gate) -> Verdict:
    checks = [check for rule in gate.rules if (check := _check(report, rule)) is not None]
    if not checks:
        checks = [Check(False, "No rule could be applied: nothing that the gate looks at was measured.")]
    return Verdict(all(check.passed for check in checks), tuple(checks))


def _check(report: Report, rule: Rule) -> Check | None:
    """Return what the rule says; None if it is left out."""
    if rule.optional and rule.figure.partition(".")[0] not in report.asked:
        return None
    measure = report.measures.get(rule.figure)
    if measure is None:
        return Check(False, f"{rule.figure} was not measured. {_hint(rule.figure, report)}")
    compares = rule.not_worse_by is not None or rule.better_by is not None
    if not compares and measure.model.value is not None and math.isfinite(measure.model.value):
        return _against_limit(rule, measure)
    if not compares:
        return Check(False, f"{measure.title}: there is no value. {measure.model.cause or _NAN}")
    return _against_other(rule, measure)


_NAN = "It is no number."


def _hint(name: str, report: Report) -> str:
    part = name.partition(".")[0]
    if part in ("reward_model", "reward"):
        return "Give a reward model, and a model to compare with."
    if part == "judge":
        return "Set judge_url, and give a model to compare with."
    if part in report.asked:
        return f"Of {part} there are: {', '.join(sorted(one for one in report.measures if one.startswith(part)))}."
    return f"Measured were: {', '.join(report.asked) or 'nothing'}."


def _against_limit(rule: Rule, measure: Measure) -> Check:
    limit, upward = (rule.at_least, True) if rule.at_least is not None else (rule.at_most, False)
    assert limit is not None
    value, words = _end_of(measure.model, rule.judged_by, is_low=(rule.judged_by == "worst") == upward)
    if value is None:
        return Check(False, f"{measure.title}: {words}")
    passed = value >= limit if upward else value <= limit
    wanted = f"{'at least' if upward else 'at most'} {_show(limit, measure)}"
    found = _shown(measure.model, measure)
    return Check(passed, _sentence(measure.title, found, wanted, passed, rule))


def _against_other(rule: Rule, measure: Measure) -> Check:
    other, difference = measure.against, measure.difference
    if measure.better == "":
        return Check(False, f"{measure.title}: neither more nor less of it is better, so it cannot be compared.")
    if other is None or difference is None:
        return Check(False, f"{measure.title}: there is no other model to compare with. Give one with --against.")
    for one, whose in ((measure.model, "this model"), (other, "the other model"), (difference, "the difference")):
        if one.value is None or not math.isfinite(one.value):
            return Check(False, f"{measure.title}: there is no value of {whose}. {one.cause or _NAN}")
    assert other.value is not None
    is_higher_better = measure.better == "higher"
    gain, words = _end_of(difference, rule.judged_by, is_low=(rule.judged_by == "worst") == is_higher_better)
    if gain is None:
        return Check(False, f"{measure.title}: {words}")
    gain = gain if is_higher_better else -gain
    amount = rule.not_worse_by or rule.better_by
    assert amount is not None
    at_least = amount.of(other.value) if rule.better_by is not None else -amount.of(other.value)
    passed = gain >= at_least - 1e-12  # sums round
    wanted = f"better by {amount} or more" if rule.better_by is not None else f"worse by {amount} at most"
    found = f"{_shown(measure.model, measure)} against {_show(other.value, measure)}"
    return Check(passed, _sentence(measure.title, found, wanted, passed, rule))


def _end_of(figure: Figure, judged_by: str, *, is_low: bool) -> tuple[float | None, str]:
    if judged_by == "value":
        return figure.value, ""
    end = figure.low if is_low else figure.high
    if end is None or not math.isfinite(end):
        return None, "there is no interval to judge by, because too little was measured."
    return end, ""


def _sentence(title: str, found: str, wanted: str, passed: bool, rule: Rule) -> str:
    by = {"worst": ", counting the worst end of the interval", "best": ", counting the best end of the interval"}
    return f"{title}: {found}. {'Good' if passed else 'Refused'}: wanted is {wanted}{by.get(rule.judged_by, '')}."


def _shown(figure: Figure, measure: Measure) -> str:
    assert figure.value is not None
    between = ""
    if figure.low is not None and figure.high is not None:
        between = f" (between {_show(figure.low, measure)} and {_show(figure.high, measure)})"
    return f"{_show(figure.value, measure)}{between}"


def _show(value: float, measure: Measure) -> str:
    return f"{100 * value:.1f}\N{NO-BREAK SPACE}%" if measure.unit == "share" else f"{value:.4g}"
