"""Operations of the wire on cached statistics."""

from typing import Any

from rest_framework import serializers

from leaderboard import cached_statistics
from oasst.api.error_codes import ErrorCode, register_codes
from oasst.api.fields import (
    ChoiceField,
    ConstantField,
    DateTimeField,
    IntegerField,
    OptionalMembersField,
    Schema,
    TextField,
)
from oasst.api.operations import Access, Call, Operation, operation
from trees.api.schemas import StateName
from trees.lifecycle.states import State
from trees.models import Role

register_codes({"stats_not_available": ErrorCode.CACHED_STATS_NOT_AVAILABLE})
OPERATIONS: list[Operation] = []
NAME = {"name": ChoiceField(list(cached_statistics.API_STATISTICS))}


class Dated(Schema):
    last_updated = DateTimeField(source="updated_at")


class HumanMessagesByLang(Dated):
    """Accepted messages written by people, by language."""

    name = ConstantField("human_messages_by_lang")
    stats = serializers.DictField(child=IntegerField(), source="data")


class HumanMessagesByRole(Dated):
    """Accepted messages written by people, by role."""

    name = ConstantField("human_messages_by_role")
    stats = OptionalMembersField(Role.values, child=IntegerField(), source="data")


class MessageTreesByState(Dated):
    name = ConstantField("message_trees_by_state")
    stats = OptionalMembersField(State, child=IntegerField(), source="data")


class TreesOfLang(Schema):
    lang = TextField()
    state = StateName()
    count = IntegerField()


class MessageTreesStatesByLang(Dated):
    name = ConstantField("message_trees_states_by_lang")
    stats = TreesOfLang(many=True, source="data")


class PeopleCount(Schema):
    count = IntegerField()


class UsersAcceptedTos(Dated):
    name = ConstantField("users_accepted_tos")
    stats = PeopleCount(source="data")


class CachedStat(Schema):
    """A statistic with the time of its computation, by its `name`."""

    one_of = (HumanMessagesByLang, HumanMessagesByRole, MessageTreesByState, MessageTreesStatesByLang, UsersAcceptedTos)
    tag = "name"


class StatsByName(Schema):
    """The statistics that were computed so far."""

    def get_fields(self) -> dict[str, Any]:
        return {kind.constant("name"): kind(required=False) for kind in CachedStat.one_of}


class CachedStats(Schema):
    stats_by_name = StatsByName()


@operation(OPERATIONS, "GET", "stats/cached", Access.KEY, answer=CachedStats)
def get_all(call: Call) -> Any:
    """Get all statistics that were computed so far, by name."""
    return {"stats_by_name": {statistic.name: statistic for statistic in cached_statistics.read_all()}}


@operation(OPERATIONS, "POST", "stats/cached/update", Access.TRUSTED, status=204)
def update(call: Call) -> None:
    """Compute all statistics now."""
    cached_statistics.refresh()


@operation(
    OPERATIONS,
    "GET",
    "stats/cached/<name>",
    Access.KEY,
    path_fields=NAME,
    answer=CachedStat,
    errors=(ErrorCode.CACHED_STATS_NOT_AVAILABLE,),
)
def get_one(call: Call) -> Any:
    """Get one statistic with the time of its computation."""
    return cached_statistics.read(call.path["name"])
