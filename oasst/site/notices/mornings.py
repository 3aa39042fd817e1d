"""When a digest is due: in the morning of the person's time zone, a day or a week after the one before."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from oasst.site.models import NoticeAccount

Digest = NoticeAccount.Digest
MORNING = range(7, 11)  # hours of the person's day
# A little less than a day and a week: the clock looks once an hour.
PAUSES = {Digest.DAILY: timedelta(hours=20), Digest.WEEKLY: timedelta(days=6, hours=20)}


def is_morning(moment: datetime, zone: ZoneInfo) -> bool:
    return moment.astimezone(zone).hour in MORNING


def next_digest_at(account: NoticeAccount, zone: ZoneInfo, now: datetime) -> datetime | None:
    """Return the first moment from now on at which a mail may be sent; None if no mail is wanted.

    The first mail ever comes the next morning: it explains that there are more.
    """
    if account.digest == Digest.NONE:
        return None
    earliest = now
    if account.digest_at is not None:
        earliest = max(now, account.digest_at + PAUSES[Digest(account.digest)])
    local = earliest.astimezone(zone)
    if local.hour in MORNING:
        return earliest
    days = 0 if local.hour < MORNING.start else 1
    morning = local.replace(hour=MORNING.start, minute=0, second=0, microsecond=0) + timedelta(days=days)
    return max(morning, earliest)
