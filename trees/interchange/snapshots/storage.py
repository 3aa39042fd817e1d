"""Where everybody downloads published snapshots from: the folder of the site, or a bucket of S3. Decision 116."""

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from django.conf import settings

from trees.interchange.progress import CountDone
from trees.interchange.snapshots.published import PublishedFile


class Storage(Protocol):
    def add(self, name: str, folder: Path, files: Iterable[PublishedFile], progress: CountDone) -> int:
        """Store the files of a complete folder in this order, and return how many were not there already.

        May be repeated, also after it was killed. Raise Busy if the storage does not take them.
        """

    def remove(self, name: str) -> None:
        """Remove what `add` stored under this name. May be repeated. Raise Busy."""

    def locate(self, name: str, file: PublishedFile, *, method: str) -> Path | str:
        """Return the path of a file on this machine, or a URL that leads there for an hour. Raise Busy."""


class FolderStorage:
    """The folder in which snapshot_create writes snapshots: nothing is copied and nothing removed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, name: str, folder: Path, files: Iterable[PublishedFile], progress: CountDone) -> int:
        return 0

    def remove(self, name: str) -> None:
        pass

    def locate(self, name: str, file: PublishedFile, *, method: str) -> Path | str:
        return self._folder / name / file.path


def snapshot_storage() -> Storage:
    if settings.SNAPSHOT_BUCKET is None:
        return FolderStorage(settings.SNAPSHOT_FOLDER)
    # Late, because boto3 takes a third of a second to import.
    from trees.interchange.snapshots.bucket_storage import bucket_storage

    return bucket_storage(settings.SNAPSHOT_BUCKET, settings.AWS_ACCESS_KEY_ID, settings.AWS_SECRET_ACCESS_KEY)
