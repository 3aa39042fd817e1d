"""manage.py snapshot_publish: offer a snapshot to everybody."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings

from oasst.embedded.commands import ServiceCommand
from trees.interchange.snapshots.publishing import publish
from trees.management.terminal_progress import counter


class Command(ServiceCommand):
    help = (
        "Offer a frozen snapshot to everybody, at /data/NAME/ and by the API. Its folder is written if it is not "
        "there; if SNAPSHOT_STORAGE_URL names a bucket, the files are uploaded to it. May be repeated: only what is "
        "missing is done. Example: ./manage.py snapshot_publish 2026.1"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")

    def handle(self, *args: Any, **options: Any) -> None:
        with counter("Writing", "trees") as written, counter("Uploading", "files") as uploaded:
            done = publish(options["name"], written=written, uploaded=uploaded)
        name = done.snapshot.name
        if settings.SNAPSHOT_BUCKET is not None:
            self.stdout.write(f"{done.uploaded} of {done.files} files were uploaded; the others were there already.")
        state = "is published" if done.is_new else "was published already"
        self.stdout.write(f"{name} {state}: {settings.PUBLIC_URL}/data/{name}/")
