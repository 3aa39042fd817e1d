"""Telling facts to whoever follows: scores, notices, webhooks, live pages.

A fact is written in the transaction that makes it true. Readers stand above this module, so they are not called: their
jobs are named by settings.OUTBOX_READERS, by the mark that each keeps on the row, and woken after the commit where
there is something to read. The clock starts them as well, so a wake-up that is lost costs time and no fact.
"""

from collections.abc import Sequence

from django.conf import settings

from oasst.core.after_commit import wake
from trees.models import Happening

FEW = 5  # so many facts are one of five prepared statements


def tell(happenings: Sequence[Happening]) -> None:
    """Write these facts and wake the readers once the transaction has committed."""
    if happenings:
        if len(happenings) > FEW:
            Happening.objects.bulk_create(happenings)
        else:
            Happening.objects.insert(*happenings)
        for mark, reader in settings.OUTBOX_READERS.items():
            if not all(getattr(one, mark) for one in happenings):
                wake(reader)
