"""How long notices are kept. Deleting one tells nobody twice: its event is marked, and levels are remembered."""

from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from oasst.site.models import Notice

KEPT = timedelta(days=365)
BATCH = 1000


def delete_old(now: datetime | None = None) -> int:
    """Delete one batch of the notices older than `KEPT`; return how many. Two statements.

    Reads the oldest rows by their id, which grows with time, so it costs by what is old.
    """
    limit = (now or timezone.now()) - KEPT
    with transaction.atomic(durable=True):
        oldest = list(Notice.objects.order_by("pk").values_list("pk", "created_at")[:BATCH])
        old = [pk for pk, created_at in oldest if created_at < limit]
        if old:
            Notice.objects.filter(pk__in=old).delete()
    return len(old)
