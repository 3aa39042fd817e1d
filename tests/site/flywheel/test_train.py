"""./manage.py train and run_trainer: from the name of a snapshot to a model, or a sentence that says what is wrong."""

import json
import signal
import sys
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from inference import folders
from inference.engine import tiny
from inference.models import ServedModel, TrainingRun
from inference.runs import asking, environment, working
from inference.training.errors import TrainingError
from inference.training.snapshot import open_snapshot
from oasst.site.flywheel.snapshots import snapshot_here
from oasst.site.management.commands.up import programs
from tests.factories import conversation
from tests.inference.runs.performing import STEPS, Counting

pytestmark = pytest.mark.django_db
Train = Callable[..., str]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tiny.make(folder)
    return folder


@pytest.fixture(autouse=True)
def _own_places(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    settings.SNAPSHOT_SALT = "a long secret that nobody can guess"
    settings.TRAINING_LEAST_FREE_MB = 0
    monkeypatch.setattr(folders, "_training", lambda: tmp_path / "training")
    monkeypatch.setattr(environment, "step_back", lambda: None)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def snapshot(tmp_path: Path) -> str:
    path = tmp_path / "in.jsonl"
    path.write_text(json.dumps(conversation()) + "\n")
    call_command("import_trees", path, "--license", "CC0-1.0", stdout=StringIO())
    call_command("snapshot_create", "--name", "2026.1", "--output", tmp_path / "out", stdout=StringIO())
    return "2026.1"


@pytest.fixture
def train(snapshot: str, base: Path) -> Train:
    def train(*more: str, base: str = str(base), snapshot: str = snapshot, method: str = "sft") -> str:
        out = StringIO()
        call_command("train", method, "--snapshot", snapshot, "--base", base, *more, stdout=out, stderr=StringIO())
        return out.getvalue()

    return train


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    steps = Counting()
    monkeypatch.setattr(working, "_perform", steps)
    return steps


def run_trainer(*options: str) -> str:
    out = StringIO()
    call_command("run_trainer", *options, stdout=out)
    return out.getvalue()


class TestAsking:
    def test_it_waits(self, train: Train, base: Path, settings: Any) -> None:
        said = train("--set", "epochs=2", "--set", "langs=en,de")
        run = TrainingRun.objects.get()
        assert (run.state, run.config["epochs"], run.config["langs"]) == ("waiting", 2.0, ["en", "de"])
        assert (run.base, folders.from_home(run.base_folder)) == (str(base), base)
        assert open_snapshot(folders.folder_of_snapshot(run.snapshot_digest)).digest == run.snapshot_digest
        assert "Training is off on this site" in said and "run_trainer --once" in said
        settings.OASST_TRAINING = True
        assert "The trainer of this site does it" in train("--set", "epochs=2", "--set", "langs=en,de")
        assert TrainingRun.objects.count() == 1

    def test_the_folder_is_written_once(self, train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
        train()
        monkeypatch.setattr("oasst.site.flywheel.snapshots.write_folder", None)
        train("--set", "seed=2")
        assert TrainingRun.objects.count() == 2

    def test_a_snapshot_that_was_never_written(self, snapshot: str) -> None:
        from trees.models import Snapshot

        row = Snapshot.objects.get()
        row.manifest, row.card = {}, b""
        row.save()
        found = snapshot_here("2026.1")
        assert open_snapshot(found.folder).digest == found.digest == found.folder.name
        assert [one.name for one in found.folder.parent.iterdir()] == [found.digest]

    def test_one_that_was_trained_here_by_its_name(self, train: Train, base: Path) -> None:
        ServedModel.objects.create(name="tiny-2026.1-sft", folder=str(base))
        train(base="tiny-2026.1-sft")
        assert TrainingRun.objects.get().base == "tiny-2026.1-sft"

    @pytest.mark.parametrize(
        ("options", "code", "words"),
        [
            ({"snapshot": "2020.9"}, "no_snapshot", "snapshot_list shows all"),
            ({"base": "unknown"}, "no_model", "fetch_model unknown"),
            ({"base": "/nowhere"}, "no_model", "/nowhere"),
            ({"method": "ppo"}, "config", "choose sft, reward"),
            ({"method": "grpo"}, "no_reward_model", "--set reward_model=NAME"),
        ],
    )
    def test_what_is_wrong_is_said(self, train: Train, options: dict[str, str], code: str, words: str) -> None:
        with pytest.raises(CommandError) as error:
            train(**options)
        assert f"[{code}]" in str(error.value) and words in str(error.value)
        assert not TrainingRun.objects.exists()

    def test_a_wrong_setting(self, train: Train) -> None:
        with pytest.raises(CommandError, match="sft has no setting 'epoch'"):
            train("--set", "epoch=2")
        assert not TrainingRun.objects.exists()

    def test_a_retracted_snapshot(self, train: Train) -> None:
        call_command("snapshot_retract", "2026.1", "--reason", "It had a secret.", stdout=StringIO())
        with pytest.raises(CommandError, match="was retracted: It had a secret"):
            train()
        assert not TrainingRun.objects.exists()

    def test_missing_packages(self, train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(environment, "find_spec", lambda name: None if name == "trl" else sys)
        with pytest.raises(CommandError, match=r"needs trl, .*scripts/train"):
            train()


class TestWaiting:
    def test_it_is_done_here(self, train: Train, counting: Counting) -> None:
        said = train("--wait")
        run = TrainingRun.objects.get()
        assert run.state == "done" and f"done after {STEPS} steps" in said and run.folder in said
        assert f"called {run.served.pk}." in said, "the name by which it can be trained on, evaluated and offered"
        assert "done after" in train("--wait") and len(counting.done) == STEPS, "not a second time"

    def test_ctrl_c_keeps_a_checkpoint(self, train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
        steps = Counting(lambda step: step == 4 and signal.raise_signal(signal.SIGINT))
        monkeypatch.setattr(working, "_perform", steps)
        assert "Stopped at step 4. The same command goes on from there." in train("--wait")
        assert TrainingRun.objects.get().state == "stopped"
        assert "done after" in train("--wait")
        assert steps.done == list(range(1, STEPS + 1))

    def test_a_failure(self, train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: Any) -> Any:
            raise TrainingError("There is nothing to learn from.", code="empty")

        monkeypatch.setattr(working, "_perform", fail)
        with pytest.raises(CommandError, match=r"nothing to learn from. \[empty\]"):
            train("--wait")
        assert TrainingRun.objects.get().error_code == "empty"


class TestTrainer:
    @pytest.fixture(autouse=True)
    def _on(self, settings: Any) -> None:
        settings.OASST_TRAINING = True

    def test_all_that_waits(self, train: Train, counting: Counting) -> None:
        train()
        train("--set", "seed=2")
        stopped = train("--set", "seed=3") and TrainingRun.objects.latest("asked_at")
        asking.stop(stopped.pk, None)
        said = run_trainer("--once")
        assert said.count(": done, in ") == 2 and ServedModel.objects.filter(run__isnull=False).count() == 2
        assert sorted(TrainingRun.objects.values_list("state", flat=True)) == ["done", "done", "stopped"]

    def test_sigterm_hands_it_back(self, train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
        steps = Counting(lambda step: step == 4 and signal.raise_signal(signal.SIGTERM))
        monkeypatch.setattr(working, "_perform", steps)
        train()
        assert "interrupted at step 4" in run_trainer()
        assert TrainingRun.objects.get().state == "waiting"

    def test_a_failure_does_not_end_it(self, train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
        train()
        TrainingRun.objects.update(base_digest="0" * 64)
        train("--set", "seed=2")
        monkeypatch.setattr(working, "_perform", Counting())
        said = run_trainer("--once")
        assert "failed at step 0. The model" in said and ": done, in " in said

    def test_refusals(self, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(environment, "find_spec", lambda name: None if name == "peft" else sys)
        with pytest.raises(CommandError, match="needs peft"):
            run_trainer("--once")
        settings.OASST_TRAINING = False
        with pytest.raises(CommandError, match="OASST_TRAINING=on"):
            run_trainer("--once")

    def test_up_runs_it_where_it_can(self, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        settings.OASST_HOME = tmp_path

        def names() -> list[str]:
            return [program.name for program in programs([])]

        assert "trainer" in names()
        monkeypatch.setattr(environment, "find_spec", lambda name: None)
        assert "trainer" not in names()
        monkeypatch.undo()
        settings.OASST_TRAINING = False
        assert "trainer" not in names()
