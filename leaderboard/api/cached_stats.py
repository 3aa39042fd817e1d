"""Statistics that the clock computes, as existing programs read them."""

from typing import Any

from rest_framework import serializers

from leaderboard import cached
from oasst.api.codes import Wire, register_codes
from oasst.api.fields import Choice, Moment, Shape, Text
from oasst.api.operations import Access, Call, Operation, operation

register_codes({"stats_not_available": Wire.CACHED_STATS_NOT_AVAILABLE})
OPERATIONS: list[Operation] = []
NAME = {"name": Choice(list(cached.ON_THE_WIRE))}


class CachedStat(Shape):
    name = Text()
    last_updated = Moment()
    stats = serializers.JSONField()


class CachedStats(Shape):
    stats_by_name = serializers.DictField(child=CachedStat())


@operation(OPERATIONS, "GET", "stats/cached", Access.KEY, answer=CachedStats)
def get_all(call: Call) -> Any:
    """All that were computed so far, by name."""
    return {"stats_by_name": {one.name: one.as_wire() for one in cached.read_all()}}


@operation(OPERATIONS, "POST", "stats/cached/update", Access.TRUSTED, status=204)
def update(call: Call) -> None:
    """Compute all of them now."""
    cached.refresh()


@operation(
    OPERATIONS,
    "GET",
    "stats/cached/<name>",
    Access.KEY,
    path_fields=NAME,
    answer=CachedStat,
    errors=(Wire.CACHED_STATS_NOT_AVAILABLE,),
)
def get_one(call: Call) -> Any:
    """One of them, with the time at which it was computed."""
    return cached.read(call.path["name"]).as_wire()
