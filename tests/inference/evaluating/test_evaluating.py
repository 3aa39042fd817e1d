"""An evaluation tells a good model from one that knows nothing, and from one that is broken."""

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from inference.engine import weights
from inference.engine.base import Message
from inference.evaluating.evaluating import evaluate
from inference.evaluating.gate import decide, read_gate
from inference.evaluating.held_out import tree_losses
from inference.evaluating.models import open_model
from inference.evaluating.report import Report
from inference.evaluating.settings import read_settings
from inference.training.errors import TrainingError
from inference.training.samples import Funnel
from tests.inference.evaluating.conftest import QUICK, WITHOUT_SAFETY, Trained
from tests.inference.training.making import GOOD, chat, thread, write_snapshot


def with_weights(folder: Path, target: Path, change: Callable[[str, torch.Tensor], torch.Tensor]) -> Path:
    """Copy a model, each of its weights changed."""
    shutil.copytree(folder, target)
    weights = {name: change(name, one) for name, one in load_file(target / "model.safetensors").items()}
    save_file(weights, target / "model.safetensors", {"format": "pt"})
    return target


def refused(trained: Trained, model: Path) -> TrainingError:
    with pytest.raises(TrainingError) as found:
        evaluate(trained.question(model, trained.base))
    return found.value


def test_a_model_that_learned_passes(report: Report) -> None:
    loss = report.measures["held_out.loss"]
    assert loss.model.value is not None and loss.against is not None and loss.against.value is not None
    assert loss.model.value < 0.5 < 5 < loss.against.value
    assert loss.difference is not None and loss.difference.high is not None and loss.difference.high < 0
    perplexity = report.measures["held_out.perplexity"].model.value
    assert perplexity == pytest.approx(math.exp(loss.model.value))
    assert report.measures["format.ended"].model.value == 1
    assert report.measures["reward_model.accuracy"].model.value == 1
    assert report.measures["reward.win_rate"].model.value == 1
    assert report.measures["reward.changed_with_order"].model.value == 0
    verdict = decide(report, read_gate())
    assert verdict.passed, verdict.reasons


def test_the_other_way_round_it_does_not(trained: Trained) -> None:
    verdict = decide(evaluate(trained.question(trained.base, trained.good)), read_gate())
    assert not verdict.passed
    said = " ".join(verdict.reasons)
    for part in ("Bits per byte of held-out answers", "blind guessing", "Answers that end", "Won by the reward model"):
        assert part in said


def test_random_weights_pass_against_nothing_even_if_the_other_one_is_no_better(
    trained: Trained, tmp_path: Path
) -> None:
    torch.manual_seed(3)
    noise = with_weights(trained.good, tmp_path / "noise", lambda _, one: torch.randn_like(one) * one.std())
    for against in (noise, None):
        assert not decide(evaluate(trained.question(noise, against)), read_gate()).passed


def test_weights_that_are_no_numbers_end_it(trained: Trained, tmp_path: Path) -> None:
    nan = with_weights(trained.good, tmp_path / "nan", lambda _, one: one * math.nan)
    assert refused(trained, nan).code == "broken"


def test_finite_weights_that_compute_no_numbers_never_pass(trained: Trained, tmp_path: Path) -> None:
    large = with_weights(
        trained.good, tmp_path / "large", lambda name, one: one.sign() * 3e38 if name == "lm_head.weight" else one
    )
    assert refused(trained, large).code == "broken", "it cannot draw an answer"
    found = evaluate(trained.question(large, trained.base, WITHOUT_SAFETY.model_copy(update={"temperature": 0.0})))
    assert found.measures["held_out.loss"].model.value is None
    assert "no numbers" in " ".join(decide(found, read_gate()).reasons)
    json.dumps(found.short(), allow_nan=False)


def test_what_is_no_model_is_said_before_anything_is_computed(trained: Trained, tmp_path: Path) -> None:
    assert refused(trained, tmp_path / "nothing").code == "base"
    error = refused(trained, trained.reward)
    assert error.code == "base" and "reward model" in error.message
    question = replace(trained.question(trained.good, None), reward_model=trained.base)
    with pytest.raises(TrainingError) as found:
        evaluate(question)
    assert found.value.code == "reward_model"


def test_a_model_against_itself_differs_in_nothing(trained: Trained) -> None:
    found = evaluate(trained.question(trained.good, trained.good))
    for name, measure in found.measures.items():
        if measure.difference is not None:
            assert measure.difference.value == 0, name
    assert found.measures["reward.win_rate"].model.value == 0.5
    assert decide(found, read_gate()).passed


def test_the_same_question_has_the_same_answer(trained: Trained) -> None:
    found = []
    for _ in range(2):
        report = evaluate(trained.question(trained.good, trained.base))
        values = json.loads(report.model_dump_json(exclude={"date", "seconds"}))
        for each in values["sampling"]:
            del each["date"], each["seconds"]
        found.append(values)
    assert found[0] == found[1]


