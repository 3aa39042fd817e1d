"""Imported conversations that wait to be ranked, and when their turn comes.

Like the lottery: by the next person who asks for work in that language while rankers have room, under the same lock.
"""

from django.db import transaction

from oasst.core.locks import advisory_lock
from tasks.supply import read_supply
from trees.lifecycle import demand, transitions
from trees.lifecycle.locked_tree import lock_tree
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import MessageTree

LOOKED_AT = 10  # so that the one request that pays for it stays quick, also when there is nothing to rank in them


def activate(lang: str, policy: TreePolicy) -> int:
    """Bring the oldest waiting conversation of the language to the rankers if they have room. Returns how many came.

    Those in which nothing can be ranked are not accepted, and the next is looked at.
    """
    with transaction.atomic(durable=True):
        advisory_lock("lottery", lang)
        if not read_supply(lang, policy).to_activate():
            return 0
        waiting = MessageTree.objects.filter(lang=lang, state=State.BACKLOG_RANKING.value)
        # What somebody else has locked is passed by: it may leave the backlog this very moment.
        claimed = waiting.select_for_update(skip_locked=True, no_key=True).order_by("number")[:LOOKED_AT]
        for tree_id in list(claimed.values_list("pk", flat=True)):
            locked = lock_tree(tree_id, policy)
            can_be_ranked = bool(demand.rankable_children(locked))
            if can_be_ranked:
                transitions.start_ranking(locked, reason="Rankers have room for it.")
            else:
                transitions.abort(locked, reason="Nothing in it can be ranked.")
            transitions.advance(locked)
            if can_be_ranked:
                return 1
    return 0
