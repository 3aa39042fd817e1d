"""manage.py measure: what tasks, pages and exports cost on the current database. scripts/bench calls it."""

import os
import subprocess
import sys
import time
from argparse import ArgumentParser
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError

from oasst.embedded.commands import ServiceCommand
from oasst.simulation.measuring.pages import measure_pages
from oasst.simulation.measuring.processor import Stolen
from oasst.simulation.measuring.tasks import THREADS, measure_tasks
from trees.models import Message, MessageTree
from trees.policies.reading import current_policy

WHAT = ("tasks", "pages", "export")


class Command(ServiceCommand):
    help = (
        "Measure on the data of make_scale_data: asking for work and answering at a fixed rate, each page, the memory "
        "of an export. Its users do real work meanwhile, so do not run it on a site with real users."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("what", nargs="+", choices=WHAT)
        parser.add_argument("--trees", type=int, default=100_000, help="made first if there are none (%(default)s)")
        parser.add_argument("--active", type=int, default=300, help="of these, as in make_scale_data (%(default)s)")
        parser.add_argument("--rate", type=float, default=20, help="tasks: calls a second (%(default)s)")
        parser.add_argument("--seconds", type=float, default=60, help="tasks: for how long (%(default)s)")
        parser.add_argument("--people", type=int, default=200, help="tasks: how many take part (%(default)s)")
        parser.add_argument("--times", type=int, default=40, help="pages: visits of each (%(default)s)")
        parser.add_argument("--seed", type=int, default=1, help="tasks: of the people's choices (%(default)s)")

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.RATE_LIMITS:
            raise CommandError("Start this with RATE_LIMITS=off: the simulated users are faster than the limits allow.")
        if not MessageTree.objects.exists():
            call_command("make_scale_data", trees=options["trees"], active=options["active"], stdout=self.stdout)
        self.stdout.write(f"{MessageTree.objects.count()} trees, {Message.objects.count()} messages")
        for what in options["what"]:
            load = " ".join(f"{load:.1f}" for load in os.getloadavg())
            self.stdout.write(f"\n{what} (load before: {load}; milliseconds)")
            stolen = Stolen()
            getattr(self, f"_{what}")(options)
            self.stdout.write(f"{stolen} meanwhile")

    def _tasks(self, options: dict[str, Any]) -> None:
        run = measure_tasks(
            policy=current_policy(),
            **{name: options[name] for name in ("people", "rate", "seconds", "seed")},
        )
        self.stdout.write("\n".join(run.timings.table()))
        self.stdout.write(
            f"{options['rate']:.0f} calls a second in {THREADS} threads; {run.refused} refused, "
            f"at most {1000 * run.latest:.0f} ms late"
        )

    def _pages(self, options: dict[str, Any]) -> None:
        visits = measure_pages(policy=current_policy(), times=options["times"])
        self.stdout.write("\n".join(visits.table()))
        self.stdout.write(f"as a user with {Message.objects.filter(author=visits.user).count()} messages")

    def _export(self, options: dict[str, Any]) -> None:
        """Measure in a child process, since making the trees may have left this one large."""
        everything = ["--state", "all", "--include-rejected", "--include-synthetic"]
        for what, name, *words in (
            ("with labels", "trees.jsonl", "export_trees"),
            ("with events too", "trees.jsonl", "export_trees", "--export-events"),
            ("as rows", "messages.jsonl", "export_messages"),
            ("as Parquet", "messages.parquet", "export_messages"),
        ):
            with TemporaryDirectory() as folder:
                output = Path(folder) / name
                began = time.perf_counter()
                command = [sys.executable, str(settings.BASE_DIR / "manage.py"), *words, *everything]
                child = subprocess.Popen([*command, "--output", str(output)])
                _, status, usage = os.wait4(child.pid, 0)
                took = time.perf_counter() - began
                if status:
                    raise CommandError("The export failed.")
                size = output.stat().st_size
            memory = usage.ru_maxrss // 1024
            self.stdout.write(f"{what}: {size / 1e6:.0f} MB in {took:.0f} s; at most {memory} MiB in its process")
