"""manage.py flywheel: from a snapshot to a model in the chat."""

from argparse import ArgumentParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.management.base import CommandError

from inference.runs import environment
from inference.training.errors import TrainingError
from oasst.embedded.commands import ServiceCommand

if TYPE_CHECKING:
    from inference.evaluating.gate import Gate
    from oasst.site.flywheel.plan import Plan
    from oasst.site.flywheel.turning import Turned


class Command(ServiceCommand):
    help = (
        "Train a model on a snapshot, compare it with the one it began from, and offer it in the chat if it passes the "
        "gate. Stopped or killed, the same command goes on where it was; what is done is not done twice. "
        "docs/training.md explains it. Example: ./manage.py flywheel --snapshot 2026.1"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        default = settings.OASST_CHAT_MODEL
        parser.add_argument("--snapshot", required=True, metavar="NAME", help="as snapshot_list shows it")
        parser.add_argument(
            "--base", default=default, metavar="MODEL", help=f"the model to begin with; default: {default}"
        )
        parser.add_argument("--plan", type=Path, metavar="FILE", help="the steps and their settings, as YAML")
        parser.add_argument(
            "--set",
            action="append",
            default=[],
            metavar="KEY=VALUE",
            dest="changes",
            help="change the plan, such as sft.epochs=2 or stage=share; repeatable",
        )
        parser.add_argument("--gate", type=Path, metavar="FILE", help="what must not get worse, as YAML; default: ours")
        parser.add_argument(
            "--dry-run", action="store_true", help="say what it would take in time and memory, and keep nothing"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if missing := environment.missing_in_words():
            raise CommandError(missing)
        from inference.evaluating.gate import read_gate  # these need the packages that were looked for
        from oasst.site.flywheel.plan import read_plan

        environment.step_back()
        try:
            plan, gate = read_plan(options["plan"], options["changes"]), read_gate(options["gate"])
            if options["dry_run"]:
                self._say_costs(options["snapshot"], options["base"], plan)
            else:
                self._turn(options["snapshot"], options["base"], plan, gate)
        except TrainingError as error:
            raise CommandError(f"{error.message} [{error.code}]") from error

    def _turn(self, snapshot: str, base: str, plan: "Plan", gate: "Gate") -> None:
        from oasst.site.flywheel.terminal import asked_to_stop, progress_bars
        from oasst.site.flywheel.turning import Terminal, turn

        with asked_to_stop() as asked, progress_bars() as heard:
            turned = turn(snapshot, base, plan, gate, Terminal(self._say, heard, lambda: bool(asked)))
        self._say_end(turned, plan)

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()

    def _say_costs(self, snapshot: str, base: str, plan: "Plan") -> None:
        from oasst.site.flywheel.turning import costs

        for cost in costs(snapshot, base, plan):
            self._say(
                f"{cost.method}: {cost.samples:,} samples, {cost.steps:,} steps, about {_minutes(cost.seconds)}, "
                f"{cost.peak_bytes / 1e9:.1f} GB of memory"
            )

    def _say_end(self, turned: "Turned", plan: "Plan") -> None:
        assert turned.model is not None and turned.evaluation is not None
        for reason in turned.evaluation.reasons:
            self._say(f"  {reason}")
        self._say(f"The report: {settings.OASST_HOME / turned.evaluation.page}")
        if not turned.passed:
            raise CommandError(f"The gate refused {turned.model}. It is kept, and offered to nobody.")
        self._say(f"{turned.model} passed the gate. Who may choose it: {plan.stage}.")


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
