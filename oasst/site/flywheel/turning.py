"""One turn of the flywheel: from a snapshot to a model that was judged, passed the gate and is offered in the chat.

Each step has a row under a key of all that decides its result. So a turn that was killed goes on where it was, and a
second turn with the same plan computes nothing.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings

from inference.evaluating.gate import Gate
from inference.folders import folder_of_base, from_home
from inference.models import Evaluation, ServedModel, TrainingRun
from inference.registry import stages
from inference.registry.evaluations import Subject, evaluate
from inference.registry.models import register_trained
from inference.runs import asking, leases, working
from inference.training.base import Progress, Training
from inference.training.errors import TrainingError
from inference.training.snapshot import open_snapshot
from oasst.core.errors import Conflict
from oasst.site.flywheel.evaluating import model_row
from oasst.site.flywheel.plan import Plan
from oasst.site.flywheel.snapshots import SnapshotHere, snapshot_here

_LOOK_SECONDS = 1.0
State = TrainingRun.State


@dataclass
class Terminal:
    """What the caller hears meanwhile, and whether it wants an end."""

    say: Callable[[str], None] = lambda line: None
    heard: Callable[[TrainingRun, Progress], None] = lambda run, progress: None
    must_stop: Callable[[], bool] = lambda: False


@dataclass
class Turned:
    runs: dict[str, TrainingRun] = field(default_factory=dict)
    """By method."""
    model: ServedModel | None = None
    """What the last training made, judges aside."""
    evaluation: Evaluation | None = None

    @property
    def passed(self) -> bool:
        return self.evaluation is not None and bool(self.evaluation.passed)


def turn(snapshot: str, base: str, plan: Plan, gate: Gate, terminal: Terminal) -> Turned:
    """Take every step that is not done yet. A model that the gate refuses is kept, and offered to nobody.

    Raise Conflict `training` if a training did not end well, and what `snapshot_here`, `folder_of_base` and the
    evaluation raise.
    """
    found, first = snapshot_here(snapshot), model_row(base)
    turned, model = Turned(), first
    for method in plan.steps:
        run = turned.runs[method] = _train(method, plan, model.name, found, terminal)
        if method != "reward":
            model = turned.model = register_trained(run)
    terminal.say(f"Comparing {model} with {base} …")
    turned.evaluation = evaluate(
        _subject(turned, first, found), settings=plan.evaluation_settings(), gate=gate, say=terminal.say
    )
    if turned.passed:
        stages.set_stage(model.name, plan.stage, by=None, share=plan.share)
    return turned


def _subject(turned: Turned, first: ServedModel, found: SnapshotHere) -> Subject:
    assert turned.model is not None  # a plan has a step that makes one
    judge = turned.runs.get("reward")
    return Subject(
        model=turned.model,
        against=first,
        snapshot=open_snapshot(found.folder),
        snapshot_name=found.name,
        reward=from_home(judge.folder) if judge else None,
        reward_name=str(judge.pk) if judge else "",
    )


def _train(method: str, plan: Plan, base: str, found: SnapshotHere, terminal: Terminal) -> TrainingRun:
    run = asking.ask(
        method=method,
        config=plan.training(method),
        base=base,
        base_folder=folder_of_base(base),
        snapshot=found.name,
        snapshot_digest=found.digest,
    )
    if run.state != State.DONE:
        terminal.say(f"{method}: training from {base} …")
        run = _finish(run, terminal)
    if run.state == State.WAITING:  # the caller wants an end; else a trainer would take it up again at once
        run = asking.stop(run.pk, None, "Ctrl-C or SIGTERM.")
    if run.state == State.STOPPED:
        raise Conflict(f"{method} stopped at step {run.step}. The same command goes on from there.", code="stopped")
    if run.state != State.DONE:
        raise Conflict(f"{method} failed: {run.error} [{run.error_code}]", code="training")
    terminal.say(f"{method}: done after {run.steps} steps, weights {run.model_digest[:12]}.")
    return run


def _finish(run: TrainingRun, terminal: Terminal) -> TrainingRun:
    """Do the training here, or wait for the process that does, and take it over if that one dies."""
    owner, told = leases.new_owner(), False
    while True:
        try:
            return working.work(
                run,
                owner=owner,
                must_stop=terminal.must_stop,
                heard=lambda progress: terminal.heard(run, progress),
            )
        except Conflict as error:
            if error.code != "training_taken" or terminal.must_stop():
                raise
            if not told:
                terminal.say(error.message)
                told = True
            time.sleep(_LOOK_SECONDS)


@dataclass(frozen=True)
class Cost:
    """What a training would take on this machine."""

    method: str
    samples: int
    steps: int
    seconds: float
    peak_bytes: int


def costs(snapshot: str, base: str, plan: Plan) -> Iterator[Cost]:
    """Yield what each training would cost, found by its first steps from the base model. Nothing is kept.

    Raise Conflict `training` with the reason if one cannot begin.
    """
    from inference.training.estimate import estimate

    folder, start = snapshot_here(snapshot).folder, folder_of_base(base)
    for method in plan.steps:
        training = Training(
            method=method,
            config=plan.training(method),
            base=start,
            snapshot=open_snapshot(folder),
            folder=Path(),
            threads=settings.TRAINING_THREADS,
        )
        try:
            found = estimate(training)
        except TrainingError as error:
            raise Conflict(f"{method} cannot begin: {error}", code="training") from error
        yield Cost(method, found.samples, found.steps, found.seconds, found.peak_bytes)
