"""Authors withdraw their own texts. Outer writers: each function is one transaction and locks the tree row.

The account must be open and not banned, but need not have accepted the present terms: users who reject those may still
withdraw what they gave under earlier ones.
"""

from dataclasses import dataclass
from uuid import UUID

from django.db import transaction

from oasst.accounts.locks import require_member_now
from oasst.accounts.models import User
from oasst.core import ratelimit
from oasst.core.errors import Conflict, DomainError
from oasst.core.text.validation import clean_optional
from trees.access import message_unavailable
from trees.contributing import withdrawal_effects
from trees.lifecycle import demand, transitions
from trees.lifecycle.locked_tree import LockedTree, lock_tree
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import Message, MessageTree, Withdrawal
from trees.moderation import proposals, removal

LONGEST_REMARK = 500


@dataclass(frozen=True)
class WithdrawalPreview:
    """What withdrawing this message would do now, or why it is impossible."""

    message: Message
    has_replies: bool  # of other authors, not deleted
    in_data_set: bool
    refusal: DomainError | None = None  # also if there is nothing left to do
    waiting: Withdrawal | None = None  # the open withdrawal, which its author can undo


def get_preview_for(user: User, message_id: UUID) -> WithdrawalPreview:
    """Return the preview for the withdrawal page. Raise NotFound, also for messages of others."""
    message = _own_message(user, message_id)
    tree = MessageTree.objects.get(pk=message.tree_id)
    messages = Message.objects.filter(tree=tree).defer("text", "search", "imported")
    has_replies = withdrawal_effects.has_replies_of_others(message, demand.subtree(messages, message))
    in_data_set = tree.state == State.READY_FOR_EXPORT
    waiting = withdrawal_effects.in_force(message_id) if withdrawal_effects.is_hiding(message) else None
    refusal = None
    try:
        proposals.refuse_deleted(message)
        if waiting is None:
            _refuse_repetition(message, has_replies=has_replies, in_data_set=in_data_set)
    except DomainError as error:
        refusal = error
    return WithdrawalPreview(message, has_replies, in_data_set, refusal, waiting)


def withdraw(*, message_id: UUID, author: User, reason: str = "", policy: TreePolicy) -> Withdrawal:
    """Withdraw one's own message. Without replies of others it is deleted with what follows; otherwise it is hidden.

    Withdrawing twice changes nothing. Raise NotFound, NotAllowed (as `access.require_member`), Invalid (the reason),
    Conflict (`already_deleted`, `withdrawal_refused`), Busy `rate_limited`.
    """
    ratelimit.count_use(ratelimit.WITHDRAWALS, author.pk)
    reason = clean_optional(reason, limit=LONGEST_REMARK, field="reason")
    with transaction.atomic(durable=True):
        require_member_now(author)
        locked, message = _lock_own_message(author, message_id, policy)
        if message.withdrawn:
            return withdrawal_effects.in_force(message_id)
        proposals.refuse_deleted(message)
        has_replies = withdrawal_effects.has_replies_of_others(
            message, demand.subtree(locked.messages.values(), message)
        )
        _refuse_repetition(message, has_replies=has_replies, in_data_set=locked.state == State.READY_FOR_EXPORT)
        if has_replies:
            withdrawal_row = withdrawal_effects.hide(locked, message, actor=author, reason=reason)
        else:
            deletion = removal.remove(locked, message, actor=author, reason=withdrawal_effects.REASON)
            withdrawal_row = withdrawal_effects.record_deletion(locked, message, deletion, reason=reason)
        transitions.advance(locked, actor=author)
        return withdrawal_row


def undo(*, message_id: UUID, author: User, policy: TreePolicy) -> None:
    """Show one's withdrawn message again while no moderator has decided. A repeat changes nothing. Raise NotFound,
    NotAllowed, Conflict `already_deleted`, Busy `rate_limited`.
    """
    ratelimit.count_use(ratelimit.WITHDRAWALS, author.pk)
    with transaction.atomic(durable=True):
        require_member_now(author)
        locked, message = _lock_own_message(author, message_id, policy)
        proposals.refuse_deleted(message)
        if message.withdrawn:
            withdrawal_effects.show(locked, message, status=Withdrawal.Status.UNDONE, actor=author, answer="")
            transitions.advance(locked, actor=author)


def _own_message(user: User, message_id: UUID) -> Message:
    message = Message.objects.filter(pk=message_id, author=user).defer("search", "imported").first()
    if message is None:
        raise message_unavailable()
    return message


def _lock_own_message(author: User, message_id: UUID, policy: TreePolicy) -> tuple[LockedTree, Message]:
    locked = lock_tree(_own_message(author, message_id).tree_id, policy)
    message = locked.message(message_id)
    if message.author_id != author.pk:  # accounts were merged meanwhile
        raise message_unavailable()
    return locked, message


def _refuse_repetition(message: Message, *, has_replies: bool, in_data_set: bool) -> None:
    """Raise Conflict if a moderator refused an earlier withdrawal and nothing relevant has changed."""
    if not has_replies or in_data_set:
        return
    refused = Withdrawal.objects.filter(message=message, status=Withdrawal.Status.REFUSED).order_by("-pk").first()
    if refused is not None:
        raise Conflict(
            f"A moderator has decided that this text stays: {refused.answer}",
            code="withdrawal_refused",
            hint="When its conversation is in the data set, you can still have the next snapshot leave it out.",
        )
