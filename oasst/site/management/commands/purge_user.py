"""manage.py purge_user: take away all that one person gave, or bring it back."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from oasst.accounts.management.people import person_named
from oasst.embedded.commands import ServiceCommand
from oasst.site import purging
from trees.lifecycle.policy import current_policy
from trees.models import Purge


class Command(ServiceCommand):
    help = (
        "Take everything that a person gave out of sight and out of the counts, and shut the person out. Can be undone "
        "for 30 days with --undo. --preview says what would happen and changes nothing. A run that was stopped is "
        "ended by running it again, or by the clock."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("person", help="the e-mail address or the id of the person")
        parser.add_argument("--by", required=True, help="the e-mail address or the id of the moderator who decides it")
        parser.add_argument("--reason", default="", help="why; the person reads it")
        which = parser.add_mutually_exclusive_group()
        which.add_argument("--preview", action="store_true", help="only say what would go")
        which.add_argument("--undo", action="store_true", help="bring everything back")

    def handle(self, *args: Any, **options: Any) -> None:
        person, actor = person_named(options["person"]), person_named(options["by"])
        policy = current_policy()
        if options["preview"]:
            self._say(purging.preview(person=person, actor=actor, policy=policy))
            return
        standing = Purge.objects.filter(person=person, stage__in=Purge.STANDING).first()
        if options["undo"]:
            if standing is None:
                raise CommandError("There is no purge of this person to undo.")
            purging.undo(purge_id=standing.pk, actor=actor, reason=options["reason"])
            purging.go_on(purge_id=standing.pk, policy=policy)
            self.stdout.write("Everything is back.")
            return
        if standing is None or standing.stage != Purge.Stage.RUNNING:
            standing = purging.begin(person=person, actor=actor, reason=options["reason"])
        self._say(purging.go_on(purge_id=standing.pk, policy=policy).counts)

    def _say(self, counts: dict[str, int]) -> None:
        for label, number in purging.in_words(counts):
            self.stdout.write(f"{number:8} {label}")
