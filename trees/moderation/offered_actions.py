"""Which of the moderators' acts a page offers to somebody: what the services would refuse is not offered. Reads only.

Between the page and the act things may change, so the services ask all of it again, under their locks.
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
    """Nobody decides for themselves that complaints are wrong."""
    return message.author_id == actor.pk


def was_complained_about(message: Message) -> bool:
    """To bring it back would say that the complaints are wrong."""
    flags = Reaction.objects.filter(message=message, emoji=Reaction.RED_FLAG, voided_at=None)
    return any(rows.exists() for rows in (message.proposals, message.reports, flags))


def waits_for_a_moderator(message: Message) -> bool:
    """Is its removal proposed? A new text answers that as well."""
    return Proposal.objects.filter(message=message, status=Proposal.Status.OPEN).exists()


def may_edit(message: Message, actor: User) -> bool:
    """See `moderator_actions.edit_message`."""
    if message.withdrawn or (is_own(message, actor) and waits_for_a_moderator(message)):
        return False
    return not message.deleted or _passes(removal.refuse_purged, [message.pk])  # a purge deletes


def may_undelete(deletion: Deletion, actor: User) -> bool:
    """See `moderator_actions.undelete`."""
    message = deletion.message
    if deletion.undone_at is not None or (message.parent is not None and message.parent.deleted):
        return False
    asks = deletion.actor_id != actor.pk or was_complained_about(message)
    if asks and is_own(message, actor):
        return False
    checks = (withdrawal_effects.refuse_to_bring_back, removal.refuse_purged)
    return all(_passes(check, deletion.message_ids) for check in checks)


def about_withdrawal(withdrawal: Withdrawal) -> set[str]:
    """`grant` and `refuse`, as far as `moderator_actions.grant_withdrawal` and `refuse_withdrawal` take them."""
    if withdrawal.status != Withdrawal.Status.OPEN or withdrawal.message.deleted:
        return set()
    return {"grant"} if withdrawal.tree.state == State.READY_FOR_EXPORT else {"grant", "refuse"}


def may_resume(tree: MessageTree, actor: User) -> bool:
    """See `moderator_actions.resume`."""
    prompt = Message.objects.only("deleted", "review_result", "author").get(pk=tree.pk)
    if prompt.deleted or tree.state not in (State.HALTED_BY_MODERATOR, State.ABORTED_LOW_GRADE):
        return False
    stopping = Proposal.objects.filter(tree=tree, status=Proposal.Status.OPEN, stops=True, message__deleted=False)
    if stopping.filter(message__author=actor).exists():
        return False
    return tree.state == State.HALTED_BY_MODERATOR or not (prompt.review_result is False or is_own(prompt, actor))


def is_purged(person: User) -> bool:
    """Only the undo of the purge lets this person in again."""
    return Purge.objects.filter(person=person, stage__in=Purge.STANDING).exists()


def _passes(refuse: Callable[[Collection[UUID]], None], message_ids: Collection[UUID]) -> bool:
    """Whether this check of a service would let the act pass."""
    try:
        refuse(message_ids)
    except Conflict:
        return False
    return True