def test_where_it_comes_from(report: Report, trained: Trained) -> None:
    assert report.model.digest == weights.digest(trained.good)
    assert report.against is not None and report.against.digest == weights.digest(trained.base)
    assert report.reward_model is not None and report.snapshot == trained.snapshot.digest
    assert len(report.model.template) == 64 and report.model.parameters > 0
    assert set(report.sources) == {"safety_prompts.yaml"} and report.settings["seed"] == QUICK.seed
    assert report.funnels["threads"] == {"rows": 4, "samples": 4, "left_out": {}}
    assert {"losses of new", "answers", "reward model"} <= set(report.seconds)


def test_answers_have_the_shape_of_sampling_reports(report: Report) -> None:
    mine = report.sampling[0]
    assert {"model_name", "date", "args", "prompts"} <= set(mine) and mine["model_name"] == "new"
    first = mine["prompts"][0]
    assert first["prompt"].startswith("Is ")
    (result,) = first["results"]
    assert result["sampling_config"] == "sample" and result["sampling_params"]["max_new_tokens"] == 16
    assert result["outputs"] == [GOOD]
    (details,) = result["details"]
    assert details["finish_reason"] == "eos_token" and details["tokens"] > 2 and details["score"] is not None


def test_only_new_answers_count_and_each_token_the_same(trained: Trained, tmp_path: Path) -> None:
    long = thread(1, "A?", GOOD, "B?", GOOD)
    again = {**thread(1, "A?", GOOD, "B?", "No."), "message_ids": ["1-0", "1-1", "1-2", "other"]}
    other = thread(2, "C?", GOOD, lang="de")
    snapshot = write_snapshot(tmp_path, {"threads": {"validation": [long, again, other]}})
    opened = open_model(trained.good, "new", threads=1)
    found = tree_losses(opened, snapshot, QUICK, Funnel())
    assert [(one.tree, one.lang) for one in found] == [("1", "en"), ("2", "de")]
    expected: dict[str, list[float]] = {"1": [], "2": []}
    for tree, texts, first in (("1", ["A?", GOOD, "B?", GOOD], 0), ("1", ["A?", GOOD, "B?", "No."], 1),
                               ("2", ["C?", GOOD], 0)):  # fmt: skip
        tokens = opened.template().conversation([Message(one["role"], one["content"]) for one in chat(*texts)])  # type: ignore[arg-type]
        with torch.no_grad():
            logits = opened.loaded.model(input_ids=torch.tensor([tokens.ids])).logits[0].log_softmax(-1)
        answers = [
            list(group) for is_answer, group in groupby(range(len(tokens)), tokens.is_answer.__getitem__) if is_answer
        ]
        expected[tree] += [-float(logits[at - 1, tokens.ids[at]]) for answer in answers[first:] for at in answer]
    for one in found:
        assert one.tokens == len(expected[one.tree])
        assert one.nats == pytest.approx(sum(expected[one.tree]), rel=1e-4, abs=1e-4)


def test_a_part_without_rows_has_causes_instead_of_figures(trained: Trained) -> None:
    empty = WITHOUT_SAFETY.model_copy(update={"part": "test"})
    found = evaluate(trained.question(trained.good, trained.base, empty))
    for name in ("held_out.loss", "format.ended", "reward_model.accuracy", "reward.win_rate"):
        assert found.measures[name].model.value is None and found.measures[name].model.cause, name
    verdict = decide(found, read_gate())
    assert not verdict.passed and "There are no answers in the test part" in " ".join(verdict.reasons)


def test_prompts_of_a_file(trained: Trained, tmp_path: Path) -> None:
    file = tmp_path / "prompts.jsonl"
    file.write_text('"Is red number 1 fine?"\n{"prompt": "Ist rot schön?", "lang": "de"}\n', "utf-8")
    settings = WITHOUT_SAFETY.model_copy(update={"prompts_file": str(file)})
    question = replace(
        trained.question(trained.good, None, settings), reward_model=None, other_language=lambda text, lang: "en"
    )
    found = evaluate(question)
    assert [one["lang"] for one in found.sampling[0]["prompts"]] == ["", "de"]
    assert found.measures["language.kept"].model.value == 0.5, "nothing is said of the one without a language"
    assert str(file) in found.sources
    file.write_text('{"nothing": 1}\n')
    with pytest.raises(TrainingError, match="line 1"):
        evaluate(question)


def test_wrong_settings_are_named() -> None:
    for change, part in {
        "prompt=3": "There is no 'prompt'. There are: answer_length",
        "rounds=1": "rounds",
        "nonsense": "write key=value",
        "judge_url=ftp://x": "judge_url",
        "judge_url=http://me:secret@x/v1": "judge_url",
    }.items():
        with pytest.raises(TrainingError, match=part) as found:
            read_settings(changes=[change])
        assert found.value.code == "config"
    assert read_settings(changes=["langs=de, en", "temperature=0"]).langs == ("de", "en")
