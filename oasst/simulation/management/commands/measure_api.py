"""manage.py measure_api: API clients against a running server. scripts/bench calls it."""

from argparse import ArgumentParser
from typing import Any

from django.core.management import call_command
from django.core.management.base import CommandError

from oasst.accounts.api_clients import create_api_client
from oasst.embedded.commands import ServiceCommand
from oasst.simulation.measuring.api import measure_api
from oasst.site.invariants import find_differences
from tasks.models import Task
from trees.models import MessageTree
from trees.policies.reading import current_policy


class Command(ServiceCommand):
    help = (
        "Users of an API client do whole cycles over HTTP: ask, acknowledge, answer. Prints tasks per second and the "
        "time of each call; fails on any 5xx except 'no work', on an answer that was lost or stored twice, and on a "
        "broken invariant."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--base-url", required=True, help="of the server, on the same database")
        parser.add_argument("--people", type=int, nargs="+", default=[1, 8, 32], help="at once (%(default)s)")
        parser.add_argument("--tasks", type=int, default=320, help="of all of them together (%(default)s)")
        parser.add_argument("--langs", nargs="+", default=["en"], help="of the people, in turns (%(default)s)")
        parser.add_argument("--trees", type=int, default=0, help="made first if there are none (%(default)s)")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["trees"] and not MessageTree.objects.exists():
            call_command("make_scale_data", trees=options["trees"], stdout=self.stdout)
        client, key = create_api_client(name="bench")
        self.stdout.write(f"{MessageTree.objects.count()} trees")
        for people in options["people"]:
            rounds = max(1, options["tasks"] // people)
            contributors = {"people": people, "langs": options["langs"], "prefix": f"p{people}-"}
            measure_api(options["base_url"], key, rounds=range(1), **contributors)  # warm up: creates the users
            run = measure_api(options["base_url"], key, rounds=range(1, rounds + 1), **contributors)
            self.stdout.write(f"\n{people} at once: {len(run.answered) / run.seconds:.1f} tasks a second")
            self.stdout.write(run.processor())
            self.stdout.write("\n".join(run.table()))
            self.stdout.write("\n".join(run.written))
            self.stdout.write(f"statuses: {dict(sorted(run.statuses.items()))}")
            if run.troubles:
                raise CommandError("\n".join(run.troubles[:10]))
            done = Task.objects.filter(pk__in=run.answered, api_client=client, status=Task.Status.DONE).count()
            if done != len(run.answered) or len(set(run.answered)) != done:
                raise CommandError(f"{len(run.answered)} answers were taken, {done} are stored.")
        if differences := list(find_differences(current_policy())):
            raise CommandError("\n".join(map(str, differences[:10])))
        self.stdout.write("No answer lost or stored twice; check_invariants is clean.")
