"""Do a training in this process, under a lease that a thread renews, and store how far it is.

The process may be killed at any moment: after the lease (at once, if it was on the same machine) another one goes on
from the last checkpoint. One that lost its lease ends at its next step and writes nothing more.
"""

import fcntl
import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import structlog
from django.conf import settings
from django.db import connection
from django.db.utils import DatabaseError, InterfaceError
from psycopg_pool import PoolTimeout

from inference.engine import weights
from inference.folders import below_home, folder_of_run, folder_of_snapshot, from_home
from inference.models import TrainingRun
from inference.runs import leases, signs
from inference.runs.leases import Ending, Noted, claim
from inference.training.base import Done, Hooks, Progress, Stopped, Training, peak_bytes
from inference.training.config import from_values
from inference.training.errors import TrainingError
from inference.training.snapshot import SnapshotFolder, open_snapshot
from oasst.core.errors import Conflict

__all__ = ["claim", "work"]

log = structlog.get_logger(__name__)

HEARTBEAT_SECONDS = 5.0
NOTE_SECONDS = 1.0
State = TrainingRun.State
Perform = Callable[[Training, Hooks], Done]
_DATABASE_AWAY = (DatabaseError, InterfaceError, PoolTimeout)
"""Errors of an unreachable database: the training goes on as long as its lease."""
_NO_FIGURES = ("_runtime", "_per_second", "_flos")


class LostLease(Exception):
    """Another process may do the training by now."""


def work(
    run: TrainingRun,
    *,
    owner: str,
    perform: Perform | None = None,
    must_stop: Callable[[], bool] = lambda: False,
    heard: Callable[[Progress], None] = lambda progress: None,
) -> TrainingRun:
    """Do a training, claimed or not, to its end or until `must_stop`, and return its row as it is then.

    When `must_stop` says so, it writes a checkpoint and the training waits again. It ends as `stopped` if somebody
    stopped it, and as `failed` with the cause. `heard` is told what the training tells. Raise Conflict `training_taken`
    if another process does it.
    """
    if run.owner != owner:
        taken = leases.take(run.pk, owner)
        if taken is None:
            run.refresh_from_db()
            if run.state in (State.WAITING, State.RUNNING):
                raise Conflict(
                    "Another process does this training already; the admin shows how far it is.", code="training_taken"
                )
            return run
        run = taken
    log.info("training_begins", training=str(run.pk), method=run.method, step=run.step)
    with _Held(run, owner, must_stop, heard) as held:
        try:
            ending = _do(run, held, perform or _perform)
        except LostLease:
            log.warning("training_lost", training=str(run.pk))
        except BaseException:  # Ctrl-C for a second time
            leases.release(run.pk, owner)
            raise
        else:
            held.end(ending)
    run.refresh_from_db()
    log.info("training_ended", training=str(run.pk), state=run.state, error=run.error_code)
    return run


def _perform(training: Training, hooks: Hooks) -> Done:
    from inference.training.running import run  # loads torch

    return run(training, hooks)


def _do(run: TrainingRun, held: "_Held", perform: Perform) -> Ending | None:
    """Return how the training ended; None if it is to wait again."""
    try:
        with _alone_in(folder_of_run(run.pk), held.check):
            done = perform(_training(run), Hooks(held.hear, held.must_stop))
            held.flush(force=True)
            return _done(done, held.figures)
    except Stopped:
        held.flush(force=True)
        return Ending(State.STOPPED) if held.stop_asked else None
    except TrainingError as error:
        held.flush(force=True)
        return Ending(State.FAILED, error.code, error.message)
    except LostLease:
        raise
    except Exception as error:
        log.exception("training_crashed", training=str(run.pk))
        words = f"The training failed in a way that nobody foresaw: {type(error).__name__}: {error}"
        return Ending(State.FAILED, "crashed", words)


def _done(done: Done, figures: Mapping[str, float]) -> Ending:
    results = {
        "step": done.steps,
        "steps": done.steps,
        "figures": {**figures, **_shown(done.figures)},
        "funnels": done.funnels,
        "folder": below_home(done.model),
        "model_digest": done.digest,
    }
    return Ending(State.DONE, results=results)


def _training(run: TrainingRun) -> Training:
    base = from_home(run.base_folder)
    if weights.digest(base) != run.base_digest:
        raise TrainingError(
            f"The model {run.base} in {base} is not the one that this training was asked for: ask for a new training, "
            "or put the former weights back.",
            code="base",
        )
    return Training(
        method=run.method,
        config=from_values(run.method, run.config),
        base=base,
        snapshot=_snapshot(run),
        folder=folder_of_run(run.pk),
        threads=settings.TRAINING_THREADS,
        least_free_bytes=settings.TRAINING_LEAST_FREE_MB * 1_000_000,
    )


