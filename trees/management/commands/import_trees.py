"""manage.py import_trees: message trees from files of any known format."""

from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from typing import Any

from django.db import transaction

from oasst.core.audit.recording import record
from oasst.embedded.commands import ServiceCommand
from trees import acts
from trees.interchange.importer import ImportResult, clean_license, import_files
from trees.interchange.reading.formats import FORMATS
from trees.management.terminal_progress import progress_bar
from trees.policies.reading import current_policy

_SHOWN = 12


class Command(ServiceCommand):
    help = (
        "Import conversations from files: OASST trees and messages (OASST1, OASST2, exports, snapshots), ShareGPT, "
        "LMSYS-like chats, HH-RLHF pairs; as JSON Lines, a JSON array or Parquet, plain, .gz or .zst. Texts, ranks, "
        "reactions and unknown keys are stored as the file has them. All files are checked first: a bad line is named, "
        "and then nothing is imported. Trees that already exist are skipped, so importing twice is harmless, and an "
        "import that was interrupted is finished by running it again. To export such a file again: export_trees "
        "--include-synthetic, since trees with machine-made text stay out otherwise. Example: ./manage.py import_trees "
        "tests/data/trees_en_50.jsonl"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--backlog",
            action="store_true",
            help="let them wait for ranking here, whatever state the files give: rankers get the oldest first while "
            "they have room; trees without two accepted replies to one message are not accepted",
        )
        parser.add_argument(
            "--license",
            "--licence",
            metavar="SPDX",
            help="under which the files may be published, such as CC-BY-4.0, Apache-2.0 or LicenseRef-our-agreement; "
            "without one, snapshots leave these messages out. Given for files that are here already, it is added",
        )
        parser.add_argument(
            "--format",
            choices=[one.name for one in FORMATS],
            help="of all files, if it is not to be recognized. "
            + "; ".join(f"{one.name}: {one.description}" for one in FORMATS),
        )
        group = parser.add_mutually_exclusive_group()
        group.add_argument(
            "--dry-run", action="store_true", help="check the files, report what would be imported, and write nothing"
        )
        group.add_argument(
            "--skip-refused", action="store_true", help="import what can be imported, and list the lines that cannot"
        )
        parser.add_argument("files", nargs="+", type=Path, metavar="FILE")

    def handle(self, *args: Any, **options: Any) -> None:
        result = import_files(
            options["files"],
            policy=current_policy(),
            to_backlog=options["backlog"],
            license=clean_license(options["license"]),
            format_name=options["format"],
            skip_refused=options["skip_refused"],
            dry_run=options["dry_run"],
            progress=progress_bar,
        )
        if result.trees and not options["dry_run"]:
            with transaction.atomic():
                numbers = {"trees": result.trees, "messages": result.messages, "license": options["license"]}
                record(acts.IMPORT, "trees.messagetree", after=numbers)
        for refusal in result.refusals:
            self.stderr.write(f"Refused: {refusal}")
        if result.refused > len(result.refusals):
            self.stderr.write(f"… and {result.refused - len(result.refusals)} more.")
        if options["dry_run"]:
            self._report(result)
        refused = f", {result.refused} lines refused" if result.refused else ""
        done = "to import" if options["dry_run"] else "imported"
        self.stdout.write(
            f"{result.trees} trees with {result.messages} messages {done}, {result.skipped} already here{refused}."
        )
        if result.licensed:
            self.stdout.write(f"{result.licensed} of those have this license now.")
        if result.other_license:
            self.stdout.write(f"{result.other_license} of those keep another license that they have.")

    def _report(self, result: ImportResult) -> None:
        self.stdout.write(f"Formats: {', '.join(sorted(result.formats)) or 'none'}.")
        self.stdout.write(f"Messages by language: {_counts(result.languages)}.")
        self.stdout.write(f"Trees by state: {_counts(result.states)}.")


def _counts(counter: Counter[str]) -> str:
    shown = ", ".join(f"{name} ({number})" for name, number in counter.most_common(_SHOWN))
    return f"{shown}, …" if len(counter) > _SHOWN else shown or "none"
