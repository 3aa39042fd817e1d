"""manage.py evaluate: measure a model on the held-out part of a snapshot, and ask a gate."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from inference.models import Evaluation
from inference.training.errors import TrainingError
from oasst.embedded.commands import ServiceCommand
from oasst.site.flywheel.evaluating import ask
from trees.management.terminal_progress import counter


class Command(ServiceCommand):
    help = (
        "Measure a model on the part of a snapshot that it was not trained on, beside another model, and ask a gate "
        "whether it may be served. Ends with 1 if the gate refuses it. The same question again gives the same report "
        "at once. Example: ./manage.py evaluate smollm2-135m-2026.1-sft --against smollm2-135m-instruct "
        "--snapshot 2026.1"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("model", help="its name in the registry, a known one that was fetched, or a folder")
        parser.add_argument("--against", default="", metavar="MODEL", help="the model it is compared with")
        parser.add_argument("--snapshot", required=True, metavar="NAME", help="as snapshot_list shows it")
        parser.add_argument(
            "--reward", default="", metavar="MODEL", help="a reward model that judges: a folder, or the id of its run"
        )
        gate = parser.add_mutually_exclusive_group()
        gate.add_argument("--gate", type=Path, metavar="FILE", help="rules as YAML; default: default_gate.yaml")
        gate.add_argument("--no-gate", action="store_true", help="only measure")
        parser.add_argument("--config", type=Path, metavar="FILE", help="settings as YAML")
        parser.add_argument(
            "--set", action="append", default=[], metavar="KEY=VALUE", dest="changes", help="one setting; repeatable"
        )
        parser.add_argument("--json", action="store_true", help="the figures and the verdict as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with counter("Writing the snapshot", "trees") as progress:
                found = ask(
                    model=options["model"],
                    against=options["against"],
                    snapshot=options["snapshot"],
                    reward=options["reward"],
                    gate_file=options["gate"],
                    has_gate=not options["no_gate"],
                    settings_file=options["config"],
                    changes=options["changes"],
                    progress=progress,
                    say=self.stderr.write,
                )
        except TrainingError as error:
            raise CommandError(f"{error.message} [{error.code}]") from error
        if options["json"]:
            self.stdout.write(json.dumps(_as_json(found), indent=2, ensure_ascii=False))
        else:
            self._report(found)
        if found.passed is False:
            raise CommandError(f"The gate refuses {found.model_id}. The report is {_page(found)}.")

    def _report(self, found: Evaluation) -> None:
        for reason in found.reasons:
            self.stdout.write(f"{'✓' if found.passed else '✗'} {reason}")
        if found.passed:
            self.stdout.write(f"The gate lets {found.model_id} pass.")
        if found.passed is not False:
            self.stdout.write(f"The report is {_page(found)}.")


def _page(found: Evaluation) -> Path:
    return Path(settings.OASST_HOME / found.page)


def _as_json(found: Evaluation) -> dict[str, Any]:
    return {
        "id": str(found.pk),
        "model": found.model_id,
        "against": found.against_id,
        "snapshot": found.snapshot,
        "passed": found.passed,
        "reasons": found.reasons,
        "page": str(_page(found)),
        "report": found.report,
    }
