"""Counting everything again."""

from typing import Any

from leaderboard import rebuild
from oasst.embedded.commands import ServiceCommand


class Command(ServiceCommand):
    help = (
        "Make tallies, boards and streaks again from the data set. They follow by themselves; this is for after a "
        "restore or a change of the rules. People see the old boards until the new ones are whole."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"{rebuild.rebuild()} trees counted.")
