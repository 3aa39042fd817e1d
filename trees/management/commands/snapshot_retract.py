"""manage.py snapshot_retract: delete the frozen trees of a snapshot for good."""

from argparse import ArgumentParser
from typing import Any

from oasst.embedded.commands import ServiceCommand
from trees.interchange.snapshots.freezing import retract
from trees.interchange.snapshots.publishing import remove_files


class Command(ServiceCommand):
    help = (
        "Delete the frozen trees of a snapshot for good, for example because the law demands it. It cannot be written "
        "again; its name, manifest and counts stay. It is not offered any more, its page tells the reason, and its "
        "files are removed from the bucket of SNAPSHOT_STORAGE_URL; if that fails, snapshot_unpublish repeats it. "
        "Folders that were written, and copies elsewhere, are not deleted. "
        'Example: ./manage.py snapshot_retract 2026.1 --reason "Court order 12/26."'
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--reason", required=True, help="shown to everybody who asks for the snapshot")

    def handle(self, *args: Any, **options: Any) -> None:
        snapshot = retract(options["name"], reason=options["reason"])
        # Before the storage is asked, which may fail.
        self.stdout.write(f"{snapshot.name} was retracted. Delete its written folders yourself.")
        remove_files(snapshot.name)
