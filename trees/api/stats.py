"""Numbers of messages and trees."""

from collections.abc import Callable
from typing import Any

from django.core.cache import cache
from rest_framework import serializers

from oasst.api.fields import BooleanField, DateTimeField, IntegerField, OptionalMembersField, Schema, UUIDField
from oasst.api.operations import Access, Call, Operation, operation
from trees.api.schemas import StateName
from trees.lifecycle.states import ACTIVE, State
from trees.models import Message, MessageTree

OPERATIONS: list[Operation] = []


class SystemStats(Schema):
    all = IntegerField()
    active = IntegerField()
    active_by_lang = serializers.DictField(child=IntegerField())
    deleted = IntegerField()
    message_trees = IntegerField()


class MessageCounts(Schema):
    message_tree_id = UUIDField()
    state = StateName()
    depth = IntegerField()
    oldest = DateTimeField()
    youngest = DateTimeField()
    count = IntegerField()
    goal_tree_size = IntegerField()


class TreeManagerStats(Schema):
    state_counts = OptionalMembersField(State, child=IntegerField())
    message_counts = MessageCounts(many=True)


class ActiveQuery(Schema):
    only_active = BooleanField(default=True)


# Counting reads the whole table, so the counts of a large table are cached.
CACHE_SECONDS, MIN_CACHED_ROWS = 5, 2_000


def _counted(name: str, count: Callable[[], list[Any]]) -> list[Any]:
    """Return rows of (name, number, …), cached for seconds on a large site. At most one statement."""
    key = f"counted:{name}"
    rows: list[Any] | None = cache.get(key)
    if rows is None:
        rows = count()
        if sum(row[1] for row in rows) >= MIN_CACHED_ROWS:
            cache.set(key, rows, CACHE_SECONDS)
    return rows


def system_stats() -> dict[str, Any]:
    """Return the counts of messages and trees. Two statements."""
    counts = _counted("messages", Message.objects.count_languages)
    total, active = (sum(row[index] for row in counts) for index in (1, 2))
    return {
        "all": total,
        "active": active,
        "active_by_lang": {lang: active_count for lang, _, active_count in counts if active_count},
        "deleted": total - active,
        "message_trees": sum(state_counts().values()),
    }


def state_counts() -> dict[str, int]:
    """Return the number of trees by state. One statement."""
    return dict(_counted("trees", MessageTree.objects.count_states))


def message_counts(*, only_active: bool) -> list[dict[str, Any]]:
    """Return the counts of each tree. One statement."""
    rows = MessageTree.objects.count_messages([state.value for state in ACTIVE] if only_active else None)
    names = ("message_tree_id", "state", "depth", "oldest", "youngest", "count", "goal_tree_size")
    return [dict(zip(names, row, strict=True)) for row in rows]


@operation(OPERATIONS, "GET", "stats/", Access.TRUSTED, answer=SystemStats)
def get_system_stats(call: Call) -> Any:
    """Messages by language, and trees."""
    return system_stats()


@operation(
    OPERATIONS,
    "GET",
    "stats/tree_manager/state_counts",
    Access.TRUSTED,
    answer=OptionalMembersField(State, child=IntegerField()),
)
def get_state_counts(call: Call) -> Any:
    """How many trees are in each state that occurs."""
    return state_counts()


@operation(
    OPERATIONS, "GET", "stats/tree_manager/message_counts", Access.TRUSTED, query=ActiveQuery, answer=[MessageCounts]
)
def get_message_counts(call: Call) -> Any:
    """The messages of each tree, counted."""
    return message_counts(only_active=call.query["only_active"])


@operation(OPERATIONS, "GET", "stats/tree_manager", Access.TRUSTED, answer=TreeManagerStats)
def get_tree_manager_stats(call: Call) -> Any:
    """Both of the above, for active trees."""
    return {"state_counts": state_counts(), "message_counts": message_counts(only_active=True)}
