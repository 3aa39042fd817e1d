"""What happens by itself when many people complain about a message or do not want to answer it.

One transaction of its own, set off by the flag or the skip after its commit; never inside a read. Safe to run twice.
"""

from uuid import UUID

from django.db import transaction

from trees.lifecycle import transitions
from trees.lifecycle.locked_tree import LockedTree, lock_tree
from trees.lifecycle.policy import TreePolicy
from trees.models import Message, Proposal
from trees.moderation import complaint_weights, proposals


def apply(*, message_id: UUID, policy: TreePolicy) -> bool:
    """Propose to the moderators what enough voices say (`trees.moderation.complaint_weights`). Returns whether anything
    changed.

    Red flags hide the message, and stop the tree of a prompt; people who skip answering stop the tree. Nothing is
    deleted by it. Where the tree is finished, a moderator has decided before, or too many of them hide and stop enough
    elsewhere, there is only a row in the queue.
    """
    tree_id = Message.objects.filter(pk=message_id).values_list("tree_id", flat=True).first()
    if tree_id is None:
        return False
    with transaction.atomic(durable=True):
        locked = lock_tree(tree_id, policy)
        message = locked.message(message_id)
        if message.is_withheld:
            return False
        acted = _flags(locked, message) or _skips(locked, message)
        if acted:
            transitions.advance(locked)
        return acted


def _flags(locked: LockedTree, message: Message) -> bool:
    flags, wanted = complaint_weights.hear_flags(message.pk, locked.policy), locked.policy.auto_mod_red_flags
    # What was decided once is asked again as soon as anybody who counts doubts it.
    enough = 1 if message.kept_at else wanted
    return flags.voices >= enough and _propose(locked, message, Proposal.Kind.FLAGS, flags, wanted)


def _skips(locked: LockedTree, message: Message) -> bool:
    skips, enough = complaint_weights.hear_skips(message.pk, locked.policy), locked.policy.auto_mod_max_skip_reply
    return skips.voices >= enough and _propose(locked, message, Proposal.Kind.SKIPS, skips, enough)


def _propose(
    locked: LockedTree, message: Message, kind: Proposal.Kind, heard: complaint_weights.Heard, enough: int
) -> bool:
    return proposals.propose(locked, message, kind=kind, voices=heard.voices, may_act=heard.acting >= enough)


def recount(*, person_id: UUID, policy: TreePolicy) -> int:
    """Somebody was banned or purged, closed their account, or is one with somebody else now: what their complaints
    helped to hide or to stop is shown and goes on, where too few still say the same. It stays in the moderators' queue.
    Returns how many proposals act less.

    One transaction a tree; safe to run twice.
    """
    return sum(_recount(message_id, policy) for message_id in complaint_weights.messages_acted_on(person_id))


def _recount(message_id: UUID, policy: TreePolicy) -> bool:
    with transaction.atomic(durable=True):
        locked = lock_tree(Message.objects.values_list("tree_id", flat=True).get(pk=message_id), policy)
        message = locked.message(message_id)
        flagged = complaint_weights.count_flags(message_id, policy) >= policy.auto_mod_red_flags
        skipped = complaint_weights.count_skips(message_id, policy) >= policy.auto_mod_max_skip_reply
        stops = skipped or (flagged and message.parent_id is None)
        changed = proposals.act_less(locked, message, hides=flagged, stops=stops)
        if changed:
            transitions.advance(locked)
        return changed
