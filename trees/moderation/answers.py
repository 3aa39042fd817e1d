"""Answer everything that waits for moderators about a message by one decision: it stays, or it goes.

Works on a locked tree; the caller goes on to `transitions.advance`.
"""

from django.db.models import Q

from oasst.accounts.models import User
from trees.contributing import withdrawal_effects
from trees.lifecycle.locked_tree import LockedTree
from trees.lifecycle.states import State
from trees.models import Message, MessageReading, NearDuplicate, ReadingKind, Report, Withdrawal
from trees.moderation import proposals


def keep(locked: LockedTree, message: Message, *, actor: User, reason: str) -> None:
    """Let the message stay: complaints become void, what they hid is shown, what they halted goes on.

    An open withdrawal is refused, except in a finished tree, where its author decides.
    """
    proposals.keep_message(locked, message, actor=actor, reason=reason)
    outcome = f"The message stays: {reason}"
    proposals.answer_reports(locked, message, Report.Status.DISMISSED, actor=actor, outcome=outcome)
    if withdrawal_effects.is_hiding(message) and locked.state != State.READY_FOR_EXPORT:
        refused = Withdrawal.Status.REFUSED
        withdrawal_effects.show(locked, message, status=refused, actor=actor, answer=reason)
    _close_pairs(locked, Q(second=message), NearDuplicate.Status.DISMISSED, actor=actor, reason=reason)
    found = MessageReading.objects.filter(kind=ReadingKind.PERSONAL_DATA, flagged=True, revision=message.revision_id)
    found.update(flagged=False, settled_at=locked.now)


def remove(locked: LockedTree, message: Message, *, actor: User, reason: str) -> None:
    """Answer what waits about a message that was just deleted. `removal.remove` closed proposal and withdrawal."""
    outcome = f"The message was removed: {reason}"
    proposals.answer_reports(locked, message, Report.Status.UPHELD, actor=actor, outcome=outcome)
    of_message = Q(first=message) | Q(second=message)
    _close_pairs(locked, of_message, NearDuplicate.Status.REMOVED, actor=actor, reason=reason)


def _close_pairs(locked: LockedTree, which: Q, status: NearDuplicate.Status, *, actor: User, reason: str) -> None:
    """Close open pairs. In the order in which all who lock several of them do."""
    rows = NearDuplicate.objects.select_for_update(of=("self",), no_key=True).filter(which, status="open")
    ids = list(rows.order_by("first_id", "second_id").values_list("pk", flat=True))
    closed = {"status": status, "reason": reason, "decided_by": actor, "decided_at": locked.now}
    NearDuplicate.objects.filter(pk__in=ids).update(**closed)
