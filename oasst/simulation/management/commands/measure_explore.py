"""manage.py measure_explore: how long the searches of /explore/ take. scripts/bench calls it."""

from argparse import ArgumentParser
from typing import Any

from django.core.management import call_command
from django.db import connection

from oasst.embedded.commands import ServiceCommand
from oasst.simulation.measuring import exploring, finding, meaning
from trees.models import Message, MessageEmbedding, MessageTree


class Command(ServiceCommand):
    help = "Measure each kind of search on /explore/, with rendering and without a network."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--trees", type=int, default=115_000, help="made first if there are none (%(default)s)")
        parser.add_argument("--times", type=int, default=30, help="of each search (%(default)s)")
        parser.add_argument(
            "--meaning", type=int, default=0, help="search by meaning among so many English messages, not by words"
        )

        parser.add_argument("--admin", action="store_true", help="measure the search of moderators instead, with plans")

    def handle(self, *args: Any, **options: Any) -> None:
        if not MessageTree.objects.exists():
            call_command("make_scale_data", trees=options["trees"], stdout=self.stdout)
        self.stdout.write(f"{MessageTree.objects.count()} trees, {Message.objects.count()} messages")
        if options["admin"]:
            finding.prepare()
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE trees_message, trees_messagetree, trees_reaction, trees_messagereading")
        if options["admin"]:
            self.stdout.write("\n".join(finding.measure(options["times"]).table()))
            self.stdout.write("\n".join(finding.plans()))
        elif options["meaning"]:
            number = MessageEmbedding.objects.count() or meaning.fill(options["meaning"], seed=1)
            self.stdout.write(f"{number} vectors")
            self.stdout.write("\n".join(meaning.measure(options["times"]).table()))
        else:
            self.stdout.write("\n".join(exploring.measure(options["times"]).table()))
