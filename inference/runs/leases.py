"""Writes of a training while a process holds it. Each opens its own transaction on one row.

Every write names the owner, so a process that lost its lease and comes back changes nothing. Leases use the clock of
the database, which all machines share.
"""

import os
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Case, F, PositiveSmallIntegerField, Q, QuerySet, Value, When
from django.db.models.functions import Greatest, Now
from django.utils import timezone

from inference.models import TrainingRun
from inference.runs import points
from inference.runs.environment import code_version

State = TrainingRun.State
LEASE_SECONDS = 60.0
"""Renewed several times in that time, however long a step takes."""
MOST_FRUITLESS = 3
"""A training is given up after so many processes died with it without a new step."""
_DUE = Q(state=State.WAITING) | Q(state=State.RUNNING, lease_until__lt=Now())


def new_owner() -> str:
    """Return the name under which this process holds trainings: host:pid:random."""
    return f"{_host()}:{os.getpid()}:{secrets.token_hex(4)}"


def _host() -> str:
    return socket.gethostname().replace(":", "")[:30]


def claim(owner: str) -> TrainingRun | None:
    """Claim and return the next training: one that waits, or one whose lease is over. Concurrent claims get others."""
    _end_leases_of_the_dead()
    while True:
        with transaction.atomic(durable=True):
            run = _rows().filter(_DUE).order_by("asked_at", "pk").first()
            if run is None or _hold(run, owner):
                return run


def take(run_id: UUID, owner: str) -> TrainingRun | None:
    """Claim this training. Return None if it has ended, or another process holds it."""
    _end_leases_of_the_dead()
    with transaction.atomic(durable=True):
        run = _rows().filter(_DUE, pk=run_id).first()
        return run if run is not None and _hold(run, owner) else None


def _rows() -> QuerySet[TrainingRun]:
    return TrainingRun.objects.select_for_update(of=("self",), no_key=True, skip_locked=True)


def _hold(run: TrainingRun, owner: str) -> bool:
    """Give a locked row to the owner. Return False if it ended instead: it was stopped, or ended too many processes."""
    if run.stop_asked_at is not None:
        _end(run.pk, Ending(State.STOPPED))
        return False
    if run.fruitless_claims >= MOST_FRUITLESS:
        sentence = (
            f"The process that trains ended {MOST_FRUITLESS} times without a new step. Most often memory is short: "
            "a smaller batch_size or max_length, lora, or gradient_checkpointing helps."
        )
        _end(run.pk, Ending(State.FAILED, error_code="died", error=sentence))
        return False
    run.owner, run.state, run.host = owner, State.RUNNING, socket.gethostname()[:64]
    run.code_version = code_version()
    run.fruitless_claims += 1
    run.began_at = run.began_at or timezone.now()
    changed = TrainingRun.objects.filter(pk=run.pk)
    changed.update(
        owner=owner,
        state=run.state,
        host=run.host,
        code_version=run.code_version,
        began_at=run.began_at,
        fruitless_claims=run.fruitless_claims,
        lease_until=_lease(),
    )
    return True


def _lease() -> Any:
    return Now() + timedelta(seconds=LEASE_SECONDS)


def _end_leases_of_the_dead() -> None:
    """End the leases of dead processes of this host. A reused pid only delays this."""
    held = TrainingRun.objects.filter(state=State.RUNNING, owner__startswith=f"{_host()}:")
    for owner in held.values_list("owner", flat=True):
        if not Path(f"/proc/{owner.split(':')[1]}").exists():
            TrainingRun.objects.filter(owner=owner).update(lease_until=Now() - timedelta(seconds=1))


def _held(run_id: UUID, owner: str) -> QuerySet[TrainingRun]:
    return TrainingRun.objects.filter(pk=run_id, owner=owner, state=State.RUNNING)


def renew(run_id: UUID, owner: str) -> bool | None:
    """Renew the lease. Return whether somebody wants the training to stop; None if the owner no longer holds it."""
    if not _held(run_id, owner).update(lease_until=_lease()):
        return None
    return _held(run_id, owner).filter(stop_asked_at__isnull=False).exists()


@dataclass
class Noted:
    """What a training did since it was noted last."""

    step: int = 0
    steps: int = 0
    figures: Mapping[str, float] = field(default_factory=dict)
    """The last ones."""
    points: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    """By step."""
    seconds: float = 0.0
    peak_bytes: int = 0


def note(run_id: UUID, owner: str, noted: Noted) -> bool:
    """Store how far a training is, and renew its lease. Return False if the owner no longer holds it.

    A resumed training repeats steps; `step` stays at the furthest one, and only a step beyond it is a new one.
    """
    with transaction.atomic(durable=True):
        is_new = When(step__lt=noted.step, then=Value(0))
        changed = _held(run_id, owner).update(
            step=Greatest(F("step"), noted.step),
            steps=noted.steps,
            figures=dict(noted.figures),
            seconds=F("seconds") + noted.seconds,
            peak_bytes=Greatest(F("peak_bytes"), noted.peak_bytes),
            fruitless_claims=Case(is_new, default=F("fruitless_claims"), output_field=PositiveSmallIntegerField()),
            lease_until=_lease(),
        )
        if changed:
            points.store(run_id, noted.points)
    return bool(changed)


@dataclass(frozen=True)
class Ending:
    state: TrainingRun.State
    error_code: str = ""
    error: str = ""
    results: Mapping[str, Any] = field(default_factory=dict)
    """Other columns by name."""


def finish(run_id: UUID, owner: str, ending: Ending) -> bool:
    """End a training. Return False if the owner no longer holds it."""
    return bool(_end(run_id, ending, owner=owner))


def _end(run_id: UUID, ending: Ending, **held_by: str) -> int:
    return TrainingRun.objects.filter(pk=run_id, **held_by).update(
        state=ending.state,
        owner="",
        lease_until=None,
        ended_at=timezone.now(),
        error_code=ending.error_code[:32],
        error=ending.error.replace("\0", "")[:1000],
        **ending.results,
    )


def release(run_id: UUID, owner: str) -> bool:
    """Return a training to the queue, with its checkpoint. Return False if the owner no longer holds it."""
    back = {"state": State.WAITING, "owner": "", "lease_until": None, "fruitless_claims": 0}
    return bool(_held(run_id, owner).update(**back))
