"""Dates with a time that somebody else wrote: in an address, in a file, in a body."""

from datetime import UTC, datetime, tzinfo


def parse_moment(text: str, *, zone: tzinfo | None = None) -> datetime:
    """ISO 8601, in UTC. `zone` is that of a text that names none; without it such a text is refused.

    Raises ValueError for all that is no such moment, or none that the database can keep.
    """
    return in_utc(datetime.fromisoformat(text), zone=zone)


def in_utc(moment: datetime, *, zone: tzinfo | None = None) -> datetime:
    """The same moment in UTC. Raises ValueError as `parse_moment` does.

    A moment next to an end of the calendar can leave it with its zone: Python and PostgreSQL both fail on it later.
    """
    if moment.tzinfo is None:
        if zone is None:
            raise ValueError("no time zone")
        moment = moment.replace(tzinfo=zone)
    try:
        found = moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("beyond the calendar") from error
    if found.year < 2:  # PostgreSQL would answer in a calendar that Python has not
        raise ValueError("before our time")
    return found
