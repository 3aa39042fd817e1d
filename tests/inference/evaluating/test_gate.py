"""What each rule lets pass, and that nothing passes that cannot be decided."""

import math
from pathlib import Path
from typing import Any

import pytest

from inference.evaluating.gate import DEFAULT_GATE, Gate, Verdict, decide, read_gate
from inference.evaluating.report import Figure, Measure, ModelFacts, Report
from inference.training.errors import TrainingError


def figure(value: float | None, low: float | None = None, high: float | None = None) -> Figure:
    return Figure(value=value, low=low, high=high, number=10)


def report(**measures: Measure) -> Report:
    facts = ModelFacts(name="new", digest="d", template="t")
    named = {name.replace("__", "."): one for name, one in measures.items()}
    asked = sorted({name.partition(".")[0] for name in named})
    return Report(date="now", model=facts, snapshot="s", settings={}, asked=asked, measures=named)


LOSS = Measure(
    title="Loss",
    better="lower",
    model=figure(2.1, 2.0, 2.2),
    against=figure(2.0, 1.9, 2.1),
    difference=figure(0.1, -0.05, 0.25),
)
ENDED = Measure(
    title="Ended",
    unit="share",
    better="higher",
    model=figure(0.8, 0.6, 0.9),
    against=figure(0.7, 0.5, 0.85),
    difference=figure(0.1, -0.1, 0.3),
)


def judge(measure: Measure, **rule: Any) -> Verdict:
    gate = Gate.model_validate({"rules": [{"figure": "part.x", **rule}]})
    return decide(report(part__x=measure), gate)


@pytest.mark.parametrize(
    ("measure", "rule", "passes"),
    [
        (LOSS, {"not_worse_by": 0.1}, True),
        (LOSS, {"not_worse_by": 0.09}, False),
        (LOSS, {"not_worse_by": "5%"}, True),
        (LOSS, {"not_worse_by": "4.9 %"}, False),
        (LOSS, {"not_worse_by": 0.2, "judged_by": "worst"}, False),
        (LOSS, {"not_worse_by": 0.25, "judged_by": "worst"}, True),
        (LOSS, {"not_worse_by": 0, "judged_by": "best"}, True),
        (LOSS, {"better_by": 0}, False),
        (LOSS, {"better_by": 0.05, "judged_by": "best"}, True),
        (LOSS, {"at_most": 2.1}, True),
        (LOSS, {"at_most": 2.09}, False),
        (LOSS, {"at_most": 2.1, "judged_by": "worst"}, False),
        (LOSS, {"at_most": 2.0, "judged_by": "best"}, True),
        (ENDED, {"not_worse_by": 0}, True),
        (ENDED, {"not_worse_by": 0.05, "judged_by": "worst"}, False),
        (ENDED, {"better_by": 0.1}, True),
        (ENDED, {"better_by": "20%"}, False),
        (ENDED, {"better_by": "10%"}, True),
        (ENDED, {"better_by": 0, "judged_by": "worst"}, False),
        (ENDED, {"at_least": 0.8}, True),
        (ENDED, {"at_least": 0.81}, False),
        (ENDED, {"at_least": 0.7, "judged_by": "worst"}, False),
        (ENDED, {"at_least": 0.9, "judged_by": "best"}, True),
    ],
)
def test_rules(measure: Measure, rule: dict[str, Any], passes: bool) -> None:
    verdict = judge(measure, **rule)
    assert verdict.passed is passes
    (reason,) = verdict.reasons
    assert measure.title in reason and ("Good" if passes else "Refused") in reason


def test_a_reason_has_the_numbers() -> None:
    (reason,) = judge(ENDED, at_least=0.9, judged_by="worst").reasons
    reason = reason.replace("\N{NO-BREAK SPACE}", " ")
    assert reason == (
        "Ended: 80.0 % (between 60.0 % and 90.0 %). Refused: wanted is at least 90.0 %, counting the worst end of the "
        "interval."
    )
    (reason,) = judge(LOSS, not_worse_by="2%").reasons
    assert reason == "Loss: 2.1 (between 2 and 2.2) against 2. Refused: wanted is worse by 2 % at most."


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("rule", [{"at_least": -1e9}, {"at_most": 1e9}, {"not_worse_by": 1e9}, {"better_by": 0}])
@pytest.mark.parametrize("judged_by", ["value", "worst", "best"])
def test_what_is_no_number_does_not_pass(value: float | None, rule: dict[str, Any], judged_by: str) -> None:
    for better in ("lower", "higher"):
        nothing = Measure(title="X", better=better, model=figure(value), against=figure(1), difference=figure(value))  # type: ignore[arg-type]
        verdict = judge(nothing, **rule, judged_by=judged_by)
        assert not verdict.passed and "X: there is no" in verdict.reasons[0]


def test_what_was_not_measured_does_not_pass() -> None:
    gate = Gate.model_validate({"rules": [{"figure": "judge.win_rate", "at_least": 0.5}]})
    (reason,) = decide(report(part__x=LOSS), gate).reasons
    assert reason == "judge.win_rate was not measured. Set judge_url, and give a model to compare with."
    assert "--against" in judge(LOSS.model_copy(update={"against": None, "difference": None}), better_by=0).reasons[0]
    assert not judge(LOSS.model_copy(update={"better": ""}), not_worse_by=5).passed
    no_interval = LOSS.model_copy(update={"difference": figure(0.1)})
    assert "no interval" in judge(no_interval, not_worse_by=5, judged_by="worst").reasons[0]


def test_an_optional_rule_is_left_out_only_if_its_part_was_not_asked_for() -> None:
    rules = [{"figure": "judge.win_rate", "at_least": 0.5, "optional": True}, {"figure": "part.x", "at_most": 3}]
    assert decide(report(part__x=LOSS), Gate.model_validate({"rules": rules})).passed
    asked = report(part__x=LOSS, judge__decided=ENDED)
    assert not decide(asked, Gate.model_validate({"rules": rules})).passed
    only = Gate.model_validate({"rules": rules[:1]})
    verdict = decide(report(part__x=LOSS), only)
    assert not verdict.passed and verdict.reasons == [
        "No rule could be applied: nothing that the gate looks at was measured."
    ]


def test_the_file_of_a_gate(tmp_path: Path) -> None:
    file = tmp_path / "gate.yaml"
    for text, part in {
        "rules: []": "at least 1 item",
        "rule: 1": "There is no 'rule'",
        "rules: [{figure: a, at_least: 1, at_most: 2}]": "give one of",
        "rules: [{figure: a}]": "give one of",
        "rules: [{figure: a, at_least: .nan}]": "finite",
        "rules: [{figure: a, not_worse_by: -1}]": "0 or more",
        "rules: [{figure: a, not_worse_by: much}]": "Amount",
        "rules: [{figure: a, at_least: 1, weight: 2}]": "weight",
        "- 1": "key: value",
        "a: [": "cannot be read",
    }.items():
        file.write_text(text)
        with pytest.raises(TrainingError, match=part) as found:
            read_gate(file)
        assert found.value.code == "gate", text
    with pytest.raises(TrainingError):
        read_gate(tmp_path / "none.yaml")


def test_what_a_gate_was_is_kept_as_it_is_written() -> None:
    rules = [
        {"figure": "a.b", "not_worse_by": "2 %", "judged_by": "best", "why": "So."},
        {"figure": "a.c", "at_most": 0.0},
    ]
    assert Gate.model_validate({"rules": rules}).as_values() == {"rules": rules}
    default = read_gate()
    assert Gate.model_validate(default.as_values()) == default and DEFAULT_GATE.is_file()
