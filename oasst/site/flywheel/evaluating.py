"""Ask for an evaluation by the names that people use: of models, a snapshot, settings, a gate."""

from collections.abc import Callable, Sequence
from pathlib import Path
from uuid import UUID

from inference.evaluating.gate import read_gate
from inference.evaluating.settings import read_settings
from inference.folders import folder_of_base, folder_of_run
from inference.models import Evaluation, ServedModel
from inference.registry.evaluations import Subject, evaluate
from inference.registry.models import register_fetched
from inference.training.running import MODEL
from inference.training.snapshot import open_snapshot
from oasst.accounts.models import User
from oasst.site.flywheel.snapshots import snapshot_here
from trees.interchange.progress import CountDone


def ask(
    *,
    model: str,
    snapshot: str,
    against: str = "",
    reward: str = "",
    gate_file: Path | None = None,
    has_gate: bool = True,
    settings_file: Path | None = None,
    changes: Sequence[str] = (),
    by: User | None = None,
    progress: CountDone = lambda done: None,
    say: Callable[[str], None] = lambda text: None,
) -> Evaluation:
    """Return the evaluation, made now if there is none like it. Without a file the default gate is asked.

    Raise TrainingError `config`, `gate`; NotFound `model_missing`; and what `snapshot_here` and `evaluate` raise.
    """
    settings = read_settings(settings_file, changes)
    gate = read_gate(gate_file) if has_gate else None
    evaluated, other = model_row(model), model_row(against) if against else None
    folder = folder_of_reward_model(reward) if reward else None
    found = snapshot_here(snapshot, progress)
    subject = Subject(
        model=evaluated,
        against=other,
        snapshot=open_snapshot(found.folder),
        snapshot_name=found.name,
        reward=folder,
        reward_name=reward,
    )
    return evaluate(subject, settings=settings, gate=gate, by=by, say=say)


def model_row(name: str) -> ServedModel:
    """Return the model, which comes into the registry if only its files are here. Raise NotFound `model_missing`."""
    return ServedModel.objects.filter(name=name).first() or register_fetched(name)


def folder_of_reward_model(name: str) -> Path:
    """Return the folder of a reward model: of a training, by its id, or as `folder_of_base` finds it."""
    try:
        run = UUID(name)
    except ValueError:
        return folder_of_base(name)
    return folder_of_base(str(folder_of_run(run) / MODEL))
