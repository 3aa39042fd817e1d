"""The backlog: imported conversations that wait to be ranked.

As in the lottery, a request for work in a language activates one, under the same lock, while the rankers need more.
"""

from django.db import transaction

from oasst.core.locks import advisory_lock
from tasks.supply import read_supply
from trees.lifecycle import demand, transitions
from trees.lifecycle.locked_tree import lock_tree
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import MessageTree

MAX_TREES_CHECKED = 10  # trees in one request: it stays quick even if none of them has anything to rank


def activate(lang: str, policy: TreePolicy) -> int:
    """Move the oldest waiting conversation to ranking if the language needs one. Return how many moved: 0 or 1.

    Conversations without anything to rank are aborted on the way.
    """
    with transaction.atomic(durable=True):
        advisory_lock("lottery", lang)
        if not read_supply(lang, policy).trees_to_activate():
            return 0
        waiting = MessageTree.objects.filter(lang=lang, state=State.BACKLOG_RANKING.value)
        # Skip locked trees: another transaction may be taking them out of the backlog.
        claimed = waiting.select_for_update(skip_locked=True, no_key=True).order_by("number")[:MAX_TREES_CHECKED]
        for tree_id in list(claimed.values_list("pk", flat=True)):
            locked = lock_tree(tree_id, policy)
            can_be_ranked = bool(demand.rankable_replies(locked))
            if can_be_ranked:
                transitions.start_ranking(locked, reason="Rankers have room for it.")
            else:
                transitions.abort(locked, reason="Nothing in it can be ranked.")
            transitions.advance(locked)
            if can_be_ranked:
                return 1
    return 0
