"""Tell people of new levels: once for each level, however their points move.

`leaderboard` says whose points passed a threshold (`Risen`, and `Moved` for the last minutes), so this costs by what
changed and not by how many people have points.
"""

from typing import Any
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db import transaction
from django.db.models import F, Func, IntegerField, OuterRef, Subquery, Value
from django.db.models.functions import Coalesce

from leaderboard.levels import THRESHOLDS, number_of
from leaderboard.models import Moved, Risen, Standing
from leaderboard.time_frames import Frame
from oasst.core.locks import advisory_lock
from oasst.site.models import Notice, NoticeAccount
from oasst.site.notices.storing import store

BATCH = 200  # people


def tell_levels(*, limit: int = BATCH) -> int:
    """Tell people who have points for a higher level than they were told of; return how many were looked at.

    Several levels at once are one notice, of the highest. The levels of closed accounts are passed over in silence. Two
    statements besides the lock if nobody rose, ten at most.
    """
    with transaction.atomic(durable=True):
        advisory_lock("notices")
        people = {*_take_risen(limit), *_rising(limit)}
        if people:
            _tell(people)
    return len(people)


def _take_risen(limit: int) -> list[UUID]:
    # A row that the leaderboard is writing at this moment is left for the next run.
    rows = Risen.objects.select_for_update(skip_locked=True).order_by("pk")
    people = list(rows.values_list("pk", flat=True)[:limit])
    if people:
        Risen.objects.filter(pk__in=people).delete()
    return people


def _rising(limit: int) -> list[UUID]:
    """Return people who rose since the boards were put in order: at most some hundreds have a row in `Moved`."""
    thresholds = Value(list(THRESHOLDS), output_field=ArrayField(IntegerField()))
    level = Func(F("points"), thresholds, function="width_bucket", output_field=IntegerField())
    told = Subquery(NoticeAccount.objects.filter(person=OuterRef("person_id")).values("level"))
    moved: Any = Moved.objects.filter(frame=Frame.TOTAL, lang="", stands=True, points__gte=THRESHOLDS[1])
    higher = moved.annotate(now=level).filter(now__gt=Coalesce(told, Value(1)))
    return list(higher.order_by("person_id").values_list("person_id", flat=True)[:limit])


def _tell(people: set[UUID]) -> None:
    points = Standing.objects.filter(frame=Frame.TOTAL, lang="", person__in=people, person__is_active=True)
    now = {person_id: number_of(total) for person_id, total in points.values_list("person", "points")}
    told = dict(NoticeAccount.objects.filter(person__in=now).values_list("person", "level"))
    reached = {pk: level for pk, level in sorted(now.items()) if level > told.get(pk, 1)}
    NoticeAccount.objects.bulk_create(
        [NoticeAccount(person_id=person_id, level=level) for person_id, level in reached.items()],
        update_conflicts=True,
        unique_fields=["person"],
        update_fields=["level"],
    )
    store(
        Notice(person_id=person_id, kind=Notice.Kind.LEVEL_REACHED, level=level) for person_id, level in reached.items()
    )
