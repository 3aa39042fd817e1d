"""Timestamps from URLs, files and request bodies."""

from datetime import UTC, datetime, tzinfo


def parse_timestamp(text: str, *, zone: tzinfo | None = None) -> datetime:
    """Parse ISO 8601 and return it in UTC. `zone` applies to a text without an offset, which is otherwise refused.

    Raise ValueError for what is not a timestamp, or none that the database can store.
    """
    return to_utc(datetime.fromisoformat(text), zone=zone)


def to_utc(moment: datetime, *, zone: tzinfo | None = None) -> datetime:
    """Convert to UTC. Raise ValueError as `parse_timestamp` does.

    Near the ends of the calendar the conversion can leave it, and Python and PostgreSQL would both fail later.
    """
    if moment.tzinfo is None:
        if zone is None:
            raise ValueError("no time zone")
        moment = moment.replace(tzinfo=zone)
    try:
        utc = moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("beyond the calendar") from error
    if utc.year < 2:  # PostgreSQL could return a year that Python does not have
        raise ValueError("before our time")
    return utc
