"""What a withdrawal does to a tree: what `trees.contributing.withdrawal`, `removal` and `moderator_actions` share.

A text to which nobody else replied is deleted when it is withdrawn. Else it is hidden, what hangs below it rests, and a
moderator decides; in a tree of the data set nobody has to: it stays hidden, and snapshots leave it out. Decision 80.

Works on a locked tree; the caller goes on to `transitions.advance`.
"""

from collections.abc import Collection, Iterable
from uuid import UUID

from oasst.accounts.models import User
from oasst.core.after_commit import enqueue
from oasst.core.errors import Conflict
from trees.lifecycle import transitions
from trees.lifecycle.locked_tree import LockedTree, mark
from trees.models import Deletion, Happening, Message, Proposal, Withdrawal
from trees.moderation import notices

REASON = "Its author withdrew it."


def has_replies_of_others(message: Message, below: Iterable[Message]) -> bool:
    """Did anybody but its author write something below this message that is not deleted, accepted or not?"""
    return any(one.author_id != message.author_id for one in below if one.pk != message.pk and not one.deleted)


def hides(message: Message) -> bool:
    """Is it hidden because it was withdrawn? One statement where it may be."""
    return message.withdrawn and Withdrawal.objects.filter(message=message, status=Withdrawal.Status.OPEN).exists()


def latest(message_id: UUID) -> Withdrawal:
    """The withdrawal in force of a message that has one."""
    rows = Withdrawal.objects.filter(message=message_id, status__in=Withdrawal.IN_FORCE)
    return rows.order_by("-pk")[0]


def keep_out_at_once(locked: LockedTree, message: Message, deletion: Deletion, *, reason: str) -> Withdrawal:
    """Note why this message was deleted: nobody brings it back."""
    mark(message, withdrawn=True)
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
    """Hide the message until somebody decides. What hangs below it rests."""
    made = Withdrawal.objects.create(tree=locked.tree, message=message, reason=reason, created_at=locked.now)
    was_shown = not message.hidden
    mark(message, hidden=True, withdrawn=True)
    _tell(locked, Happening.Kind.MESSAGE_WITHDRAWN, made, actor, changes=was_shown)
    transitions.rescore(locked)
    return made


def show(
    locked: LockedTree, message: Message, *, status: Withdrawal.Status, actor: User | None, answer: str
) -> Withdrawal:
    """End the withdrawal: the message is shown again, unless something else hides it or it was deleted."""
    made = _end(locked, message, status=status, actor=actor, answer=answer)
    _tell(locked, Happening.Kind.WITHDRAWAL_ENDED, made, actor, changes=not message.is_withheld)
    transitions.rescore(locked)
    return made


def grant(locked: LockedTree, message: Message, *, actor: User | None, reason: str) -> None:
    """Somebody who may do so has just deleted the message: if its author wanted that, it is answered."""
    if hides(message):
        _end(locked, message, status=Withdrawal.Status.GRANTED, actor=actor, answer=reason)


def refuse_after_all(locked: LockedTree, message: Message, *, actor: User, reason: str) -> None:
    """A moderator has just brought back what a moderator had deleted as its author wanted."""
    if message.withdrawn and not hides(message):
        show(locked, message, status=Withdrawal.Status.REFUSED, actor=actor, answer=reason)


def refuse_to_bring_back(message_ids: Collection[UUID]) -> None:
    """Raises Conflict `withdrawn` where one of these went at once because its author wanted it to."""
    gone = Withdrawal.objects.filter(message__in=message_ids, deletion__isnull=False, message__withdrawn=True)
    if gone.exists():
        raise Conflict(
            "Its author withdrew it, and nobody had replied. Nobody can bring it back.",
            code="withdrawn",
            hint="Its author can write it anew.",
        )


def refuse_withdrawn(messages: Iterable[Message]) -> None:
    """Raises Conflict `withdrawn`: only its author, or a moderator who decides about it, can let it be seen again."""
    if any(message.withdrawn for message in messages):
        raise Conflict("Its author withdrew it. A moderator decides about that first.", code="withdrawn")


def _end(
    locked: LockedTree, message: Message, *, status: Withdrawal.Status, actor: User | None, answer: str
) -> Withdrawal:
    made = latest(message.pk)
    made.status, made.decided_at, made.decided_by, made.answer = status, locked.now, actor, answer[:500]
    made.save(update_fields=["status", "decided_at", "decided_by", "answer"])
    flagged = Proposal.objects.filter(message=message, status=Proposal.Status.OPEN, hides=True).exists()
    mark(message, hidden=flagged, withdrawn=status == Withdrawal.Status.GRANTED)
    if status != Withdrawal.Status.UNDONE and message.author_id is not None:
        enqueue(notices.mail_about_withdrawal, str(made.pk))
    return made


def _tell(
    locked: LockedTree, kind: Happening.Kind, withdrawal: Withdrawal, actor: User | None, *, changes: bool
) -> None:
    """`changes`: whether readers see or miss it from now on, of which programs are told."""
    message = locked.messages[withdrawal.message_id]
    told = {"withdrawal": str(withdrawal.pk), "status": withdrawal.status, "hides": changes}
    locked.record(kind, message=message, actor=actor, data=told)