def _snapshot(run: TrainingRun) -> SnapshotFolder:
    folder = folder_of_snapshot(run.snapshot_digest)
    if not (folder / "manifest.json").is_file():
        raise TrainingError(
            f"The snapshot {run.snapshot} is not on this machine, in {folder}. The same `./manage.py train` command, "
            "run here, writes it there and lets the training go on.",
            code="no_snapshot",
        )
    found = open_snapshot(folder)
    if found.digest != run.snapshot_digest:
        raise TrainingError(f"{folder} is another snapshot. Remove it, and train again.", code="changed")
    return found


@contextmanager
def _alone_in(folder: Path, check: Callable[[], None]) -> Iterator[None]:
    """Wait until no other process of this machine trains in the folder, calling `check` meanwhile.

    One that lost its lease notices that at its next step, and two must not write the same checkpoints.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        while not _try_lock(descriptor):
            check()
            time.sleep(0.2)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _shown(figures: Mapping[str, float]) -> dict[str, float]:
    """Return the figures that say something of the model. PostgreSQL stores no NaN."""
    return {name: value for name, value in figures.items() if not name.endswith(_NO_FIGURES) and math.isfinite(value)}


class _Held:
    """A training that this process holds: renews its lease, collects what it tells, and knows when to stop."""

    def __init__(
        self, run: TrainingRun, owner: str, must_stop: Callable[[], bool], heard: Callable[[Progress], None]
    ) -> None:
        self.stop_asked = False
        self._run, self._owner, self._must_stop, self._heard = run, owner, must_stop, heard
        self._lost = False
        self._renewed_at = self._noted_at = self._counted_at = time.monotonic()
        self.figures: dict[str, float] = dict(run.figures)
        self._points: dict[int, dict[str, float]] = {}
        self._last: tuple[int, dict[str, float]] = (-1, {})
        self._step, self._steps = run.step, run.steps
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="training lease", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    # The thread of the lease

    def _beat(self) -> None:
        while not self._ended.wait(HEARTBEAT_SECONDS):
            signs.note_alive()
            began = time.monotonic()
            try:
                stop = leases.renew(self._run.pk, self._owner)
            except _DATABASE_AWAY as error:
                log.warning("training_database_away", reason=str(error))
                continue
            finally:
                connection.close()
            if stop is None:
                self._lost = True
                return
            self._renewed_at = began
            self.stop_asked = stop

    # What the training calls, at each step

    def check(self) -> None:
        """Raise LostLease if another process may hold the training by now, Stopped if this one should not go on."""
        if self._lost or time.monotonic() - self._renewed_at > leases.LEASE_SECONDS:
            raise LostLease
        if self.stop_asked or self._must_stop():
            raise Stopped

    def must_stop(self) -> bool:
        self.flush()
        try:
            self.check()
        except Stopped:
            return True
        return False

    def hear(self, progress: Progress) -> None:
        figures = _shown(progress.figures)
        before = self._last[1] if self._last[0] == progress.step else {}
        self._last = (progress.step, {**before, **figures})
        self._points[progress.step] = self._last[1]
        self.figures.update(figures)
        self._step, self._steps = progress.step, progress.steps
        self._heard(progress)
        self.flush()

    def flush(self, *, force: bool = False) -> None:
        """Store what was heard, if that was a while ago. Raise LostLease if another process holds the training."""
        now = time.monotonic()
        if not force and (not self._points or now - self._noted_at < NOTE_SECONDS):
            return
        self._noted_at = now
        noted = Noted(self._step, self._steps, self.figures, self._points, now - self._counted_at, peak_bytes())
        try:
            holds = leases.note(self._run.pk, self._owner, noted)
        except _DATABASE_AWAY as error:
            log.warning("training_database_away", reason=str(error))
            return
        if not holds:
            self._lost = True
            raise LostLease
        self._renewed_at = self._counted_at = now
        self._points = {}

    def end(self, ending: Ending | None) -> None:
        """Store the end, or let the training wait again. Tries until the lease is over if the database is away."""
        while True:
            try:
                if ending is None:
                    leases.release(self._run.pk, self._owner)
                else:
                    leases.finish(self._run.pk, self._owner, ending)
                return
            except _DATABASE_AWAY as error:
                if time.monotonic() - self._renewed_at > leases.LEASE_SECONDS:
                    raise
                log.warning("training_database_away", reason=str(error))
                self._ended.wait(1)
