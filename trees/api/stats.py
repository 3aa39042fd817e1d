"""How many messages and trees there are, as they stand now."""

from typing import Any

from django.db.models import Count, Max, Min, Q
from rest_framework import serializers

from oasst.api.fields import ByName, Flag, Id, Moment, Shape, Whole
from oasst.api.operations import Access, Call, Operation, operation
from trees.api.shapes import StateName
from trees.models import Message, MessageTree
from trees.states import ACTIVE, State

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


def system_stats() -> dict[str, Any]:
    """Two statements."""
    rows = Message.objects.order_by("lang").values_list("lang")
    counts = list(rows.annotate(all=Count("pk"), active=Count("pk", filter=Q(deleted=False))))
    total, active = (sum(row[place] for row in counts) for place in (1, 2))
    return {
        "all": total,
        "active": active,
        "active_by_lang": {lang: standing for lang, _, standing in counts if standing},
        "deleted": total - active,
        "message_trees": MessageTree.objects.count(),
    }


def state_counts() -> dict[str, int]:
    return dict(MessageTree.objects.order_by("state").values_list("state").annotate(n=Count("pk")))


def message_counts(*, only_active: bool) -> list[dict[str, Any]]:
    """One row a tree: grouped by the tree alone, so that its columns cost no sorting."""
    standing = Q(messages__deleted=False)
    trees = (
        MessageTree.objects.filter(state__in=[state.value for state in ACTIVE]) if only_active else MessageTree.objects
    )
    rows = trees.order_by("number").annotate(
        count=Count("messages", filter=standing),
        depth=Max("messages__depth", filter=standing),
        oldest=Min("messages__created_at", filter=standing),
        youngest=Max("messages__created_at", filter=standing),
    )
    names = ("state", "depth", "oldest", "youngest", "count", "goal_tree_size")
    found = rows.filter(count__gt=0).values_list("pk", *names)
    return [{"message_tree_id": tree_id, **dict(zip(names, row, strict=True))} for tree_id, *row in found]


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
