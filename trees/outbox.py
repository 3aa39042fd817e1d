"""Telling facts to whoever follows: scores, notices, webhooks, live pages.

A fact is written in the transaction that makes it true. Readers stand above this app, so they are not called: their
jobs are named by settings.OUTBOX_READERS and woken after the commit. A reader keeps its mark on the row, and the clock
starts it as well, so a wake-up that is lost costs time and no fact.
"""

from collections.abc import Sequence

from django.conf import settings

from oasst.core.after_commit import wake
from trees.models import Happening


def tell(happenings: Sequence[Happening]) -> None:
    """Write these facts and wake the readers once the transaction has committed."""
    if happenings:
        Happening.objects.bulk_create(happenings)
        for reader in settings.OUTBOX_READERS:
            wake(reader)
