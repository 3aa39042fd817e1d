"""Ask for a training, stop one, let one go on. `by` is None for an operator on the command line.

A process with a lease does it: see working.py.
"""

import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from inference import acts
from inference.folders import below_home, from_home
from inference.models import TrainingRun
from inference.runs.keys import digest_of, key_of
from oasst.accounts.access import require_administrator
from oasst.accounts.models import User
from oasst.core.audit.recording import record
from oasst.core.errors import Conflict, NotFound
from oasst.core.locks import advisory_lock

if TYPE_CHECKING:  # needs packages that only machines have which train
    from inference.training.config import Common

State = TrainingRun.State
_LOCK = "inference.training"


def ask(
    *,
    method: str,
    config: "Common",
    base: str,
    base_folder: Path,
    snapshot: str,
    snapshot_digest: str,
    by: User | None = None,
) -> TrainingRun:
    """Return the training with these settings: a new one that waits, or the one that was asked for before.

    One that failed or was stopped waits again, and goes on from its checkpoint. So does one that is done and whose
    model was removed from this machine. Raise NotAllowed `administrators_only`, Invalid `no_model`.
    """
    _require(by)
    base_digest = digest_of(base_folder)
    key = key_of(method=method, config=config, base_digest=base_digest, snapshot_digest=snapshot_digest)
    with transaction.atomic(durable=True):
        advisory_lock(_LOCK, key)
        run = _rows().filter(key=key).order_by("-asked_at").first()
        if run is not None:
            if _must_be_done(run):
                _queue(run, by, "")
            return run
        run = TrainingRun.objects.create(
            key=key,
            method=method,
            config=config.model_dump(mode="json"),
            base=base[:200],
            base_digest=base_digest,
            base_folder=below_home(base_folder),
            snapshot=snapshot,
            snapshot_digest=snapshot_digest,
            asked_by=by,
        )
        record(acts.ASK_TRAINING, run, actor=by, after={"method": method, "base": run.base, "snapshot": snapshot})
    return run


def _must_be_done(run: TrainingRun) -> bool:
    if run.state != State.DONE:
        return run.state in (State.FAILED, State.STOPPED)
    # Of another machine nobody here can say whether the model is still there.
    return run.host == socket.gethostname()[:64] and not (from_home(run.folder) / "config.json").is_file()


def stop(run_id: UUID, by: User | None, reason: str = "") -> TrainingRun:
    """Stop a training: at once if it waits, else after its next step, with a checkpoint.

    Raise NotAllowed `administrators_only`, NotFound `no_training`, Conflict `training_ended`.
    """
    _require(by)
    with transaction.atomic(durable=True):
        run = _locked(run_id)
        if run.state not in (State.WAITING, State.RUNNING):
            raise Conflict(_("This training has ended already."), code="training_ended")
        before = _facts(run)
        run.stop_asked_at = run.stop_asked_at or timezone.now()
        if run.state == State.WAITING:
            run.state, run.ended_at = State.STOPPED, timezone.now()
        run.save(update_fields=["stop_asked_at", "state", "ended_at"])
        record(acts.STOP_TRAINING, run, actor=by, reason=reason, before=before, after=_facts(run))
    return run


def go_on(run_id: UUID, by: User | None, reason: str = "") -> TrainingRun:
    """Let a training that failed or was stopped wait again; it goes on from its last checkpoint.

    Raise NotAllowed `administrators_only`, NotFound `no_training`, Conflict `training_goes_on` or `training_done`.
    """
    _require(by)
    with transaction.atomic(durable=True):
        run = _locked(run_id)
        if run.state == State.DONE:
            raise Conflict(_("This training is done."), code="training_done")
        if run.state in (State.WAITING, State.RUNNING):
            raise Conflict(_("This training waits or runs already."), code="training_goes_on")
        _queue(run, by, reason)
    return run


def _queue(run: TrainingRun, by: User | None, reason: str) -> None:
    before = _facts(run)
    run.state, run.ended_at, run.stop_asked_at = State.WAITING, None, None
    run.error_code = run.error = ""
    run.fruitless_claims = 0
    run.save(update_fields=["state", "ended_at", "stop_asked_at", "error_code", "error", "fruitless_claims"])
    record(acts.RESUME_TRAINING, run, actor=by, reason=reason, before=before, after=_facts(run))


def _facts(run: TrainingRun) -> dict[str, Any]:
    return {"state": str(run.state), "step": run.step, "stop_asked": run.stop_asked_at is not None}


def _require(by: User | None) -> None:
    if by is not None:
        require_administrator(by)


def _rows() -> Any:
    return TrainingRun.objects.select_for_update(of=("self",), no_key=True)


def _locked(run_id: UUID) -> TrainingRun:
    run: TrainingRun | None = _rows().filter(pk=run_id).first()
    if run is None:
        raise NotFound(_("There is no such training."), code="no_training")
    return run
