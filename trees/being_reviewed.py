"""Conversations in which a reader has an open review. Until it is sent, they are shown to them nowhere else.

A reviewer who looks up what became of a message could tell checks from other reviews (decision 130). Who has which task
is known to `tasks`, which this package does not import: `tasks` registers how to find them.
"""

from collections.abc import Callable
from uuid import UUID

from oasst.accounts.models import User
from trees.access import reads_everything
from trees.models import Message

FindTasks = Callable[[User], dict[UUID, UUID]]
"""A person → tree → the open task in which they review one of its messages. One statement."""

_find: FindTasks | None = None


def register(find: FindTasks) -> None:
    """Say how tasks are found. Called once, when the site starts."""
    global _find
    _find = find


def tasks_by_tree(reader: User | None) -> dict[UUID, UUID]:
    """Return tree → task of the conversations that this reader reviews now. Empty for visitors and staff.

    One statement.
    """
    if reader is None or _find is None or reads_everything(reader):
        return {}
    return _find(reader)


def find_task(reader: User | None, message_id: UUID) -> UUID | None:
    """Return the task in which the reader reviews the conversation of this message, or None. At most two statements."""
    tasks = tasks_by_tree(reader)
    if not tasks:
        return None
    tree_id = Message.objects.filter(pk=message_id, tree__in=tasks).values_list("tree_id", flat=True).first()
    return None if tree_id is None else tasks[tree_id]
