"""manage.py snapshot_list: all snapshots of the site."""

from typing import Any

from oasst.embedded.commands import ServiceCommand
from trees.models import Snapshot


class Command(ServiceCommand):
    help = "List all snapshots of the data set, newest first."

    def handle(self, *args: Any, **options: Any) -> None:
        for snapshot in Snapshot.objects.order_by("-pk").defer("withdrawn", "card", "manifest"):
            has = ", ".join(f"{number} {kind.replace('_', ' ')}" for kind, number in snapshot.counts["has"].items())
            line = f"{snapshot.name}  {snapshot.cutoff:%Y-%m-%d %H:%M}  {snapshot.source_sha256[:12]}  {has}"
            if snapshot.is_offered:
                line += f"  published {snapshot.published_at:%Y-%m-%d}"
            elif snapshot.state == Snapshot.State.RETRACTED:
                line += f"  retracted {snapshot.retracted_at:%Y-%m-%d}: {snapshot.retract_reason}"
            else:
                line += "  not published"
            self.stdout.write(line)
