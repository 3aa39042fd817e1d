"""The four time frames of boards."""

from datetime import datetime, timedelta
from enum import StrEnum


class Frame(StrEnum):
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    TOTAL = "total"


DAYS = {Frame.WEEK: 7, Frame.MONTH: 30}


def hour_of(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def day_of(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def since(frame: Frame, now: datetime) -> datetime | None:
    """Return the start of the frame, as on the wire; None for all time. `now` is in UTC.

    Work is counted by the hour, so the last 24 hours begin at the full hour before.
    """
    if frame == Frame.TOTAL:
        return None
    if frame == Frame.DAY:
        return hour_of(now - timedelta(hours=24))
    return day_of(now) - timedelta(days=DAYS[frame])
