"""manage.py rebuild_scores: count all scores again."""

from typing import Any

from leaderboard import rebuild
from oasst.embedded.commands import ServiceCommand


class Command(ServiceCommand):
    help = (
        "Rebuild tallies, boards and streaks from the data set. Normally they are always up to date; use this after a "
        "restore or a change of the rules. Users see the old boards until the new ones are complete."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"{rebuild.rebuild()} trees counted.")
