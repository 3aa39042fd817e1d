"""manage.py purge_user: remove everything that a user contributed, or restore it."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from oasst.accounts.management.people import require_named
from oasst.embedded.commands import ServiceCommand
from oasst.site import purging
from trees.models import Purge
from trees.policies.reading import current_policy


class Command(ServiceCommand):
    help = (
        "Hide everything that a person contributed, take it out of the counts, and suspend the person. Can be undone "
        "for 30 days with --undo. --preview shows what would happen and changes nothing. An interrupted run continues "
        "when it is run again, or by a periodic job."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("person", help="the e-mail address or the id of the person")
        parser.add_argument("--by", required=True, help="the e-mail address or the id of the moderator who decides it")
        parser.add_argument("--reason", default="", help="why; the person reads it")
        which = parser.add_mutually_exclusive_group()
        which.add_argument("--preview", action="store_true", help="only show what would be removed")
        which.add_argument("--undo", action="store_true", help="restore everything")

    def handle(self, *args: Any, **options: Any) -> None:
        person, actor = require_named(options["person"]), require_named(options["by"])
        policy = current_policy()
        if options["preview"]:
            self._print(purging.preview_purge(user=person, actor=actor, policy=policy))
            return
        purge = Purge.objects.filter(person=person, stage__in=Purge.ACTIVE_STAGES).first()
        if options["undo"]:
            if purge is None:
                raise CommandError("There is no purge of this person to undo.")
            purging.undo_purge(purge_id=purge.pk, actor=actor, reason=options["reason"])
            purging.continue_purge(purge_id=purge.pk, policy=policy)
            self.stdout.write("Everything is back.")
            return
        if purge is None or purge.stage != Purge.Stage.RUNNING:
            purge = purging.start_purge(user=person, actor=actor, reason=options["reason"])
        self._print(purging.continue_purge(purge_id=purge.pk, policy=policy).counts)

    def _print(self, counts: dict[str, int]) -> None:
        for label, number in purging.labeled_counts(counts):
            self.stdout.write(f"{number:8} {label}")
