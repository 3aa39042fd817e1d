"""manage.py measure_reads: boards and statistics of a running server. scripts/bench calls it."""

from argparse import ArgumentParser
from typing import Any

from django.core.management import call_command

from leaderboard import cached_statistics
from oasst.accounts.api_clients import create_api_client
from oasst.embedded.commands import ServiceCommand
from oasst.simulation.measuring.reads import measure_reads
from trees.models import Message, MessageTree


class Command(ServiceCommand):
    help = "Measure how long an API client waits for each board and statistic over HTTP, and the CPU of one response."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--base-url", required=True, help="of the server, on the same database")
        parser.add_argument("--people", type=int, nargs="+", default=[1, 8], help="at once (%(default)s)")
        parser.add_argument("--times", type=int, default=50, help="reads of each address by each (%(default)s)")
        parser.add_argument("--trees", type=int, default=10_000, help="made first if there are none (%(default)s)")

    def handle(self, *args: Any, **options: Any) -> None:
        if not MessageTree.objects.exists():
            call_command("make_scale_data", trees=options["trees"], stdout=self.stdout)
        cached_statistics.refresh()
        _, key = create_api_client(name="bench", trusted=True)
        self.stdout.write(f"{MessageTree.objects.count()} trees, {Message.objects.count()} messages")
        for people in options["people"]:
            for line in measure_reads(options["base_url"], key, people=people, times=options["times"]):
                self.stdout.write(line)
