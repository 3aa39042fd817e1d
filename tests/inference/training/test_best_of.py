"""Of several answers the best ones are kept to learn from, and say for ever that a model wrote them."""

import json
from itertools import combinations
from pathlib import Path

import pytest

from inference.engine.base import Message
from inference.engine.chat_template import ChatTemplate
from inference.engine.loading import LoadedModel
from inference.engine.sampling import Sampling
from inference.training import best_of, samples
from inference.training.best_of import Prompt, Scored
from inference.training.config import Sft
from inference.training.errors import TrainingError
from inference.training.judging import Judge
from inference.training.samples import Funnel
from inference.training.sampling import Answer, Sampler
from inference.training.snapshot import open_snapshot
from tests.inference.training.making import ask, prompt, write_snapshot


def scored(number: int, *answers: tuple[str, float], ended: bool = True) -> Scored:
    said = [Answer(text, len(text), ended=ended) for text, _ in answers]
    return Scored(Prompt(str(number), "en", [Message("user", ask(number))]), said, [value for _, value in answers])


FIRST = scored(1, ("Yes.", 2.0), ("Yes.", 1.5), ("Maybe.", 1.0), ("No.", -3.0))
SECOND = scored(2, ("Fine.", 0.5), ("Bad.", -0.5), ("Worse.", -1.0), ("", -2.0))


class TestCurve:
    def test_it_is_the_mean_over_all_choices(self) -> None:
        found = best_of.curve([FIRST, SECOND])
        for size in (1, 2, 4):
            best = [[max(some) for some in combinations(one.scores, size)] for one in (FIRST, SECOND)]
            assert found[size] == pytest.approx(sum(sum(one) / len(one) for one in best) / 2)
        assert 8 not in found, "of four answers nobody knows the best of eight"
        assert list(found.values()) == sorted(found.values())

    def test_without_answers(self) -> None:
        assert best_of.curve([]) == {}


def test_answers_of_a_model_judged_by_another(tmp_path: Path, tiny_folder: Path, reward_folder: Path) -> None:
    snapshot = write_snapshot(tmp_path, {"prompts": {"train": [prompt(1), prompt(2), prompt(3, lang="de")]}})
    prompts = best_of.prompts_of(snapshot, "train", ["en"])
    assert [one.tree for one in prompts] == ["1", "2"]
    judge = Judge(reward_folder, max_length=128)
    sampler = Sampler(tiny_folder, threads=1)
    found = best_of.score(prompts, sampler, judge, n=4, config=Sampling(max_tokens=12), seed=3)
    for one in found:
        talks = [[*one.prompt.messages, Message("assistant", answer.text)] for answer in one.answers]
        assert one.scores == pytest.approx(judge.scores(talks), abs=1e-4)
        assert one.scores == sorted(one.scores, reverse=True) and len(one.scores) == 4


class TestSelection:
    def test_what_is_written(self, tmp_path: Path) -> None:
        best_of.write_selection([FIRST, SECOND], tmp_path / "new", keep=2, model_name="tiny-1", reward_model="rm-1")
        selected = json.loads((tmp_path / "new/selected_samples.json").read_text())
        assert selected == [
            {"prompt": ask(1), "outputs": [["Yes.", "2.0"], ["Maybe.", "1.0"]]},
            {"prompt": ask(2), "outputs": [["Fine.", "0.5"], ["Bad.", "-0.5"]]},
        ]
        rejected = json.loads((tmp_path / "new/rejected_samples.json").read_text())
        assert [one["outputs"] for one in rejected] == [
            [["Yes.", "1.5"], ["No.", "-3.0"]],
            [["Worse.", "-1.0"], ["", "-2.0"]],
        ]
        assert json.loads((tmp_path / "new/comparison.json").read_text()) == {
            "rejected": {"mean": -1.125, "min": -3.0, "max": 1.5},
            "selected": {"mean": 0.75, "min": -0.5, "max": 2.0},
        }
        assert [one.name for one in tmp_path.iterdir()] == ["new"]

    def test_a_model_learns_from_it_as_from_a_snapshot(self, tmp_path: Path, tiny_model: LoadedModel) -> None:
        best_of.write_selection([FIRST, SECOND], tmp_path / "new", keep=1, model_name="tiny-1", reward_model="rm-1")
        snapshot = open_snapshot(tmp_path / "new")
        template = ChatTemplate(tiny_model.tokenizer)
        found = samples.conversations(snapshot, "train", template, Sft(), Funnel())
        learned = [[token for token in one.labels if token != samples.NO_LABEL] for one in found]
        assert [tiny_model.tokenizer.decode(one) for one in learned] == ["Yes.<|im_end|>", "Fine.<|im_end|>"]
        assert samples.conversations(snapshot, "validation", template, Sft(), Funnel()) == []

    def test_everything_says_that_a_model_wrote_it(self, tmp_path: Path) -> None:
        best_of.write_selection([FIRST], tmp_path / "new", keep=2, model_name="tiny-1", reward_model="rm-1")
        snapshot = open_snapshot(tmp_path / "new")
        rows = list(snapshot.rows("threads", "train"))
        assert [(row["synthetic"], row["model_name"]) for row in rows] == [(True, "tiny-1")] * 2
        about = {name: snapshot.manifest[name] for name in ("synthetic", "model_name", "reward_model")}
        assert about == {"synthetic": True, "model_name": "tiny-1", "reward_model": "rm-1"}

    def test_answers_that_the_model_did_not_end_are_not_kept(self, tmp_path: Path) -> None:
        endless = scored(1, ("and and and", 9.0), ended=False)
        with pytest.raises(TrainingError) as refused:
            best_of.write_selection([endless], tmp_path / "new", keep=2, model_name="m", reward_model="r")
        assert refused.value.code == "empty" and list(tmp_path.iterdir()) == []

    def test_a_folder_that_is_there_stays(self, tmp_path: Path) -> None:
        (tmp_path / "new").mkdir()
        with pytest.raises(TrainingError) as refused:
            best_of.write_selection([FIRST], tmp_path / "new", keep=1, model_name="m", reward_model="r")
        assert refused.value.code == "folder" and list((tmp_path / "new").iterdir()) == []

    def test_a_disk_that_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(TrainingError) as refused:
            best_of.write_selection([FIRST], tmp_path / "file/new", keep=1, model_name="m", reward_model="r")
        assert refused.value.code == "disk"
