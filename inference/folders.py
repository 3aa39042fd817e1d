"""Where models, trainings and snapshots have their files on this machine."""

from pathlib import Path
from uuid import UUID

from django.conf import settings

from inference.engine import fetching
from inference.engine.base import EngineError
from inference.models import ServedModel
from oasst.core.errors import Invalid


def folder_of_run(run_id: UUID) -> Path:
    """Return the folder of a training, with its checkpoints and then its model."""
    return _training() / "runs" / str(run_id)


def folder_of_snapshot(digest: str) -> Path:
    """Return where the snapshot is whose manifest has this digest, if this machine has it."""
    return _training() / "snapshots" / digest


def folder_of(name: str) -> Path:
    """Return where the files of this model are, whether they are there or not. One statement.

    Raise EngineError for a text that cannot be the name of a model.
    """
    return folder_of_row(ServedModel.objects.filter(name=name).only("folder").first() or ServedModel(name=name))


def folder_of_row(row: ServedModel) -> Path:
    """Return the same for a row that was read already."""
    return from_home(row.folder) if row.folder else fetching.folder_of(row.name, settings.OASST_HOME / "models")


def folder_of_base(name: str) -> Path:
    """Return the folder of a model that is here: trained here, fetched, or the folder that is named.

    Raise Invalid `no_model` with what to do.
    """
    try:
        folder = folder_of(name)
    except EngineError as error:
        raise Invalid(str(error), code="no_model") from error
    if not fetching.is_fetched(folder):
        raise Invalid(
            f"There is no model in {folder}. `./manage.py fetch_model {name}` fetches one that is known; one from "
            "elsewhere is named by its folder.",
            code="no_model",
        )
    return folder.resolve()


def below_home(folder: Path) -> str:
    """Return the path as it is stored: below OASST_HOME if it is there, else absolute."""
    folder = folder.resolve()
    home = settings.OASST_HOME.resolve()
    return str(folder.relative_to(home)) if folder.is_relative_to(home) else str(folder)


def from_home(stored: str) -> Path:
    """Return the absolute path of one that `below_home` returned."""
    return Path(settings.OASST_HOME / stored)


def _training() -> Path:
    return Path(settings.OASST_HOME / "training")
