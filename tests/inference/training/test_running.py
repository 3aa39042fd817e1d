"""A training learns, can be ended at any moment and goes on as if nothing was, and leaves nothing half done."""

import ast
import errno
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from inference.engine import weights
from inference.engine.base import Message
from inference.engine.loading import LoadedModel, load
from inference.training.base import Done, Hooks, Progress, Stopped, Training
from inference.training.checkpoints import last_checkpoint, mark_complete
from inference.training.config import from_values
from inference.training.errors import TrainingError
from inference.training.models import ABOUT
from inference.training.online import prompt_rows
from inference.training.running import run
from inference.training.samples import Funnel
from inference.training.snapshot import SnapshotFolder
from tests.inference.training.making import GOOD, ask, rows_of_all_forms, write_snapshot
from tests.paths import ROOT

QUICK: dict[str, Any] = {
    "most_steps": 8,
    "save_every": 2,
    "log_every": 1,
    "learning_rate": 3e-3,
    "max_length": 128,
    "precision": "float32",
}
WAYS = {
    "sft": {"lora": False},
    "sft by adapters": {"lora_dropout": 0.1},
    "reward": {},
    "reward from pairs": {"loss": "pairs", "lora": False},
    "dpo": {},
    "dpo of all weights": {"lora": False},
    "kto": {},
    "grpo": {},
    "rloo": {},
}
BY_PEOPLE = [way for way in WAYS if way not in ("grpo", "rloo")]

New = Callable[..., Training]


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> SnapshotFolder:
    return write_snapshot(tmp_path_factory.mktemp("snapshot"), rows_of_all_forms())


@pytest.fixture
def new(tmp_path: Path, tiny_folder: Path, snapshot: SnapshotFolder) -> New:
    def make(way: str, folder: str = "run", base: Path = tiny_folder, data: Any = None, **changes: Any) -> Training:
        method = way.partition(" ")[0]
        config = from_values(method, {**QUICK, **WAYS[way], **changes})
        return Training(method, config, base, data or snapshot, tmp_path / folder, threads=1, least_free_bytes=0)

    return make


def refused(training: Training) -> TrainingError:
    with pytest.raises(TrainingError) as found:
        run(training)
    assert not (training.folder / "model").exists()
    return found.value


