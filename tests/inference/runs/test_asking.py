"""Asking for a training: the same one again is the same row, and each act of staff is recorded."""

import shutil
import socket
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone

from inference.folders import folder_of_run
from inference.models import TrainingRun
from inference.runs import asking, leases
from inference.runs.keys import digest_of
from oasst.accounts.models import User
from oasst.core.errors import Conflict, Invalid, NotAllowed, NotFound
from oasst.core.models import AuditEntry
from tests.factories import new_person
from tests.inference.runs.conftest import Ask

State = TrainingRun.State


@pytest.fixture
def ida(db: None) -> User:
    return new_person("Ida", role="admin")


def acts() -> list[str]:
    return list(AuditEntry.objects.order_by("pk").values_list("act", flat=True))


def put(run: TrainingRun, state: str, **changes: Any) -> TrainingRun:
    TrainingRun.objects.filter(pk=run.pk).update(state=state, **changes)
    run.refresh_from_db()
    return run


class TestAsking:
    def test_it_waits_with_all_of_its_settings(self, ask: Ask, ida: User, tiny_folder: Path) -> None:
        run = ask("dpo", by=ida, beta=0.3)
        assert (run.state, run.method, run.asked_by, run.base) == ("waiting", "dpo", ida, "tiny")
        assert (run.config["beta"], run.config["label_smoothing"]) == (0.3, 0.0)
        assert (run.base_digest, run.base_folder) == (digest_of(tiny_folder), str(tiny_folder))
        assert acts() == ["training.ask"]

    def test_the_same_again_is_the_same_row(self, ask: Ask) -> None:
        run = ask()
        for state in ("waiting", "running", "done"):
            held = {"lease_until": timezone.now()} if state == "running" else {"lease_until": None}
            put(run, state, **held)
            assert ask().pk == run.pk
            assert TrainingRun.objects.get().state == state
        assert acts() == ["training.ask"]

    @pytest.mark.parametrize("changes", [{"seed": 2}, {"learning_rate": 0.5}, {"langs": "de"}])
    def test_other_settings_are_another_training(self, ask: Ask, changes: dict[str, Any]) -> None:
        assert ask().key != ask(**changes).key

    def test_another_base_is_another_training(self, ask: Ask, tiny_folder: Path, tmp_path: Path) -> None:
        shutil.copytree(tiny_folder, tmp_path / "copy")
        assert ask(base_folder=tmp_path / "copy").key == ask().key, "the same weights elsewhere"
        weights = tmp_path / "copy" / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
        assert ask(base_folder=tmp_path / "copy").key != ask().key

    def test_another_reward_model_is_another_training(self, ask: Ask, tiny_folder: Path, tmp_path: Path) -> None:
        shutil.copytree(tiny_folder, tmp_path / "judge")
        one = ask("grpo", reward_model=str(tmp_path / "judge"))
        assert ask("grpo", reward_model=str(tiny_folder)).pk == one.pk, "the same weights elsewhere"
        weights = tmp_path / "judge" / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
        assert ask("grpo", reward_model=str(tmp_path / "judge")).pk != one.pk

    @pytest.mark.parametrize("state", ["failed", "stopped"])
    def test_one_that_ended_early_goes_on(self, ask: Ask, state: str) -> None:
        run = put(ask(), state, error_code="disk", error="Full.", step=5, stop_asked_at=timezone.now())
        again = ask()
        assert (again.pk, again.state, again.step) == (run.pk, "waiting", 5)
        assert (again.error, again.error_code, again.stop_asked_at) == ("", "", None)
        assert acts() == ["training.ask", "training.resume"]

    def test_one_whose_model_was_removed_is_done_again(self, ask: Ask) -> None:
        run = ask()
        model = folder_of_run(run.pk) / "model"
        model.mkdir(parents=True)
        (model / "config.json").touch()
        put(run, "done", folder=str(model), host=socket.gethostname()[:64])
        assert ask().state == "done"
        shutil.rmtree(model)
        assert ask().state == "waiting"
        assert put(run, "done", host="another") and ask().state == "done", "nobody here knows whether it is gone"

    def test_no_model(self, ask: Ask, tmp_path: Path) -> None:
        with pytest.raises(Invalid) as error:
            ask(base_folder=tmp_path)
        assert error.value.code == "no_model"
        assert not TrainingRun.objects.exists()

    def test_only_administrators(self, ask: Ask, mo: User, eve: User) -> None:
        for person in (mo, eve):
            with pytest.raises(NotAllowed):
                ask(by=person)
        assert not TrainingRun.objects.exists() and not AuditEntry.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_who_ask_at_once_get_the_same_row(transactional_db: None, ask: Ask) -> None:
    together, got = threading.Barrier(2), []

    def one() -> None:
        together.wait()
        got.append(ask().pk)
        connection.close()

    both = [threading.Thread(target=one) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert len(got) == 2 and len(set(got)) == 1
    assert TrainingRun.objects.count() == 1


class TestStopping:
    def test_one_that_waits(self, ask: Ask, ida: User) -> None:
        run = asking.stop(ask().pk, ida, "Too costly.")
        assert (run.state, run.ended_at is None) == ("stopped", False)
        entry = AuditEntry.objects.latest("pk")
        assert (entry.act, entry.actor, entry.text.reason) == ("training.stop", ida, "Too costly.")
        assert leases.claim("me:1:a") is None

    def test_one_that_runs_ends_by_its_process(self, ask: Ask, ida: User) -> None:
        ask()
        run = leases.claim(leases.new_owner())
        assert run is not None
        stopped = asking.stop(run.pk, ida)
        assert (stopped.state, stopped.owner, stopped.stop_asked_at is None) == ("running", run.owner, False)
        assert leases.renew(run.pk, run.owner) is True

    def test_one_whose_process_died(self, ask: Ask, ida: User) -> None:
        asking.stop(_abandoned(ask()).pk, ida)
        assert leases.claim("me:1:a") is None
        assert TrainingRun.objects.get().state == "stopped"

    @pytest.mark.parametrize("state", ["done", "failed", "stopped"])
    def test_one_that_ended(self, ask: Ask, ida: User, state: str) -> None:
        run = put(ask(), state)
        with pytest.raises(Conflict) as error:
            asking.stop(run.pk, ida)
        assert error.value.code == "training_ended"
        assert TrainingRun.objects.get().stop_asked_at is None

    def test_strangers(self, ask: Ask, mo: User) -> None:
        run = ask()
        for act in (asking.stop, asking.go_on):
            with pytest.raises(NotAllowed):
                act(run.pk, mo)
        assert TrainingRun.objects.get().state == "waiting"
        with pytest.raises(NotFound):
            asking.stop(uuid4(), None)


class TestGoingOn:
    def test_it_waits_again(self, ask: Ask, ida: User) -> None:
        run = put(ask(), "failed", error_code="died", error="Three times.", fruitless_claims=3)
        again = asking.go_on(run.pk, ida, "There is more memory now.")
        assert (again.state, again.error, again.fruitless_claims) == ("waiting", "", 0)
        assert acts()[-1] == "training.resume"

    @pytest.mark.parametrize(("state", "code"), [("waiting", "training_goes_on"), ("done", "training_done")])
    def test_refused(self, ask: Ask, ida: User, state: str, code: str) -> None:
        run = put(ask(), state)
        with pytest.raises(Conflict) as error:
            asking.go_on(run.pk, ida)
        assert error.value.code == code
        assert TrainingRun.objects.get().state == state


def _abandoned(run: TrainingRun) -> TrainingRun:
    return put(run, "running", owner="elsewhere:1:a", lease_until=timezone.now() - timedelta(seconds=1))
