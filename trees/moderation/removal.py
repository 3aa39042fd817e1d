"""Taking messages out of a tree and bringing them back, for moderators and for the automatic thresholds.

Works on a locked tree; the caller goes on to `transitions.advance`.
"""

from collections.abc import Collection, Iterator
from uuid import UUID

from django.utils import timezone

from oasst.accounts.models import User
from oasst.core.errors import Conflict
from trees.contributing import withdrawal_effects
from trees.lifecycle import demand, transitions
from trees.lifecycle.locked_tree import LockedTree
from trees.models import Deletion, Happening, Message, Purge
from trees.moderation import banned_authors, proposals

BROUGHT_BACK = "The prompt was brought back."


def remove(
    locked: LockedTree, message: Message, *, actor: User | None, reason: str, purge: Purge | None = None
) -> Deletion:
    """Delete the message and everything below it that is not deleted yet, as one batch."""
    gone = [one for one in demand.below(locked.messages.values(), message) if not one.deleted]
    deletion = Deletion.objects.create(
        tree=locked.tree,
        message=message,
        message_ids=[one.pk for one in gone],
        actor=actor,
        reason=reason,
        purge=purge,
    )
    for one in gone:
        one.deleted = True
        locked.changed_messages.add(one.pk)
    if purge is None:  # which is no answer: undoing it brings back what was proposed as well
        proposals.uphold(locked, message, actor=actor, reason=reason)
        withdrawal_effects.grant(locked, message, actor=actor, reason=reason)
    proposals.go_on(locked, actor=actor, reason=reason)  # it may have waited for something that is gone now
    locked.record(
        Happening.Kind.MESSAGE_DELETED,
        message=message,
        actor=actor,
        data={"deletion": str(deletion.pk), "messages": len(gone)},
    )
    transitions.rescore(locked)
    return deletion


def refuse_purged(message_ids: Collection[UUID]) -> None:
    """Raises Conflict: `purged` while a purge of an author is not over, `erased` where one has ended with no text."""
    messages = Message.objects.filter(pk__in=message_ids)
    if messages.filter(author__purges__in=Purge.objects.filter(Purge.NOT_OVER)).exists():
        raise Conflict("This was purged with all that its author gave. Undo the purge to bring it back.", code="purged")
    # People write no empty texts.
    if messages.filter(text="", author__purges__stage=Purge.Stage.ERASED).exists():
        raise Conflict("What it held was erased after a purge; there is nothing to bring back.", code="erased")


def bring_back(locked: LockedTree, deletion: Deletion, *, actor: User, reason: str) -> None:
    """Undo one batch exactly. A tree that stopped only because of it goes on. That a moderator wants the message back
    makes what people said against it void.
    """
    for message_id in deletion.message_ids:
        locked.messages[message_id].deleted = False
        locked.changed_messages.add(message_id)
    deletion.undone_at, deletion.undone_by, deletion.undo_reason = timezone.now(), actor, reason
    deletion.save(update_fields=["undone_at", "undone_by", "undo_reason"])
    locked.record(
        Happening.Kind.MESSAGE_RESTORED,
        message=locked.messages[deletion.message_id],
        actor=actor,
        data={"deletion": str(deletion.pk)},
    )
    if deletion.purge_id is None:
        proposals.keep(locked, locked.messages[deletion.message_id], actor=actor, reason=reason)
        proposals.tell_of_return(locked.messages[deletion.message_id])
        withdrawal_effects.refuse_after_all(locked, locked.messages[deletion.message_id], actor=actor, reason=reason)
    _go_on(locked, actor)


def bring_back_with_ancestors(locked: LockedTree, message: Message, *, actor: User | None, reason: str) -> None:
    """Bring back one message and all above it, whatever took or hid them. Deletions of which nothing is left are
    undone, and what people said against these messages is void. Raises Conflict as `refuse_purged`, and `withdrawn`.
    """
    path = list(_upwards(locked, message))
    withheld = [one for one in path if one.is_withheld]
    if not withheld:
        return
    withdrawal_effects.refuse_withdrawn(path)
    refuse_purged([one.pk for one in path if one.deleted])
    for one in withheld:
        one.deleted = False
        locked.changed_messages.add(one.pk)
        proposals.keep(locked, one, actor=actor, reason=reason)
        proposals.tell_of_return(one)
    for deletion in Deletion.objects.select_for_update().filter(tree=locked.tree, undone_at=None).order_by("pk"):
        if not any(locked.messages[message_id].deleted for message_id in deletion.message_ids):
            deletion.undone_at, deletion.undone_by = timezone.now(), actor
            deletion.save(update_fields=["undone_at", "undone_by"])
    locked.record(Happening.Kind.MESSAGE_RESTORED, message=message, actor=actor)
    _go_on(locked, actor)


def _upwards(locked: LockedTree, message: Message) -> Iterator[Message]:
    """The message and everything above it."""
    yield message
    while message.parent_id is not None:
        message = locked.messages[message.parent_id]
        yield message


def _go_on(locked: LockedTree, actor: User | None) -> None:
    """A tree that had stopped only because its prompt was gone goes on; what complaints had stopped it for stops it."""
    make_room(locked)
    if not locked.root.deleted and transitions.was_halted_by_deletion(locked):
        banned_authors.resume(locked, reason=BROUGHT_BACK, actor=actor)
    banned_authors.go_on_after_ban(locked)  # who was let in while it was deleted
    proposals.go_on(locked, actor=actor, reason=BROUGHT_BACK)
    proposals.stop_again(locked)
    transitions.rescore(locked)


def make_room(locked: LockedTree) -> None:
    """A tree that got back what others have replaced meanwhile is larger than it wanted: from now on it wants that."""
    grown = demand.at_least(locked, goal=locked.tree.goal_tree_size, children=locked.tree.max_children_count)
    if grown != (locked.tree.goal_tree_size, locked.tree.max_children_count):
        locked.tree.goal_tree_size, locked.tree.max_children_count = grown
        locked.tree.save(update_fields=["goal_tree_size", "max_children_count"])
