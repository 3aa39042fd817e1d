"""manage.py read_messages: let machines read messages that they have not read, or read them again."""

import time
from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from oasst.core.text.validation import clean_pool_tag
from oasst.core.timestamps import parse_timestamp
from oasst.embedded.commands import ServiceCommand
from trees.enrichment.readers import Reader
from trees.enrichment.registry import readers
from trees.enrichment.rereading import Sweep

PROGRESS_SECONDS = 5


class Command(ServiceCommand):
    help = (
        "Let machines read the messages that they have not read: those from before this was switched on, or those that "
        "were given up. --again also reads what was read before. It can be stopped and run again: it goes on with what "
        "is left. It works beside the running site, whose workers help."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--kind", action="append", metavar="KIND", help="only this kind of reading; repeatable")
        parser.add_argument("--lang", help="only messages filed under this language")
        parser.add_argument("--again", action="store_true", help="also what was read before the command began")
        parser.add_argument(
            "--before", type=_moment, metavar="TIME", help="with --again: what was read before this time (ISO 8601)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        chosen = self._chosen(options["kind"])
        if options["before"] and not options["again"]:
            raise CommandError("--before needs --again.")
        before = (options["before"] or timezone.now()) if options["again"] else None
        lang = clean_pool_tag(options["lang"]) if options["lang"] else None
        sweep = Sweep(chosen, lang=lang, read_before=before)
        shown = time.monotonic()
        try:
            for _ in sweep.batches():
                if time.monotonic() - shown >= PROGRESS_SECONDS:
                    shown = time.monotonic()
                    self.stderr.write(sweep.progress())
        except KeyboardInterrupt:
            again = f" with --again --before {before.isoformat()}" if before else ""
            raise CommandError(f"Stopped. {sweep.progress()} To go on, run it again{again}.") from None
        self.stdout.write(sweep.progress())
        for kind, reason in sweep.unavailable.items():
            self.stderr.write(f"{kind}: unavailable now ({reason}). The texts wait; workers read them later.")

    def _chosen(self, kinds: list[str] | None) -> list[Reader]:
        enabled = readers()
        if not enabled:
            raise CommandError("Nothing reads messages on this site: OASST_SCORING is off.")
        for kind in kinds or ():
            if kind not in enabled:
                raise CommandError(f"Nothing reads {kind!r} on this site. Enabled: {', '.join(sorted(enabled))}.")
        return [enabled[kind] for kind in dict.fromkeys(kinds or enabled)]


def _moment(text: str) -> datetime:
    return parse_timestamp(text, zone=timezone.get_current_timezone())
