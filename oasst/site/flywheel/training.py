"""Ask for a training by the names that people use: of a snapshot, a model, settings."""

from collections.abc import Sequence
from pathlib import Path

from inference.folders import folder_of_base
from inference.models import TrainingRun
from inference.runs import asking
from inference.training.config import Common, Online, read_config
from oasst.accounts.models import User
from oasst.core.errors import Invalid
from oasst.site.flywheel.snapshots import snapshot_here
from trees.interchange.progress import CountDone


def ask(
    *,
    method: str,
    snapshot: str,
    base: str,
    config_file: Path | None = None,
    changes: Sequence[str] = (),
    by: User | None = None,
    progress: CountDone = lambda done: None,
) -> TrainingRun:
    """Return the training, which waits if it is a new one. `changes` are settings as key=value.

    Raise TrainingError `config`, and what `asking.ask`, `snapshot_here` and `folder_of_base` raise.
    """
    config = _with_reward_model(read_config(method, config_file, changes))
    folder = folder_of_base(base)
    found = snapshot_here(snapshot, progress)
    return asking.ask(
        method=method,
        config=config,
        base=str(folder) if base.startswith((".", "/", "~")) else base,
        base_folder=folder,
        snapshot=found.name,
        snapshot_digest=found.digest,
        by=by,
    )


def _with_reward_model(config: Common) -> Common:
    """Replace the name of a reward model by its folder."""
    if not isinstance(config, Online):
        return config
    if not config.reward_model:
        raise Invalid(
            "This method needs a reward model: train one with `./manage.py train reward`, then name it with "
            "--set reward_model=NAME.",
            code="no_reward_model",
        )
    return config.model_copy(update={"reward_model": str(folder_of_base(config.reward_model))})
