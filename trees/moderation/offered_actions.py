"""Which moderators' actions a page offers: only those that the services would not refuse. Reads only.

The services check again under their locks.
"""

from collections.abc import Callable, Collection
from uuid import UUID

from oasst.accounts.models import User
from oasst.core.errors import Conflict
from trees.contributing import withdrawal_effects
from trees.lifecycle.states import State
from trees.models import Deletion, Message, MessageTree, Proposal, Purge, Reaction, Withdrawal
from trees.moderation import removal


def is_own(message: Message, actor: User) -> bool:
    """Return True if the actor wrote it: nobody decides about complaints against their own message."""
    return message.author_id == actor.pk


def was_complained_about(message: Message) -> bool:
    """Return True if restoring the message would reject complaints."""
    flags = Reaction.objects.filter(message=message, emoji=Reaction.RED_FLAG, voided_at=None)
    return any(rows.exists() for rows in (message.proposals, message.reports, flags))


def has_open_proposal(message: Message) -> bool:
    """Return True if a removal is proposed, or a moderator hid it; a new text answers that too."""
    return Proposal.objects.filter(message=message, status__in=Proposal.IN_FORCE).exists()


def may_edit(message: Message, actor: User) -> bool:
    """Return True if `moderator_actions.edit_message` accepts it."""
    if message.withdrawn or (is_own(message, actor) and has_open_proposal(message)):
        return False
    return not message.deleted or _passes(removal.refuse_purged, [message.pk])  # a purge deletes messages


def may_undelete(deletion: Deletion, actor: User) -> bool:
    """Return True if `moderator_actions.undelete` accepts it."""
    message = deletion.message
    if deletion.undone_at is not None or (message.parent is not None and message.parent.deleted):
        return False
    overrules = deletion.actor_id != actor.pk or was_complained_about(message)
    if overrules and is_own(message, actor):
        return False
    checks = (withdrawal_effects.refuse_restoring, removal.refuse_purged)
    return all(_passes(check, deletion.message_ids) for check in checks)


def withdrawal_actions(withdrawal: Withdrawal) -> set[str]:
    """Return which of `grant` and `refuse` the services `grant_withdrawal` and `refuse_withdrawal` accept."""
    if withdrawal.status != Withdrawal.Status.OPEN or withdrawal.message.deleted:
        return set()
    return {"grant"} if withdrawal.tree.state == State.READY_FOR_EXPORT else {"grant", "refuse"}


def may_resume(tree: MessageTree, actor: User) -> bool:
    """Return True if `moderator_actions.resume` accepts it."""
    prompt = Message.objects.only("deleted", "review_result", "author").get(pk=tree.pk)
    if prompt.deleted or tree.state not in (State.HALTED_BY_MODERATOR, State.ABORTED_LOW_GRADE):
        return False
    stopping = Proposal.objects.filter(tree=tree, status__in=Proposal.IN_FORCE, stops=True, message__deleted=False)
    if stopping.filter(message__author=actor).exists():
        return False
    return tree.state == State.HALTED_BY_MODERATOR or not (prompt.review_result is False or is_own(prompt, actor))


def is_purged(user: User) -> bool:
    """Return True if a purge shuts this user out until it is undone."""
    return Purge.objects.filter(person=user, stage__in=Purge.ACTIVE_STAGES).exists()


def _passes(refuse: Callable[[Collection[UUID]], None], message_ids: Collection[UUID]) -> bool:
    """Return True if this check of a service raises no Conflict."""
    try:
        refuse(message_ids)
    except Conflict:
        return False
    return True
