"""manage.py push_model: push a model to the Hugging Face hub."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings

from inference.models import ServedModel
from inference.registry.lineage import lineage_of
from inference.registry.pushing import push
from oasst.embedded.commands import ServiceCommand
from trees.interchange.snapshots.citation import bibtex
from trees.models import Snapshot


class Command(ServiceCommand):
    help = (
        "Push a model to a repository of the Hugging Face hub, as one commit, with a model card that names what it was "
        "trained on, its license and its evaluation. The repository is made if there is none. The token is read from "
        "HF_TOKEN. May be repeated. Example: ./manage.py push_model smollm2-135m-2026.1-sft ORG/NAME"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument("repository", metavar="ORG/NAME")
        parser.add_argument("--endpoint", metavar="URL", help="another hub; default: https://huggingface.co")
        parser.add_argument("--private", action="store_true", help="if the repository is made: for its members alone")

    def handle(self, *args: Any, **options: Any) -> None:
        row = ServedModel.objects.filter(name=options["name"]).first()
        names = [one.run.snapshot for one in lineage_of(row) if one.run is not None] if row is not None else []
        done = push(
            options["name"],
            options["repository"],
            token=settings.HF_TOKEN,
            citations={one.name: bibtex(one) for one in Snapshot.objects.filter(name__in=names)},
            endpoint=options["endpoint"],
            private=options["private"],
        )
        state = "was pushed" if done.is_new else "is there already"
        self.stdout.write(f"{options['name']} {state}: {done.url} (commit {done.commit[:12]})")
