"""manage.py snapshot_push: push a snapshot to the Hugging Face hub."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings

from oasst.embedded.commands import ServiceCommand
from trees.interchange.snapshots.chats import refuse_chats
from trees.interchange.snapshots.folder import write_folder
from trees.interchange.snapshots.frozen import get_frozen
from trees.interchange.snapshots.hub import push
from trees.interchange.snapshots.withdrawals import refuse_withdrawn
from trees.management.terminal_progress import counter


class Command(ServiceCommand):
    help = (
        "Push a frozen snapshot to a data set repository of the Hugging Face hub, as one commit with the name of the "
        "snapshot as its tag. The repository is made if there is none; earlier snapshots stay in its history. The "
        "token is read from HF_TOKEN. May be repeated. Example: ./manage.py snapshot_push 2026.1 --repo ORG/NAME"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--repo", required=True, metavar="ORG/NAME")
        parser.add_argument("--endpoint", metavar="URL", help="another hub; default: https://huggingface.co")
        parser.add_argument("--private", action="store_true", help="if the repository is made: for its members alone")

    def handle(self, *args: Any, **options: Any) -> None:
        snapshot = get_frozen(options["name"])
        refuse_chats(snapshot)
        refuse_withdrawn(snapshot)
        folder = settings.SNAPSHOT_FOLDER / snapshot.name
        with counter("Writing", "trees") as progress:
            write_folder(snapshot, folder, progress=progress)
        done = push(
            folder,
            snapshot.name,
            options["repo"],
            token=settings.HF_TOKEN,
            endpoint=options["endpoint"],
            private=options["private"],
        )
        state = "was pushed" if done.is_new else "is there already"
        self.stdout.write(f"{snapshot.name} {state}: {done.url} (commit {done.commit[:12]})")
