"""manage.py snapshot_verify: check a folder that snapshot_create wrote. Needs no database."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from trees.interchange.snapshots.manifest import MANIFEST, file_facts
from trees.interchange.snapshots.verification import find_problems
from trees.management.file_command import FileCommand
from trees.management.terminal_progress import counter


class Command(FileCommand):
    help = (
        "Check a folder that snapshot_create wrote, without a database: each file against the manifest, and all rows "
        "against the frozen trees, from which they are computed again. Names everything that is changed, missing or "
        "too many. Example: ./manage.py snapshot_verify var/snapshots/2026.1"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        folder, problems = options["folder"], 0
        with counter("Checking", "trees") as progress:
            for problem in find_problems(folder, progress=progress):
                self.stdout.write(problem)
                problems += 1
        if problems:
            raise CommandError(f"{folder} is not what was published: {problems} problems.")
        digest = file_facts(folder / MANIFEST)["sha256"]
        self.stdout.write(f"{folder} is complete and unchanged. SHA-256 of its manifest: {digest}")
