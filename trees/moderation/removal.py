"""Delete messages of a tree and restore them, for moderators and automatic moderation.

Works on a locked tree; the caller goes on to `transitions.advance`.
"""

from collections.abc import Collection, Iterator
from uuid import UUID

from django.utils import timezone

from oasst.accounts.models import User
from oasst.core.errors import Conflict
from trees.contributing import withdrawal_effects
from trees.enrichment import queue
from trees.lifecycle import demand, transitions
from trees.lifecycle.locked_tree import LockedTree
from trees.models import Deletion, Happening, Message, Purge
from trees.moderation import banned_authors, proposals

PROMPT_RESTORED = "The prompt was brought back."


def remove(
    locked: LockedTree, message: Message, *, actor: User | None, reason: str, purge: Purge | None = None
) -> Deletion:
    """Delete the message and everything below it that is not deleted yet, as one batch."""
    removed = [m for m in demand.subtree(locked.messages.values(), message) if not m.deleted]
    deletion = Deletion.objects.create(
        tree=locked.tree, message=message, message_ids=[m.pk for m in removed], actor=actor, reason=reason, purge=purge
    )
    for m in removed:
        m.deleted = True
        locked.changed_messages.add(m.pk)
    if purge is None:  # a purge is no decision: undoing it also restores what was proposed
        proposals.uphold(locked, message, actor=actor, reason=reason)
        withdrawal_effects.grant(locked, message, actor=actor, reason=reason)
    # The tree may have waited for a decision about a message that is now deleted.
    proposals.resume_if_decided(locked, actor=actor, reason=reason)
    locked.record(
        Happening.Kind.MESSAGE_DELETED,
        message=message,
        actor=actor,
        data={"deletion": str(deletion.pk), "messages": len(removed)},
    )
    transitions.rescore(locked)
    return deletion


def refuse_purged(message_ids: Collection[UUID]) -> None:
    """Raise Conflict `purged` while a purge of an author is unfinished, `erased` if it erased the text."""
    messages = Message.objects.filter(pk__in=message_ids)
    if messages.filter(author__purges__in=Purge.objects.filter(Purge.UNFINISHED)).exists():
        raise Conflict("This was purged with all that its author gave. Undo the purge to bring it back.", code="purged")
    # Users cannot write empty texts.
    if messages.filter(text="", author__purges__stage=Purge.Stage.ERASED).exists():
        raise Conflict("What it held was erased after a purge; there is nothing to bring back.", code="erased")


def restore(locked: LockedTree, deletion: Deletion, *, actor: User, reason: str) -> None:
    """Undo one deletion exactly. A tree halted only by it resumes; the moderator's decision voids complaints."""
    for message_id in deletion.message_ids:
        locked.messages[message_id].deleted = False
        locked.changed_messages.add(message_id)
    queue.mark_unread(deletion.message_ids)
    deletion.undone_at, deletion.undone_by, deletion.undo_reason = timezone.now(), actor, reason
    deletion.save(update_fields=["undone_at", "undone_by", "undo_reason"])
    locked.record(
        Happening.Kind.MESSAGE_RESTORED,
        message=locked.messages[deletion.message_id],
        actor=actor,
        data={"deletion": str(deletion.pk)},
    )
    if deletion.purge_id is None:
        proposals.keep_message(locked, locked.messages[deletion.message_id], actor=actor, reason=reason)
        proposals.mail_about_restoring(locked.messages[deletion.message_id])
        withdrawal_effects.refuse_restored(locked, locked.messages[deletion.message_id], actor=actor, reason=reason)
    _go_on(locked, actor)


def restore_with_ancestors(locked: LockedTree, message: Message, *, actor: User | None, reason: str) -> None:
    """Restore a message and its ancestors, whatever deleted or hid them, and void complaints about them.

    Deletions with nothing left are undone. Raise Conflict as `refuse_purged`, and `withdrawn`.
    """
    path = list(_ancestors(locked, message))
    withheld = [m for m in path if m.is_withheld]
    if not withheld:
        return
    withdrawal_effects.refuse_withdrawn(path)
    refuse_purged([m.pk for m in path if m.deleted])
    queue.mark_unread([m.pk for m in withheld])
    for m in withheld:
        m.deleted = False
        locked.changed_messages.add(m.pk)
        proposals.keep_message(locked, m, actor=actor, reason=reason)
        proposals.mail_about_restoring(m)
    for deletion in Deletion.objects.select_for_update().filter(tree=locked.tree, undone_at=None).order_by("pk"):
        if not any(locked.messages[message_id].deleted for message_id in deletion.message_ids):
            deletion.undone_at, deletion.undone_by = timezone.now(), actor
            deletion.save(update_fields=["undone_at", "undone_by"])
    locked.record(Happening.Kind.MESSAGE_RESTORED, message=message, actor=actor)
    _go_on(locked, actor)


def _ancestors(locked: LockedTree, message: Message) -> Iterator[Message]:
    """Yield the message and its ancestors."""
    yield message
    while message.parent_id is not None:
        message = locked.messages[message.parent_id]
        yield message


def _go_on(locked: LockedTree, actor: User | None) -> None:
    """Resume a tree halted only because its prompt was deleted, unless complaints halt it again."""
    transitions.raise_sizes(locked)
    if not locked.root.deleted and transitions.halted_because(locked, transitions.PROMPT_DELETED):
        banned_authors.resume(locked, reason=PROMPT_RESTORED, actor=actor)
    banned_authors.resume_after_ban(locked)  # the ban may have ended while it was deleted
    proposals.resume_if_decided(locked, actor=actor, reason=PROMPT_RESTORED)
    proposals.halt_again(locked)
    transitions.rescore(locked)
