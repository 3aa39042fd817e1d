"""How many messages and trees there are."""

from collections.abc import Callable
from typing import Any

from django.core.cache import cache
from rest_framework import serializers

from oasst.api.fields import ByName, Flag, Id, Moment, Shape, Whole
from oasst.api.operations import Access, Call, Operation, operation
from trees.api.schemas import StateName
from trees.lifecycle.states import ACTIVE, State
from trees.models import Message, MessageTree

OPERATIONS: list[Operation] = []


class SystemStats(Shape):
    all = Whole()
    active = Whole()
    active_by_lang = serializers.DictField(child=Whole())
    deleted = Whole()
    message_trees = Whole()


class MessageCounts(Shape):
    message_tree_id = Id()
    state = StateName()
    depth = Whole()
    oldest = Moment()
    youngest = Moment()
    count = Whole()
    goal_tree_size = Whole()


class TreeManagerStats(Shape):
    state_counts = ByName(State, child=Whole())
    message_counts = MessageCounts(many=True)


class ActiveQuery(Shape):
    only_active = Flag(default=True)


KEPT, KEPT_FROM = 5, 2_000
"""Seconds for which the counts of so many rows and more are kept: programs ask again and again, and each would read the
whole table."""


def _counted(name: str, count: Callable[[], list[Any]]) -> list[Any]:
    """Rows of (name, number, …), as they are or, on a large site, as they were seconds ago. One statement at most."""
    key = f"counted:{name}"
    rows: list[Any] | None = cache.get(key)
    if rows is None:
        rows = count()
        if sum(row[1] for row in rows) >= KEPT_FROM:
            cache.set(key, rows, KEPT)
    return rows


def system_stats() -> dict[str, Any]:
    """Two statements."""
    counts = _counted("messages", Message.objects.count_languages)
    total, active = (sum(row[place] for row in counts) for place in (1, 2))
    return {
        "all": total,
        "active": active,
        "active_by_lang": {lang: standing for lang, _, standing in counts if standing},
        "deleted": total - active,
        "message_trees": sum(state_counts().values()),
    }


def state_counts() -> dict[str, int]:
    """One statement."""
    return dict(_counted("trees", MessageTree.objects.count_states))


def message_counts(*, only_active: bool) -> list[dict[str, Any]]:
    """One row a tree. One statement."""
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
    answer=ByName(State, child=Whole()),
)
def get_state_counts(call: Call) -> Any:
    """How many trees are in each state that occurs."""
    return state_counts()


@operation(
    OPERATIONS,
    "GET",
    "stats/tree_manager/message_counts",
    Access.TRUSTED,
    query=ActiveQuery,
    answer=[MessageCounts],
)
def get_message_counts(call: Call) -> Any:
    """The messages of each tree, counted."""
    return message_counts(only_active=call.query["only_active"])


@operation(OPERATIONS, "GET", "stats/tree_manager", Access.TRUSTED, answer=TreeManagerStats)
def get_tree_manager_stats(call: Call) -> Any:
    """Both of the above, for the trees that somebody still works on."""
    return {"state_counts": state_counts(), "message_counts": message_counts(only_active=True)}
