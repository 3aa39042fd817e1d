"""An author withdraws a text of their own. Outer writers: each function is one transaction, and locks the tree row.

It needs an account in good standing and no agreement to the present terms: who does not agree to them may still
withdraw what was given under earlier ones.
"""

from dataclasses import dataclass
from uuid import UUID

from django.db import transaction

from oasst.accounts.locks import require_member_now
from oasst.accounts.models import User
from oasst.core import ratelimit
from oasst.core.errors import Conflict, DomainError
from oasst.core.text.validation import clean_remark
from trees.access import no_such_message
from trees.contributing import withdrawal_effects
from trees.lifecycle import demand, transitions
from trees.lifecycle.locked_tree import LockedTree, lock_tree
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import Message, MessageTree, Withdrawal
from trees.moderation import proposals, removal

LONGEST_REMARK = 500


@dataclass(frozen=True)
class Outlook:
    """What withdrawing this message would do now, or why it cannot be done."""

    message: Message
    has_replies: bool
    """Of others, that are not deleted."""
    in_data_set: bool
    refusal: DomainError | None = None
    """Also where there is nothing left to do."""
    waiting: Withdrawal | None = None
    """The open withdrawal, which its author can undo."""


def get_outlook_for(person: User, message_id: UUID) -> Outlook:
    """For the page that asks. Raises NotFound, also of what somebody else wrote. Until the act things may change."""
    message = _own_message(person, message_id)
    tree = MessageTree.objects.get(pk=message.tree_id)
    messages = Message.objects.filter(tree=tree).defer("text", "search", "imported")
    has_replies = withdrawal_effects.has_replies_of_others(message, demand.below(messages, message))
    in_data_set = tree.state == State.READY_FOR_EXPORT
    waiting = withdrawal_effects.latest(message_id) if withdrawal_effects.hides(message) else None
    try:
        proposals.refuse_deleted(message)
        if waiting is None:
            _refuse_once_refused(message, has_replies=has_replies, in_data_set=in_data_set)
    except DomainError as error:
        return Outlook(message, has_replies, in_data_set, refusal=error, waiting=waiting)
    return Outlook(message, has_replies, in_data_set, waiting=waiting)


def withdraw(*, message_id: UUID, author: User, reason: str = "", policy: TreePolicy) -> Withdrawal:
    """Withdraw one's own message. With no replies of others it is deleted, own ones below it too; else it is hidden.
    Of a message that is withdrawn already it changes nothing, so it may be sent twice.

    Raises NotFound, NotAllowed (as `access.require_member`), Invalid (the reason), Conflict (`already_deleted`,
    `withdrawal_refused`), Busy `rate_limited`.
    """
    ratelimit.spend(ratelimit.WITHDRAWALS, author.pk)
    reason = clean_remark(reason, limit=LONGEST_REMARK, field="reason")
    with transaction.atomic(durable=True):
        require_member_now(author)
        locked, message = _lock_own_message(author, message_id, policy)
        if message.withdrawn:
            return withdrawal_effects.latest(message_id)
        proposals.refuse_deleted(message)
        has_replies = withdrawal_effects.has_replies_of_others(message, demand.below(locked.messages.values(), message))
        _refuse_once_refused(message, has_replies=has_replies, in_data_set=locked.state == State.READY_FOR_EXPORT)
        if has_replies:
            made = withdrawal_effects.hide(locked, message, actor=author, reason=reason)
        else:
            deletion = removal.remove(locked, message, actor=author, reason=withdrawal_effects.REASON)
            made = withdrawal_effects.keep_out_at_once(locked, message, deletion, reason=reason)
        transitions.advance(locked, actor=author)
        return made


def undo(*, message_id: UUID, author: User, policy: TreePolicy) -> None:
    """Let one's own message be seen again that one had withdrawn, while no moderator has decided. Of one that is not
    withdrawn, or not any more, it changes nothing.

    Raises NotFound, NotAllowed, Conflict `already_deleted`, Busy `rate_limited`.
    """
    ratelimit.spend(ratelimit.WITHDRAWALS, author.pk)
    with transaction.atomic(durable=True):
        require_member_now(author)
        locked, message = _lock_own_message(author, message_id, policy)
        proposals.refuse_deleted(message)
        if message.withdrawn:
            withdrawal_effects.show(locked, message, status=Withdrawal.Status.UNDONE, actor=author, answer="")
            transitions.advance(locked, actor=author)


def _own_message(person: User, message_id: UUID) -> Message:
    message = Message.objects.filter(pk=message_id, author=person).defer("search", "imported").first()
    if message is None:
        raise no_such_message()
    return message


def _lock_own_message(author: User, message_id: UUID, policy: TreePolicy) -> tuple[LockedTree, Message]:
    locked = lock_tree(_own_message(author, message_id).tree_id, policy)
    message = locked.message(message_id)
    if message.author_id != author.pk:  # two people became one meanwhile
        raise no_such_message()
    return locked, message


def _refuse_once_refused(message: Message, *, has_replies: bool, in_data_set: bool) -> None:
    """What a moderator decided stands while what was decided about is the same."""
    if not has_replies or in_data_set:
        return
    refused = Withdrawal.objects.filter(message=message, status=Withdrawal.Status.REFUSED).order_by("-pk").first()
    if refused is not None:
        raise Conflict(
            f"A moderator has decided that this text stays: {refused.answer}",
            code="withdrawal_refused",
            hint="When its conversation is in the data set, you can still have the next snapshot leave it out.",
        )
