"""manage.py snapshot_diff: what changed from one snapshot to another."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from oasst.core.errors import DomainError
from oasst.embedded.commands import ServiceCommand
from trees.interchange.snapshots.comparison import KINDS, compare, open_side
from trees.interchange.snapshots.reading_folders import is_snapshot_folder


class Command(ServiceCommand):
    help = (
        "Tell what changed from one snapshot to another: trees and messages that were added, withdrawn or removed, and "
        "changed texts, decisions and ranks. Each is the name of a frozen snapshot or the folder of a written one; two "
        "folders need no database. Example: ./manage.py snapshot_diff 2026.1 2026.2"
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("first", metavar="A", help="a name or a folder")
        parser.add_argument("second", metavar="B", help="a name or a folder")
        parser.add_argument("--ids", action="store_true", help="list the ids of what changed too")
        parser.add_argument("--json", action="store_true", help="as one JSON object")

    def execute(self, *args: Any, **options: Any) -> str | None:
        if not all(is_snapshot_folder(Path(options[side])) for side in ("first", "second")):
            return super().execute(*args, **options)
        try:
            return BaseCommand.execute(self, *args, **options)
        except DomainError as error:
            raise CommandError(f"{error.message} [{error.code}]") from error

    def handle(self, *args: Any, **options: Any) -> None:
        first, second = open_side(options["first"]), open_side(options["second"])
        found = compare(first, second, keeps_ids=options["ids"]).as_json()
        if options["json"]:
            self.stdout.write(json.dumps({"from": first.name, "to": second.name, **found}, indent=2))
            return
        for kind in KINDS:
            changes = ", ".join(f"{number} {change}" for change, number in found[kind].items())
            self.stdout.write(f"{kind.capitalize()}: {changes or 'no difference'}.")
        for kind, changes in found.get("ids", {}).items():
            for change, ids in changes.items():
                for one in ids:
                    self.stdout.write(f"{kind} {change} {one}")
