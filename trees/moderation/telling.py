"""Say in the outbox whom an act of the audit log concerns, and how: notices are made of that.

It follows from what the act changed, not from its name, so a new act needs nothing here.
"""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.db.models import TextChoices

from oasst.core.audit.putting_back import Changes
from oasst.core.models import AuditEntry
from trees.lifecycle.locked_tree import LockedTree
from trees.lifecycle.states import State
from trees.models import Happening, Message
from trees.outbox import publishing


class Effect(TextChoices):
    """What became of somebody's text or conversation."""

    DELETED = "deleted"
    DELETED_WITH = "deleted_with"  # because a message above it was
    RESTORED = "restored"
    HIDDEN = "hidden"
    SHOWN = "shown"
    EDITED = "edited"
    STOPPED = "stopped"
    RESUMED = "resumed"
    MOVED = "moved"  # to another language
    UNDONE = "undone"  # what they were told before


_DIRECT = frozenset(Effect) - {Effect.DELETED_WITH}
_STOPPED = (State.HALTED_BY_MODERATOR.value, State.ABORTED_LOW_GRADE.value)


def tell(locked: LockedTree, entry: AuditEntry, changes: Changes) -> None:
    """Write an event with what the act means for each author, but not for whoever acted. One statement if there is
    anybody to tell.

    Its data: `entry`, and `told`: for each person their id, the `Effect`, the message, and whether the act was about
    that message, so that its reason is for them.
    """
    told: dict[UUID, tuple[Effect, UUID]] = {}
    for person_id, effect, message_id in _effects(locked, entry.target_id, changes):
        if person_id is not None and person_id != entry.actor_id:
            told.setdefault(person_id, (effect, message_id))
    if told:
        rows = [[str(pk), effect.value, str(message), effect in _DIRECT] for pk, (effect, message) in told.items()]
        event = Happening(
            kind=Happening.Kind.MODERATED,
            actor_id=entry.actor_id,
            subject_id=entry.person_id,
            tree_id=locked.tree.pk,
            message_id=locked.root.pk,
            data={"entry": entry.pk, "told": rows},
        )
        publishing.publish([event])


def events_of(locked: LockedTree, entry: AuditEntry) -> list[int]:
    """Return the ids of the events that `tell` wrote about this act. One statement."""
    rows = Happening.objects.filter(tree=locked.tree, kind=Happening.Kind.MODERATED, data__entry=entry.pk)
    return list(rows.order_by("pk").values_list("pk", flat=True))


def _effects(locked: LockedTree, target: str, changes: Changes) -> Iterator[tuple[UUID | None, Effect, UUID]]:
    """Yield author, effect and message: first the message that the act was about, then the tree, then the others in
    their order.
    """
    messages = {pk: (old, new) for pk, old, new in changes.pairs("message")}
    others = sorted((locked.messages[UUID(pk)] for pk in messages if pk != target), key=lambda m: (m.depth, m.pk))
    first = [locked.messages[UUID(target)]] if target in messages else []
    for message in first:
        yield from _of_message(message, messages[str(message.pk)], is_target=True)
    yield from _of_tree(locked, changes)
    for message in others:
        yield from _of_message(message, messages[str(message.pk)], is_target=False)


def _of_message(
    message: Message, pair: tuple[Any, Any], *, is_target: bool
) -> Iterator[tuple[UUID | None, Effect, UUID]]:
    old, new = pair
    if old is None or new is None or message.withdrawn or "withdrawn" in new:
        return  # what its author withdrew has notices of its own
    effect: Effect | None = None
    if new.get("deleted") is True:
        effect = Effect.DELETED if is_target else Effect.DELETED_WITH
    elif new.get("deleted") is False:
        effect = Effect.RESTORED
    elif "hidden" in new and not message.deleted:
        effect = Effect.HIDDEN if new["hidden"] else Effect.SHOWN
    elif "revision_id" in new:
        effect = Effect.EDITED
    if effect is not None:
        yield message.author_id, effect, message.pk


def _of_tree(locked: LockedTree, changes: Changes) -> Iterator[tuple[UUID | None, Effect, UUID]]:
    root = locked.root
    if root.deleted or root.withdrawn:
        return  # its author is told of that
    _, new_root = changes.of("message", root.pk)
    for _, old, new in changes.pairs("tree"):
        was, now = old.get("state"), new.get("state")
        if now == State.HALTED_BY_MODERATOR.value:
            yield root.author_id, Effect.STOPPED, root.pk
        elif was in _STOPPED and now not in (None, *_STOPPED):
            yield root.author_id, Effect.RESUMED, root.pk
    if "lang" in new_root and "revision_id" not in new_root:
        yield root.author_id, Effect.MOVED, root.pk
