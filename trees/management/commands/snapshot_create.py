"""manage.py snapshot_create: freeze the data set under a name, and write it as a folder."""

from argparse import ArgumentParser
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings

from oasst.accounts.email_addresses import clean_email
from oasst.accounts.email_owners import find_owner
from oasst.accounts.models import User
from oasst.core.errors import Invalid
from oasst.embedded.commands import ServiceCommand
from trees.interchange.snapshots import filters
from trees.interchange.snapshots.folder import write_folder
from trees.interchange.snapshots.freezing import find_same, freeze
from trees.interchange.snapshots.manifest import MANIFEST, file_facts
from trees.interchange.snapshots.salt import known_pseudonyms, snapshot_pseudonyms
from trees.management.terminal_progress import counter
from trees.models import Snapshot


class Command(ServiceCommand):
    help = (
        "Freeze the data set under a name that can be cited, and write it as a folder: trees, messages and what is "
        "learned from, as JSON Lines (zstd) and Parquet, with a manifest. Only contributions that may be published are "
        "taken in. The same name writes the same bytes again, whatever happened since. Example: ./manage.py "
        "snapshot_create --name 2026.1"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--name", required=True, help="such as 2026.1")
        parser.add_argument(
            "--output", type=Path, metavar="DIR", help="the folder to write; default: snapshots/NAME in OASST_HOME"
        )
        parser.add_argument("--replace", action="store_true", help="replace another snapshot in that folder")
        parser.add_argument(
            "--cutoff", "--cut-off", metavar="DATE", help="leave out contributions from then on; default: now"
        )
        parser.add_argument(
            "--new-salt", action="store_true", help="allow another salt than that of earlier snapshots: all ids change"
        )
        parser.add_argument("--by", metavar="EMAIL", help="the account that the admin shows as its creator")
        filters.add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        name, wanted, cutoff = options["name"], filters.from_options(options), filters.cutoff_from(options)
        snapshot = find_same(name, filters=wanted, pseudonyms=known_pseudonyms(), cutoff=cutoff)
        if snapshot is None:
            snapshot = self._freeze(name, wanted, cutoff, options)
        self._report(snapshot)
        target = options["output"] or settings.SNAPSHOT_FOLDER / snapshot.name
        with counter("Writing", "trees") as progress:
            result = write_folder(snapshot, target, replace=options["replace"], progress=progress)
        self.stdout.write(f"{target} {'is there already, with the same bytes' if result.existed else 'written'}.")
        self.stdout.write(f"SHA-256 of its manifest: {file_facts(target / MANIFEST)['sha256']}")

    def _freeze(self, name: str, wanted: filters.Filters, cutoff: datetime | None, options: dict[str, Any]) -> Snapshot:
        had_salt = bool(settings.SNAPSHOT_SALT) or settings.KEPT_SNAPSHOT_SALT.exists()
        with counter("Freezing", "trees") as progress:
            snapshot = freeze(
                name,
                filters=wanted,
                pseudonyms=snapshot_pseudonyms(),
                cutoff=cutoff,
                new_salt=options["new_salt"],
                created_by=_owner(options["by"]),
                progress=progress,
            )
        if not had_salt:
            self.stderr.write(
                f"A secret for pseudonyms was made: {settings.KEPT_SNAPSHOT_SALT}. Keep a copy: with another one the "
                "ids of the next snapshot would not match these."
            )
        return snapshot

    def _report(self, snapshot: Snapshot) -> None:
        counts = snapshot.counts
        has = ", ".join(f"{number} {kind.replace('_', ' ')}" for kind, number in counts["has"].items())
        self.stdout.write(f"{snapshot.name}, cut-off {snapshot.cutoff:%Y-%m-%d %H:%M} UTC: {has}.")
        for kind, reasons in counts["left_out"].items():
            if reasons:
                why = ", ".join(f"{reason} ({number})" for reason, number in reasons.items())
                self.stdout.write(f"Left out of the {kind}: {why}.")


def _owner(email: str | None) -> User | None:
    """Return whose address this is. Raise Invalid if nobody has it."""
    if email is None:
        return None
    user = find_owner(clean_email(email))
    if user is None:
        raise Invalid(f"Nobody has the address {email}.", code="options", field="by")
    return user
