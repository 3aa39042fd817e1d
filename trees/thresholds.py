"""What happens by itself when many people complain about a message or do not want to answer it.

One transaction of its own, set off by the flag or the skip after its commit; never inside a read. Safe to run twice.
"""

from uuid import UUID

from django.db import transaction

from trees import removal, transitions
from trees.in_hand import TreeInHand, lock_tree
from trees.models import Message, Reaction, Skip
from trees.policy import TreePolicy
from trees.states import State

WATCHED = frozenset({State.INITIAL_PROMPT_REVIEW, State.PROMPT_LOTTERY_WAITING, State.GROWING})


def apply(*, message_id: UUID, policy: TreePolicy) -> bool:
    """Act if the message has reached a threshold of the policy. Returns whether anything changed.

    Red flags take away a reply with everything below it, and end the tree of a prompt; people who skip answering stop
    the tree, so that a moderator looks. Both can be undone. Finished trees are left to moderators.
    """
    tree_id = Message.objects.filter(pk=message_id).values_list("tree_id", flat=True).first()
    if tree_id is None:
        return False
    with transaction.atomic(durable=True):
        hand = lock_tree(tree_id, policy)
        message = hand.message(message_id)
        if message.deleted or hand.state not in WATCHED:
            return False
        acted = _flags(hand, message) or _skips(hand, message)
        if acted:
            transitions.advance(hand)
        return acted


def _flags(hand: TreeInHand, message: Message) -> bool:
    flags = Reaction.objects.filter(message=message, emoji=Reaction.RED_FLAG).count()
    if flags < hand.policy.auto_mod_red_flags:
        return False
    reason = f"{flags} people flagged it."
    if message.parent_id is None:
        transitions.abort(hand, reason=reason)
    else:
        removal.remove(hand, message, actor=None, reason=reason)
    return True


def _skips(hand: TreeInHand, message: Message) -> bool:
    skips = Skip.objects.filter(message=message, kind=Skip.Kind.REPLY).count()
    if skips < hand.policy.auto_mod_max_skip_reply:
        return False
    transitions.halt(hand, reason=f"{skips} people did not want to answer one message.")
    return True
