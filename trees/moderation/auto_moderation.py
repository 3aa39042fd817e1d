"""Automatic moderation: what happens when many people complain about a message or skip answering it.

One transaction of its own, started by a flag or skip after its commit. Safe to run twice.
"""

from uuid import UUID

from django.db import transaction

from trees.lifecycle import transitions
from trees.lifecycle.locked_tree import lock_tree
from trees.lifecycle.policy import TreePolicy
from trees.models import Message, Proposal
from trees.moderation import complaint_weights, proposals


def moderate(*, message_id: UUID, policy: TreePolicy) -> bool:
    """Propose a removal if enough complainants count (`trees.moderation.complaint_weights`). Return True on any change.

    Red flags hide the message and halt the tree of a prompt; skips of answering halt the tree. Nothing is deleted. It
    only adds a row to the queue if the tree is finished, if a moderator has decided before, or if too many of the
    complainants already act on other messages.
    """
    tree_id = Message.objects.filter(pk=message_id).values_list("tree_id", flat=True).first()
    if tree_id is None:
        return False
    with transaction.atomic(durable=True):
        locked = lock_tree(tree_id, policy)
        message = locked.message(message_id)
        if message.is_withheld:
            return False
        for kind, weigh, limit in (
            (Proposal.Kind.FLAGS, complaint_weights.weigh_flags, locked.policy.auto_mod_red_flags),
            (Proposal.Kind.SKIPS, complaint_weights.weigh_skips, locked.policy.auto_mod_max_skip_reply),
        ):
            weight = weigh(message_id, policy)
            # After a moderator's decision a single flag that counts is enough to ask again.
            enough = weight.voices >= (1 if message.kept_at and kind == Proposal.Kind.FLAGS else limit)
            may_act = weight.acting >= limit
            if enough and proposals.propose(locked, message, kind=kind, voices=weight.voices, may_act=may_act):
                transitions.advance(locked)
                return True
        return False


def recount(*, person_id: UUID, policy: TreePolicy) -> int:
    """Recount what a user's complaints hid or halted, after a ban, purge, merge or closing of the account.

    Too few complaints show the message again and resume the tree; the proposal stays in the queue. Return how many
    proposals act less. One transaction per tree; safe to run twice.
    """
    return sum(_recount(message_id, policy) for message_id in complaint_weights.messages_acted_on(person_id))


def _recount(message_id: UUID, policy: TreePolicy) -> bool:
    with transaction.atomic(durable=True):
        locked = lock_tree(Message.objects.values_list("tree_id", flat=True).get(pk=message_id), policy)
        message = locked.message(message_id)
        flagged = complaint_weights.count_flags(message_id, policy) >= locked.policy.auto_mod_red_flags
        skipped = complaint_weights.count_skips(message_id, policy) >= locked.policy.auto_mod_max_skip_reply
        stops = skipped or (flagged and message.parent_id is None)
        changed = proposals.reduce_effect(locked, message, hides=flagged, stops=stops)
        if changed:
            transitions.advance(locked)
        return changed
