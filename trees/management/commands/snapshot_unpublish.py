"""manage.py snapshot_unpublish: stop to offer a snapshot."""

from argparse import ArgumentParser
from typing import Any

from oasst.embedded.commands import ServiceCommand
from trees.interchange.snapshots.publishing import unpublish


class Command(ServiceCommand):
    help = (
        "Stop to offer a snapshot to everybody, and remove its files from the bucket of SNAPSHOT_STORAGE_URL. It stays "
        "frozen and its written folder stays. It can be published again, unless a text in it is withdrawn, purged or "
        "removed until then: after that only a new snapshot can be published. Copies that others made are not deleted. "
        "Example: ./manage.py snapshot_unpublish 2026.1"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")

    def handle(self, *args: Any, **options: Any) -> None:
        snapshot = unpublish(options["name"])
        self.stdout.write(f"{snapshot.name} is not offered any more.")
