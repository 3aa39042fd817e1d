"""manage.py audit_verify: check that nobody changed or removed entries of the audit log."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from oasst.core.audit import chain
from oasst.embedded.commands import ServiceCommand


class Command(ServiceCommand):
    help = (
        "Compute the chain of hashes of the audit log again, print each fault, and exit with 1 if there are any. Ends "
        "with the head of the chain; keep it outside of the database, and give it to --head the next time: without it "
        "nobody can see that the end of the log, or all of it, was replaced. Changes nothing and can run beside a busy "
        "site."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--head", metavar="POSITION:HASH", help="a head that was kept, which must be in the chain")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            kept = chain.Head.parse(options["head"]) if options["head"] else None
        except ValueError as error:
            raise CommandError(str(error)) from None
        number = 0
        for fault in chain.verify(kept):
            self.stdout.write(str(fault))
            number += 1
        if number:
            raise CommandError(f"{number} {'fault' if number == 1 else 'faults'} in the audit log.")
        self.stdout.write(f"The audit log is whole. Its head: {chain.head()}")
