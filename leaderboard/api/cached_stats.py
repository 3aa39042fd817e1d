"""Statistics that the clock computes, as existing programs read them."""

from typing import Any

from rest_framework import serializers

from leaderboard import cached_statistics
from oasst.api.codes import Wire, register_codes
from oasst.api.fields import ByName, Choice, Constant, Moment, Shape, Text, Whole
from oasst.api.operations import Access, Call, Operation, operation
from trees.api.schemas import StateName
from trees.lifecycle.states import State
from trees.models import Role

register_codes({"stats_not_available": Wire.CACHED_STATS_NOT_AVAILABLE})
OPERATIONS: list[Operation] = []
NAME = {"name": Choice(list(cached_statistics.ON_THE_WIRE))}


class Dated(Shape):
    last_updated = Moment(source="updated_at")


class HumanMessagesByLang(Dated):
    """Accepted messages of people."""

    name = Constant("human_messages_by_lang")
    stats = serializers.DictField(child=Whole(), source="data")


class HumanMessagesByRole(Dated):
    """Accepted messages of people."""

    name = Constant("human_messages_by_role")
    stats = ByName(Role.values, child=Whole(), source="data")


class MessageTreesByState(Dated):
    name = Constant("message_trees_by_state")
    stats = ByName(State, child=Whole(), source="data")


class TreesOfLang(Shape):
    lang = Text()
    state = StateName()
    count = Whole()


class MessageTreesStatesByLang(Dated):
    name = Constant("message_trees_states_by_lang")
    stats = TreesOfLang(many=True, source="data")


class PeopleCount(Shape):
    count = Whole()


class UsersAcceptedTos(Dated):
    name = Constant("users_accepted_tos")
    stats = PeopleCount(source="data")


class CachedStat(Shape):
    """A statistic and the time at which it was computed, by its `name`."""

    one_of = (
        HumanMessagesByLang,
        HumanMessagesByRole,
        MessageTreesByState,
        MessageTreesStatesByLang,
        UsersAcceptedTos,
    )
    tag = "name"


class StatsByName(Shape):
    """Those that were computed so far."""

    def get_fields(self) -> dict[str, Any]:
        return {kind.constant("name"): kind(required=False) for kind in CachedStat.one_of}


class CachedStats(Shape):
    stats_by_name = StatsByName()


@operation(OPERATIONS, "GET", "stats/cached", Access.KEY, answer=CachedStats)
def get_all(call: Call) -> Any:
    """All that were computed so far, by name."""
    return {"stats_by_name": {one.name: one for one in cached_statistics.read_all()}}


@operation(OPERATIONS, "POST", "stats/cached/update", Access.TRUSTED, status=204)
def update(call: Call) -> None:
    """Compute all of them now."""
    cached_statistics.refresh()


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
    return cached_statistics.read(call.path["name"])
