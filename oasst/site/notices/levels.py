"""Tell people of new levels: once for each level, however their points move."""

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import transaction
from django.db.models import F, Func, IntegerField, OuterRef, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce

from leaderboard.levels import THRESHOLDS
from leaderboard.models import Standing
from leaderboard.time_frames import Frame
from oasst.core.locks import advisory_lock
from oasst.site.models import Notice, NoticeAccount
from oasst.site.notices import bell

BATCH = 200  # people


def tell_levels(*, limit: int = BATCH) -> int:
    """Tell people who have points for a higher level than they were told of; return how many. Six statements.

    Several levels at once are one notice, of the highest. The levels of closed accounts are passed over in silence.
    """
    with transaction.atomic(durable=True):
        advisory_lock("notices")
        reached = {row.person_id: row.now for row in _risen()[:limit]}
        if not reached:
            return 0
        rows = [NoticeAccount(person_id=person_id, level=level) for person_id, level in reached.items()]
        NoticeAccount.objects.bulk_create(
            rows, update_conflicts=True, unique_fields=["person"], update_fields=["level"]
        )
        accounts = NoticeAccount.objects.filter(person__in=reached, person__is_active=True, person__deleted_at=None)
        listeners = accounts.exclude(muted__contains=[Notice.Kind.LEVEL_REACHED]).values_list("person", "level")
        Notice.objects.bulk_create(
            [Notice(person_id=pk, kind=Notice.Kind.LEVEL_REACHED, level=level) for pk, level in listeners],
            ignore_conflicts=True,
        )
        bell.forget(reached)
    return len(reached)


def _risen() -> QuerySet[Any]:
    """Return the standings of people whose level (`now`) is higher than the one that they were told of."""
    thresholds = Value(list(THRESHOLDS), output_field=ArrayField(IntegerField()))
    level = Func(F("points"), thresholds, function="width_bucket", output_field=IntegerField())
    told = Subquery(NoticeAccount.objects.filter(person=OuterRef("person")).values("level"))
    standings = Standing.objects.filter(frame=Frame.TOTAL, lang="", points__gte=THRESHOLDS[1])
    return standings.annotate(now=level).filter(now__gt=Coalesce(told, Value(1))).order_by("person")
