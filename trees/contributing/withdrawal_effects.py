"""The effects of a withdrawal on a tree, shared by `trees.contributing.withdrawal`, `removal` and `moderator_actions`.

A text without replies of others is deleted when it is withdrawn. Otherwise it is hidden, everything below it is paused,
and a moderator decides; in a tree of the data set it stays hidden, and snapshots leave it out. Decision 80.

Works on a locked tree; the caller goes on to `transitions.advance`.
"""

from collections.abc import Collection, Iterable
from uuid import UUID

from oasst.accounts.models import User
from oasst.core.after_commit import enqueue
from oasst.core.errors import Conflict
from trees.enrichment import queue
from trees.lifecycle import transitions
from trees.lifecycle.locked_tree import LockedTree, update_columns
from trees.models import Deletion, Happening, Message, Proposal, Withdrawal
from trees.moderation import notices

REASON = "Its author withdrew it."


def has_replies_of_others(message: Message, below: Iterable[Message]) -> bool:
    """Return True if a message of another author below this one is not deleted, whether accepted or not.

    What a model wrote is nobody's: it goes with the text that it answers.
    """
    others = (m for m in below if m.pk != message.pk and not m.deleted and not m.synthetic)
    return any(m.author_id != message.author_id for m in others)


def is_hiding(message: Message) -> bool:
    """Return True if an open withdrawal hides the message. At most one statement."""
    return message.withdrawn and Withdrawal.objects.filter(message=message, status=Withdrawal.Status.OPEN).exists()


def in_force(message_id: UUID) -> Withdrawal:
    """Return the withdrawal in force of a message that has one."""
    rows = Withdrawal.objects.filter(message=message_id, status__in=Withdrawal.IN_FORCE)
    return rows.order_by("-pk")[0]


def record_deletion(locked: LockedTree, message: Message, deletion: Deletion, *, reason: str) -> Withdrawal:
    """Record the withdrawal of a message that was deleted at once: nobody can restore it."""
    update_columns(message, withdrawn=True)
    return Withdrawal.objects.create(
        tree=locked.tree,
        message=message,
        reason=reason,
        status=Withdrawal.Status.GRANTED,
        created_at=locked.now,
        decided_at=locked.now,
        deletion=deletion,
    )


def hide(locked: LockedTree, message: Message, *, actor: User, reason: str) -> Withdrawal:
    """Hide the message until a moderator decides. Everything below it is paused."""
    withdrawal = Withdrawal.objects.create(tree=locked.tree, message=message, reason=reason, created_at=locked.now)
    was_shown = not message.hidden
    update_columns(message, hidden=True, withdrawn=True)
    _record(locked, Happening.Kind.MESSAGE_WITHDRAWN, withdrawal, actor, changes=was_shown)
    transitions.rescore(locked)
    return withdrawal


def show(
    locked: LockedTree, message: Message, *, status: Withdrawal.Status, actor: User | None, answer: str
) -> Withdrawal:
    """End the withdrawal: the message is visible again, unless something else hides it or it was deleted."""
    withdrawal = _end(locked, message, status=status, actor=actor, answer=answer)
    _record(locked, Happening.Kind.WITHDRAWAL_ENDED, withdrawal, actor, changes=not message.is_withheld)
    transitions.rescore(locked)
    return withdrawal


def grant(locked: LockedTree, message: Message, *, actor: User | None, reason: str) -> None:
    """Close the withdrawal of a message that was just deleted, if there is one."""
    if is_hiding(message):
        _end(locked, message, status=Withdrawal.Status.GRANTED, actor=actor, answer=reason)


def refuse_restored(locked: LockedTree, message: Message, *, actor: User, reason: str) -> None:
    """Refuse the withdrawal of a message that a moderator has just restored."""
    if message.withdrawn and not is_hiding(message):
        show(locked, message, status=Withdrawal.Status.REFUSED, actor=actor, answer=reason)


def refuse_restoring(message_ids: Collection[UUID]) -> None:
    """Raise Conflict `withdrawn` if one of these was deleted at once by its author's withdrawal."""
    gone = Withdrawal.objects.filter(message__in=message_ids, deletion__isnull=False, message__withdrawn=True)
    if gone.exists():
        raise Conflict(
            "Its author withdrew it, and nobody had replied. Nobody can bring it back.",
            code="withdrawn",
            hint="Its author can write it anew.",
        )


def refuse_withdrawn(messages: Iterable[Message]) -> None:
    """Raise Conflict `withdrawn`: only the author, or a moderator who decides about it, can show it again."""
    if any(message.withdrawn for message in messages):
        raise Conflict("Its author withdrew it. A moderator decides about that first.", code="withdrawn")


def _end(
    locked: LockedTree, message: Message, *, status: Withdrawal.Status, actor: User | None, answer: str
) -> Withdrawal:
    withdrawal = in_force(message.pk)
    withdrawal.status, withdrawal.decided_at = status, locked.now
    withdrawal.decided_by, withdrawal.answer = actor, answer[:500]
    withdrawal.save(update_fields=["status", "decided_at", "decided_by", "answer"])
    flagged = Proposal.objects.filter(message=message, status__in=Proposal.IN_FORCE, hides=True).exists()
    update_columns(message, hidden=flagged, withdrawn=status == Withdrawal.Status.GRANTED)
    queue.mark_unread([message.pk])
    if status != Withdrawal.Status.UNDONE and message.author_id is not None:
        enqueue(notices.mail_about_withdrawal, str(withdrawal.pk))
    return withdrawal


def _record(
    locked: LockedTree, kind: Happening.Kind, withdrawal: Withdrawal, actor: User | None, *, changes: bool
) -> None:
    """Record the event. `changes`: readers see the message again, or no longer; then API clients are told."""
    message = locked.messages[withdrawal.message_id]
    data = {"withdrawal": str(withdrawal.pk), "status": withdrawal.status, "hides": changes}
    locked.record(kind, message=message, actor=actor, data=data)
