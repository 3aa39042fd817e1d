"""Doing a training under a lease: its row says how far it is, and whoever lost it writes nothing more."""

import fcntl
import os
import time
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from inference.engine import weights
from inference.folders import folder_of_run, folder_of_snapshot
from inference.models import TrainingPoint, TrainingRun
from inference.runs import asking, leases, points, working
from inference.training.base import Hooks, Progress, Training
from inference.training.errors import TrainingError
from oasst.core.errors import Conflict
from tests.inference.runs.conftest import Ask
from tests.inference.runs.performing import STEPS, Counting

State = TrainingRun.State
ME, OTHER = "here:1:a", "elsewhere:1:b"
PATIENCE = 60


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step is stored."""
    monkeypatch.setattr(working, "NOTE_SECONDS", 0)


@pytest.fixture
def beating(transactional_db: None, at_once: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread of the lease works all the time."""
    monkeypatch.setattr(working, "HEARTBEAT_SECONDS", 0.02)


def stored() -> TrainingRun:
    return TrainingRun.objects.get()


def wait_for(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, stored().__dict__
        time.sleep(0.01)


def steals(at: int) -> Callable[[int], object]:
    """Let another process take the training over at this step."""
    return lambda step: step == at and TrainingRun.objects.update(owner=OTHER)


def raises(error: Exception, at: int = 3) -> Callable[[int], None]:
    def act(step: int) -> None:
        if step == at:
            raise error

    return act


class TestClaiming:
    def test_the_oldest_first_and_each_once(self, ask: Ask) -> None:
        first, second = ask(), ask(seed=2)
        claimed = [leases.claim(ME), leases.claim(OTHER), leases.claim(ME)]
        assert [run and run.pk for run in claimed] == [first.pk, second.pk, None]
        first.refresh_from_db()
        assert (first.state, first.owner, first.began_at is None) == ("running", ME, False)

    def test_after_the_lease(self, ask: Ask) -> None:
        ask()
        assert leases.claim(OTHER)
        assert leases.claim(ME) is None
        TrainingRun.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
        again = leases.claim(ME)
        assert again is not None and again.fruitless_claims == 2
        assert leases.renew(again.pk, OTHER) is None and leases.renew(again.pk, ME) is False

    def test_at_once_if_its_process_of_this_host_is_dead(self, ask: Ask) -> None:
        ask()
        host, _pid, _random = leases.new_owner().split(":")
        assert leases.claim(f"{host}:{os.getpid()}:a") and leases.claim(ME) is None
        TrainingRun.objects.update(owner=f"{host}:999999999:a")
        assert leases.claim(ME)

    def test_given_up_after_three_dead_processes(self, ask: Ask) -> None:
        ask()
        for _ in range(leases.MOST_FRUITLESS):
            assert leases.claim(ME)
            TrainingRun.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
        assert leases.claim(ME) is None
        run = stored()
        assert (run.state, run.error_code, run.owner) == ("failed", "died", "")
        assert "without a new step" in run.error

    def test_only_a_step_beyond_the_furthest_is_a_new_one(self, ask: Ask) -> None:
        ask()
        run = leases.claim(ME)
        assert run is not None
        for step, furthest, fruitless in ((4, 4, 0), (3, 4, 1), (4, 4, 1), (5, 5, 0)):
            TrainingRun.objects.filter(fruitless_claims=0).update(fruitless_claims=1)
            assert leases.note(run.pk, ME, leases.Noted(step, 9))
            assert (stored().step, stored().fruitless_claims) == (furthest, fruitless)


class TestWorking:
    def test_it_is_done(self, ask: Ask, home: Path) -> None:
        run = working.work(ask(), owner=ME, perform=Counting())
        assert (run.state, run.owner, run.lease_until, run.error) == ("done", "", None, "")
        assert (run.step, run.steps, run.figures["loss"], run.figures["eval_loss"]) == (STEPS, STEPS, 0.1, 0.5)
        assert run.folder == f"training/runs/{run.pk}/model" and run.model_digest == "d" * 64
        assert run.funnels == {"train": {"rows": 9, "left_out": {"empty": 2}}}
        assert run.seconds > 0 and run.peak_bytes > 10_000_000 and run.host and run.ended_at
        found = dict(run.points.values_list("step", "figures"))
        assert list(found) == list(range(1, STEPS + 1))
        assert found[STEPS] == {"loss": 0.1, "learning_rate": 0.1, "epoch": 1.0, "eval_loss": 0.5}

    def test_what_is_done_is_not_done_again(self, ask: Ask) -> None:
        run = working.work(ask(), owner=ME, perform=Counting())
        second = Counting()
        assert working.work(run, owner=ME, perform=second).state == "done"
        assert second.done == []

    def test_what_another_process_does_is_left_to_it(self, ask: Ask) -> None:
        run = ask()
        leases.claim(OTHER)
        with pytest.raises(Conflict) as error:
            working.work(run, owner=ME, perform=Counting())
        assert error.value.code == "training_taken" and stored().owner == OTHER

    def test_a_process_that_ends_hands_it_back(self, ask: Ask) -> None:
        steps = Counting()
        run = working.work(ask(), owner=ME, perform=steps, must_stop=lambda: len(steps.done) == 5)
        assert (run.state, run.owner, run.step, run.fruitless_claims, run.ended_at) == ("waiting", "", 5, 0, None)
        run = working.work(run, owner=OTHER, perform=steps)
        assert (run.state, steps.done) == ("done", list(range(1, STEPS + 1)))
        assert run.points.count() == STEPS

    def test_a_crashed_process_hands_it_back_too(self, ask: Ask) -> None:
        with pytest.raises(KeyboardInterrupt):
            working.work(ask(), owner=ME, perform=Counting(raises(KeyboardInterrupt())))  # type: ignore[arg-type]
        assert stored().state == "waiting"

    def test_steps_are_repeated_from_the_checkpoint(self, ask: Ask, at_once: None) -> None:
        """A process was killed after step 5, and its last checkpoint is of step 4."""
        run = ask()
        working.work(run, owner=ME, perform=Counting(steals(6)))
        TrainingRun.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
        (folder_of_run(run.pk) / "checkpoint").write_text("4")
        points_before = TrainingPoint.objects.get(step=5).pk
        again = Counting()
        assert working.work(run, owner=ME, perform=again).state == "done"
        assert again.done == [5, 6, 7, 8, 9, 10]
        assert TrainingPoint.objects.count() == STEPS and TrainingPoint.objects.get(step=5).pk == points_before

    def test_stored_at_most_once_a_second_and_at_the_end(self, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
        noted: list[int] = []
        note = leases.note
        monkeypatch.setattr(leases, "note", lambda *args: noted.append(args[2].step) or note(*args))
        working.work(ask(), owner=ME, perform=Counting())
        assert len(noted) <= 3 and noted[-1] == STEPS and TrainingPoint.objects.count() == STEPS

    def test_figures_that_are_no_numbers_are_left_out(self, ask: Ask) -> None:
        def perform(training: Training, hooks: Hooks) -> Any:
            hooks.say(Progress(1, STEPS, {"loss": float("nan"), "accuracy": 1.0, "train_runtime": 2.0}))
            return Counting()(training, Hooks())

        working.work(ask(), owner=ME, perform=perform)
        assert TrainingPoint.objects.get().figures == {"accuracy": 1.0}

    def test_the_database_may_be_away_for_a_while(
        self, ask: Ask, at_once: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        note, left = leases.note, iter(range(4))

        def away(*args: Any) -> bool:
            if next(left, None) is not None:
                raise OperationalError("gone")
            return note(*args)

        monkeypatch.setattr(leases, "note", away)
        run = working.work(ask(), owner=ME, perform=Counting())
        assert run.state == "done" and run.points.count() == STEPS


class TestLosingTheLease:
    def test_it_ends_at_once_and_writes_nothing(self, ask: Ask, at_once: None) -> None:
        steps = Counting(steals(5))
        run = working.work(ask(), owner=ME, perform=steps)
        assert steps.done == [1, 2, 3, 4, 5]
        assert (run.state, run.owner, run.step) == ("running", OTHER, 4)
        assert TrainingPoint.objects.count() == 4

    def test_at_the_end(self, ask: Ask) -> None:
        run = working.work(ask(), owner=ME, perform=Counting(steals(STEPS)))
        assert (run.state, run.owner, run.folder) == ("running", OTHER, "")

    def test_before_a_failure(self, ask: Ask) -> None:
        def act(step: int) -> None:
            TrainingRun.objects.update(owner=OTHER)
            raise TrainingError("Broken.", code="diverged")

        run = working.work(ask(), owner=ME, perform=Counting(act))
        assert (run.state, run.owner, run.error) == ("running", OTHER, "")

    def test_a_process_that_slept_longer_than_its_lease(self, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
        steps = Counting(lambda step: step == 3 and monkeypatch.setattr(leases, "LEASE_SECONDS", -1))
        working.work(ask(), owner=ME, perform=steps)
        assert steps.done == [1, 2, 3] and stored().state == "running"

    @pytest.mark.django_db(transaction=True)
    def test_the_thread_notices_it_in_a_long_step(self, beating: None, ask: Ask) -> None:
        checks: list[int] = []

        def perform(training: Training, hooks: Hooks) -> Any:
            TrainingRun.objects.update(owner=OTHER)
            while True:  # ends by LostLease; nothing is told, so only the thread asks the database
                hooks.must_stop()
                checks.append(1)
                assert len(checks) < 6_000
                time.sleep(0.01)

        run = working.work(ask(), owner=ME, perform=perform)
        assert (run.state, run.owner) == ("running", OTHER)

    @pytest.mark.django_db(transaction=True)
    def test_the_thread_renews_it_in_a_long_step(self, beating: None, ask: Ask) -> None:
        def act(step: int) -> None:
            if step == 2:
                until = stored().lease_until
                wait_for(lambda: stored().lease_until > until)

        assert working.work(ask(), owner=ME, perform=Counting(act)).state == "done"

    def test_two_never_train_in_one_folder(self, ask: Ask) -> None:
        """The other one lost its lease in a long step, and still writes."""
        run, looks = ask(), []
        folder = folder_of_run(run.pk)
        folder.mkdir(parents=True)
        other = os.open(folder, os.O_RDONLY)
        fcntl.flock(other, fcntl.LOCK_EX)

        def must_stop() -> bool:
            if not looks:
                os.close(other)
            looks.append(1)
            return False

        assert working.work(run, owner=ME, perform=Counting(), must_stop=must_stop).state == "done"


class TestStopping:
    @pytest.mark.django_db(transaction=True)
    def test_somebody_stops_it(self, beating: None, ask: Ask) -> None:
        run = ask()

        def act(step: int) -> None:
            if step == 4:
                asking.stop(run.pk, None)
                renewed = stored().lease_until
                wait_for(lambda: stored().lease_until > renewed)

        steps = Counting(act)
        stopped = working.work(run, owner=ME, perform=steps)
        assert (stopped.state, stopped.owner, stopped.ended_at is None) == ("stopped", "", False)
        assert 4 <= stopped.step < STEPS and (folder_of_run(run.pk) / "checkpoint").read_text() == str(stopped.step)
        asking.go_on(run.pk, None)
        assert working.work(run, owner=ME, perform=steps).state == "done"
        assert steps.done == list(range(1, STEPS + 1))
        connection.close()


class TestFailing:
    def test_with_the_cause(self, ask: Ask) -> None:
        error = TrainingError("At step 3 loss is no number any more.", code="diverged")
        run = working.work(ask(), owner=ME, perform=Counting(raises(error)))
        assert (run.state, run.error_code, run.error) == ("failed", "diverged", error.message)
        assert (run.step, run.owner) == (2, "")

    def test_in_a_way_that_nobody_foresaw(self, ask: Ask) -> None:
        run = working.work(ask(), owner=ME, perform=Counting(raises(RuntimeError("x" * 2000))))
        assert (run.state, run.error_code, len(run.error)) == ("failed", "crashed", 1000)
        assert "RuntimeError: xxx" in run.error

    def test_the_snapshot_is_not_on_this_machine(self, ask: Ask) -> None:
        run = ask()
        folder_of_snapshot(run.snapshot_digest).rename(folder_of_snapshot("elsewhere"))
        run = working.work(run, owner=ME, perform=Counting())
        assert (run.state, run.error_code) == ("failed", "no_snapshot")
        assert "2026.1" in run.error and "./manage.py train" in run.error

    def test_the_base_model_has_changed(self, ask: Ask) -> None:
        run = ask()
        TrainingRun.objects.update(base_digest="0" * 64)
        run = working.work(run, owner=ME, perform=Counting())
        assert (run.state, run.error_code) == ("failed", "base")

    def test_the_disk_is_full(self, ask: Ask, settings: Any) -> None:
        settings.TRAINING_LEAST_FREE_MB = 10**9
        run = working.work(ask(), owner=ME)
        assert (run.state, run.error_code) == ("failed", "disk")


class TestPoints:
    def test_they_are_thinned_evenly(self, ask: Ask) -> None:
        run = ask()
        for first in range(1, 5_001, 250):
            rows = {step: {"loss": 1.0} for step in range(first, first + 250)}
            points.store(run.pk, {**rows, first: {"loss": 1.0, "eval_loss": 2.0}})
        steps = list(run.points.order_by("step").values_list("step", flat=True))
        assert points.MOST_POINTS / 3 < len(steps) <= points.MOST_POINTS
        assert (steps[0], steps[-1]) == (1, 5_000)
        assert max(after - before for before, after in pairwise(steps)) <= 10
        assert run.points.filter(figures__has_key="eval_loss").count() == 20

    def test_every_second_one_goes(self) -> None:
        assert list(points.spread(list(range(1, 2_002)), 1_000)) == list(range(1, 2_002, 2))
        assert list(points.spread([3, 4], 5)) == [3, 4]


@pytest.mark.slow
def test_a_real_training(ask: Ask) -> None:
    """Slow: it loads torch and trains a small model."""
    run = working.work(ask("sft", lora=False), owner=ME)
    assert (run.state, run.error, run.step, run.steps) == ("done", "", 8, 8)
    assert weights.digest(folder_of_run(run.pk) / "model") == run.model_digest
    assert run.figures["loss"] > 0 and run.funnels["train"]["samples"] > 0
    assert run.points.count() == 8
    assert " torch-" in run.code_version and len(run.code_version.split()[0]) == 12
