"""manage.py train: ask for a training on a snapshot, or do it here."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from inference.models import TrainingRun
from inference.registry.models import register_done
from inference.runs import asking, environment, leases
from inference.training.errors import TrainingError
from oasst.core.command_lines import manage_command
from oasst.embedded.commands import ServiceCommand
from oasst.site.flywheel.terminal import asked_to_stop, progress_bars
from trees.management.terminal_progress import counter

State = TrainingRun.State


class Command(ServiceCommand):
    help = (
        "Train a model on a snapshot. The same command again gives the same training: done before, it is not done "
        "again; interrupted, it goes on from its checkpoint. Example: ./manage.py train sft --snapshot 2026.1 --base "
        "smollm2-135m-instruct --set epochs=2 --wait"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("method", help="sft, reward, dpo, kto, grpo or rloo, see docs/training.md")
        parser.add_argument("--snapshot", required=True, metavar="NAME", help="as snapshot_list shows it")
        parser.add_argument(
            "--base", required=True, metavar="MODEL", help="a known model, one that was trained here, or a folder"
        )
        parser.add_argument("--config", type=Path, metavar="FILE", help="settings as YAML")
        parser.add_argument(
            "--set", action="append", default=[], metavar="KEY=VALUE", dest="changes", help="one setting; repeatable"
        )
        parser.add_argument("--wait", action="store_true", help="do it here, now, and show how far it is")

    def handle(self, *args: Any, **options: Any) -> None:
        if missing := environment.missing_in_words():
            raise CommandError(missing)
        from oasst.site.flywheel.training import ask  # needs the packages that were looked for

        try:
            with counter("Writing the snapshot", "trees") as progress:
                run = ask(
                    method=options["method"],
                    snapshot=options["snapshot"],
                    base=options["base"],
                    config_file=options["config"],
                    changes=options["changes"],
                    progress=progress,
                )
        except TrainingError as error:
            raise CommandError(f"{error.message} [{error.code}]") from error
        if run.state in (State.WAITING, State.RUNNING) and options["wait"]:
            run = self._work(run)
        self._report(run)

    def _work(self, run: TrainingRun) -> TrainingRun:
        from inference.runs import working

        environment.step_back()
        with asked_to_stop() as asked, progress_bars() as heard:
            run = working.work(
                run,
                owner=leases.new_owner(),
                must_stop=lambda: bool(asked),
                heard=lambda progress: heard(run, progress),
            )
        if run.state == State.WAITING:  # else a trainer would take it up again at once
            run = asking.stop(run.pk, None, "Ctrl-C or SIGTERM.")
        return run

    def _report(self, run: TrainingRun) -> None:
        match run.state:
            case State.DONE:
                self.stdout.write(f"{run}: done after {run.step} steps.")
                self.stdout.write(f"Its model is in {settings.OASST_HOME / run.folder}{_called(run)}.")
            case State.FAILED:
                raise CommandError(f"{run.error} [{run.error_code}]")
            case State.STOPPED:
                self.stdout.write(f"Stopped at step {run.step}. The same command goes on from there.")
            case State.RUNNING:
                self.stdout.write(f"{run} runs already: step {run.step:,} of {run.steps:,}. The admin shows how far.")
            case _:
                self.stdout.write(f"{run} waits. {_who_does_it()}")


def _called(run: TrainingRun) -> str:
    model = register_done(run)
    return f" and called {model}" if model is not None else ""


def _who_does_it() -> str:
    if settings.OASST_TRAINING:
        return "The trainer of this site does it (`./manage.py run_trainer`, which `up` runs); the admin shows how far."
    here = manage_command("run_trainer --once")
    return f"Training is off on this site: `OASST_TRAINING=on {here}` does it, or the same command with --wait."
