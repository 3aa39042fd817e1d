"""What happens by itself when many people complain about a message or do not want to answer it.

One transaction of its own, set off by the flag or the skip after its commit; never inside a read. Safe to run twice.
"""

from uuid import UUID

from django.db import transaction

from trees import proposals, transitions, voices
from trees.in_hand import TreeInHand, lock_tree
from trees.models import Message, Proposal
from trees.policy import TreePolicy


def apply(*, message_id: UUID, policy: TreePolicy) -> bool:
    """Propose to the moderators what enough voices say (`trees.voices`). Returns whether anything changed.

    Red flags hide the message, and stop the tree of a prompt; people who skip answering stop the tree. Nothing is
    deleted by it. Where the tree is finished, or a moderator has decided before, there is only a row in the queue.
    """
    tree_id = Message.objects.filter(pk=message_id).values_list("tree_id", flat=True).first()
    if tree_id is None:
        return False
    with transaction.atomic(durable=True):
        hand = lock_tree(tree_id, policy)
        message = hand.message(message_id)
        if message.is_withheld:
            return False
        acted = _flags(hand, message) or _skips(hand, message)
        if acted:
            transitions.advance(hand)
        return acted


def _flags(hand: TreeInHand, message: Message) -> bool:
    flags = voices.count_flags(message.pk, hand.policy)
    # What was decided once is asked again as soon as anybody who counts doubts it.
    enough = 1 if message.kept_at else hand.policy.auto_mod_red_flags
    return flags >= enough and proposals.propose(hand, message, kind=Proposal.Kind.FLAGS, voices=flags)


def _skips(hand: TreeInHand, message: Message) -> bool:
    skips = voices.count_skips(message.pk, hand.policy)
    enough = hand.policy.auto_mod_max_skip_reply
    return skips >= enough and proposals.propose(hand, message, kind=Proposal.Kind.SKIPS, voices=skips)