def no_space(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def stop_after(steps: int) -> Hooks:
    left = iter(range(steps - 1))
    return Hooks(must_stop=lambda: next(left, None) is None)


@pytest.mark.parametrize("way", BY_PEOPLE)
class TestEveryMethod:
    def test_it_learns(self, new: New, way: str) -> None:
        heard: list[Progress] = []
        done = run(new(way), Hooks(say=heard.append))
        costs = [one.figures["loss"] for one in heard if "loss" in one.figures]
        assert len(costs) == 8 and costs[-1] < costs[0] * 0.9
        assert done.steps == 8 and done.figures["eval_loss"] < costs[0]
        assert done.funnels["train"]["samples"] == 24

    def test_stopped_and_continued_it_ends_as_if_it_had_not_been(self, new: New, way: str) -> None:
        whole = run(new(way, "whole"))
        parted = new(way, "parted")
        for steps in (3, 2):
            with pytest.raises(Stopped):
                run(parted, stop_after(steps))
        done = run(parted)
        assert (done.digest, done.steps) == (whole.digest, whole.steps)
        assert not (parted.folder / "checkpoints").exists()


@pytest.mark.parametrize(("way", "changes"), [("grpo", {"accumulation": 2}), ("rloo", {"lora": False})])
class TestOnlineMethods:
    QUICK = {"most_steps": 3, "save_every": 1, "batch_size": 2, "answers": 3, "answer_length": 8}

    def test_stopped_and_continued_it_ends_as_if_it_had_not_been(
        self, new: New, reward_folder: Path, way: str, changes: dict[str, Any]
    ) -> None:
        settings = {**self.QUICK, "reward_model": str(reward_folder), **changes}
        heard: list[Progress] = []
        whole = run(new(way, "whole", **settings), Hooks(say=heard.append))
        assert [one.step for one in heard if "reward" in one.figures and "kl" in one.figures] == [1, 2, 3]
        assert {"reward", "kl", "eval_reward"} <= whole.figures.keys()
        assert whole.funnels["train"]["samples"] == 24
        parted = new(way, "parted", **settings)
        with pytest.raises(Stopped):
            run(parted, stop_after(2))
        done = run(parted)
        assert (done.digest, done.steps) == (whole.digest, 3)
        about = json.loads((done.model / ABOUT).read_text())
        assert about["reward_model"] == weights.digest(reward_folder)

    def test_without_a_reward_model(self, new: New, tiny_folder: Path, way: str, changes: dict[str, Any]) -> None:
        assert refused(new(way, **changes)).code == "base"
        assert refused(new(way, reward_model=str(tiny_folder), **changes)).code == "reward_model"

    def test_fewer_prompts_than_a_step_takes(
        self, new: New, reward_folder: Path, way: str, changes: dict[str, Any]
    ) -> None:
        error = refused(new(way, reward_model=str(reward_folder), most_samples=3, batch_size=4))
        assert error.code == "empty" and "takes 4 prompts (batch_size × accumulation), and there are 3" in error.message


def test_prompts_with_control_tokens_are_left_out(tiny_model: LoadedModel) -> None:
    funnel = Funnel(rows=2, samples=2)
    found = [[Message("user", "Hi")], [Message("user", "Hi<|im_end|>")]]
    assert prompt_rows(found, tiny_model.tokenizer, funnel) == [{"prompt": [{"role": "user", "content": "Hi"}]}]
    assert (funnel.samples, dict(funnel.left_out)) == (1, {"control tokens": 1})


class TestModel:
    def test_it_is_served_as_any_other(self, new: New) -> None:
        done = run(new("sft by adapters", most_steps=30))
        loaded = load(done.model)
        asked = loaded.tokenizer.apply_chat_template(
            [{"role": "user", "content": ask(1)}], add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        said = loaded.model.generate(**asked, max_new_tokens=12, do_sample=False)[0, asked["input_ids"].shape[1] :]
        assert loaded.tokenizer.decode(said, skip_special_tokens=True) == GOOD

    def test_it_says_how_it_was_made(self, new: New, snapshot: SnapshotFolder) -> None:
        done = run(new("sft"))
        about = json.loads((done.model / ABOUT).read_text())
        assert (about["method"], about["snapshot"], about["steps"]) == ("sft", snapshot.digest, 8)
        assert about["config"]["learning_rate"] == 3e-3 and about["data"]["train"]["samples"] == 24

    def test_done_once_it_is_not_done_again(self, new: New, monkeypatch: pytest.MonkeyPatch) -> None:
        training = new("sft")
        done = run(training)
        monkeypatch.setattr("inference.training.running._train", lambda *_: pytest.fail("trained again"))
        again = run(training)
        assert (again.digest, again.figures, again.seconds) == (done.digest, done.figures, 0)

    def test_another_model_in_the_folder_stays(self, new: New) -> None:
        done = run(new("sft"))
        with pytest.raises(TrainingError, match="another model") as found:
            run(new("sft", seed=1))
        assert found.value.code == "folder" and (done.model / ABOUT).exists()


def test_a_reward_model_says_how_well_it_ranks(new: New) -> None:
    """With the bias for length: in these data the better answer is longer than the worst one."""
    figures = run(new("reward", most_steps=12)).figures
    assert figures["eval_accuracy"] > 0.6 and figures["eval_kendall_tau"] > 0.3
    assert figures["eval_best_beats_worst"] == 1.0 and figures["eval_length_correlation"] > 0
    assert 0 <= figures["eval_calibration_error"] <= 1 and figures["accuracy"] > 0.5


class TestThreads:
    def test_no_more_are_used_than_allowed(self, new: New) -> None:
        before, seen = torch.get_num_threads(), []
        training = Training(**{**vars(new("sft", most_steps=1)), "threads": 1})
        try:
            torch.set_num_threads(before + 1)
            run(training, Hooks(must_stop=lambda: bool(seen.append(torch.get_num_threads()))))
        finally:
            torch.set_num_threads(before)
        assert seen == [1]


class TestPackages:
    def test_without_them_a_training_says_how_to_get_them(self, new: New, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "peft", None)
        error = refused(new("sft by adapters"))
        assert error.code == "not_installed" and "peft" in error.message and "scripts/train" in error.message
        monkeypatch.setitem(sys.modules, "trl", None)
        assert "(trl)" in refused(new("grpo", lora=False)).message

    def test_nothing_imports_them_before_a_training_begins(self) -> None:
        for path in (ROOT / "inference/training").glob("*.py"):
            for one in ast.parse(path.read_text()).body:
                names = [alias.name for alias in one.names] if isinstance(one, ast.Import) else []
                names += [one.module or ""] if isinstance(one, ast.ImportFrom) else []
                assert not {name.partition(".")[0] for name in names} & {"trl", "peft", "datasets"}, path


class TestCheckpoints:
    def test_one_that_a_kill_left_unfinished_is_not_used(self, new: New) -> None:
        whole, training = run(new("sft", "whole")), new("sft")
        with pytest.raises(Stopped):
            run(training, stop_after(5))
        torn = training.folder / "checkpoints" / "checkpoint-5"
        (torn / "complete").unlink()
        (torn / "model.safetensors").write_bytes(b"torn")
        assert last_checkpoint(torn.parent) == torn.with_name("checkpoint-4") and not torn.exists()
        assert run(training).digest == whole.digest

    def test_no_more_are_kept_than_needed(self, new: New) -> None:
        training = new("sft")
        with pytest.raises(Stopped):
            run(training, stop_after(7))
        assert {one.name for one in (training.folder / "checkpoints").iterdir()} == {"checkpoint-6", "checkpoint-7"}

    def test_the_newest_by_number(self, tmp_path: Path) -> None:
        for number in (9, 10):
            (tmp_path / f"checkpoint-{number}").mkdir()
            mark_complete(tmp_path / f"checkpoint-{number}")
        assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-10"
        assert last_checkpoint(tmp_path / "missing") is None


class TestBadInput:
    def test_nothing_to_learn_from(self, new: New, tmp_path: Path) -> None:
        empty = write_snapshot(tmp_path / "empty", {})
        for way, what in (("sft", "conversations"), ("reward", "rankings"), ("dpo", "pairs"), ("kto", "replies")):
            error = refused(new(way, data=empty))
            assert error.code == "empty" and what in error.message

        for way in ("grpo", "rloo"):
            assert "accepted prompts" in refused(new(way, data=empty)).message

    def test_trees_without_rankings(self, new: New, tmp_path: Path) -> None:
        """They are good for conversations and for nothing else."""
        rows = rows_of_all_forms()
        data = write_snapshot(tmp_path / "unranked", {"threads": rows["threads"], "prompts": rows["prompts"]})
        for way in ("reward", "reward from pairs", "dpo", "kto"):
            assert refused(new(way, data=data)).code == "empty"
        assert run(new("sft", data=data, most_steps=1)).steps == 1

    def test_a_language_that_is_not_there(self, new: New) -> None:
        for way in BY_PEOPLE:
            assert refused(new(way, langs=("fr",))).code == "empty"

    def test_a_base_that_is_not_there(self, new: New, tmp_path: Path) -> None:
        error = refused(new("sft", base=tmp_path / "nothing"))
        assert error.code == "base" and "no config.json" in error.message

    @pytest.mark.parametrize("content", [b"", b"torn", b"\xff" * 64])
    def test_a_base_with_torn_weights(self, new: New, tmp_path: Path, tiny_folder: Path, content: bytes) -> None:
        base = tmp_path / "base"
        shutil.copytree(tiny_folder, base)
        (base / "model.safetensors").write_bytes(content)
        assert refused(new("sft", base=base)).code == "base"

    def test_a_base_with_weights_that_are_no_numbers(self, new: New, tmp_path: Path, tiny_folder: Path) -> None:
        base = tmp_path / "base"
        shutil.copytree(tiny_folder, base)
        weights = load_file(base / "model.safetensors")
        weights["lm_head.weight"][3, 5] = torch.nan
        save_file(weights, base / "model.safetensors", metadata={"format": "pt"})
        assert "no numbers" in refused(new("sft", base=base)).message

    def test_a_loss_that_is_no_number_any_more(self, new: New) -> None:
        error = refused(new("sft", learning_rate=1e30, schedule="constant", warmup=0, max_grad_norm=1e30))
        assert error.code == "diverged" and "learning_rate" in error.message

    def test_a_full_disk(self, new: New) -> None:
        training = new("sft")
        error = refused(Training(**{**vars(training), "least_free_bytes": 10**18}))
        assert error.code == "disk" and "GB" in error.message

    def test_a_disk_that_is_full_when_the_model_is_written(self, new: New, monkeypatch: pytest.MonkeyPatch) -> None:
        """What was learned is in the checkpoint, and a later call only writes it."""
        training = new("sft", save_every=8)
        with monkeypatch.context() as full:
            full.setattr("transformers.PreTrainedTokenizerFast.save_pretrained", no_space)
            assert refused(training).code == "disk"
        assert sorted(one.name for one in training.folder.iterdir()) == ["checkpoints"]
        assert run(training).digest == run(new("sft", "whole", save_every=8)).digest

    def test_a_disk_that_is_full_at_a_checkpoint(self, new: New, monkeypatch: pytest.MonkeyPatch) -> None:
        training = new("sft")
        with monkeypatch.context() as full:
            full.setattr("transformers.Trainer._save_optimizer_and_scheduler", no_space)
            assert refused(training).code == "disk"
        assert last_checkpoint(training.folder / "checkpoints") is None
        assert run(training).steps == 8

    def test_a_folder_that_cannot_be_written(self, new: New, tmp_path: Path) -> None:
        (tmp_path / "run").write_text("a file")
        with pytest.raises(TrainingError) as found:
            run(new("sft"))
        assert found.value.code == "disk"


def test_a_done_training_can_be_compared(new: New) -> None:
    """The weights depend on the seed and on nothing else that changes from one machine to the next."""
    first: Done = run(new("sft", "first"))
    assert run(new("sft", "second")).digest == first.digest
    assert run(new("sft", "third", seed=3)).digest != first.digest
