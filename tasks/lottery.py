"""The prompt lottery: which accepted prompts may grow.

A request for work draws for its language; submissions, page views and periodic jobs do not. Each draw is a transaction
under one lock per language, so the target is never exceeded.
"""

import random
from collections import defaultdict
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from oasst.core.after_commit import enqueue_once
from oasst.core.locks import advisory_lock
from tasks.supply import read_supply
from trees import jobs
from trees.lifecycle import transitions
from trees.lifecycle.locked_tree import lock_tree
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import Message

DRAWS_AT_ONCE = 2  # keeps the request that draws quick


def draw(lang: str, policy: TreePolicy, *, limit: int = DRAWS_AT_ONCE) -> int:
    """Let up to `limit` waiting prompts grow while the language has room. Return how many did."""
    with transaction.atomic(durable=True):
        advisory_lock("lottery", lang)
        room = min(limit, read_supply(lang, policy).prompts_to_draw())
        chosen = _choose(lang, room) if room else []
        if len(chosen) < room:
            _stop_banned(lang)
        for tree_id in sorted(chosen):
            locked = lock_tree(tree_id, policy)
            if locked.state == State.PROMPT_LOTTERY_WAITING and not locked.root.deleted:
                transitions.start_growing(locked, reason="Drawn by lot.")
            transitions.advance(locked)
    return len(chosen)


def _choose(lang: str, number: int) -> list[UUID]:
    """Draw authors, then one prompt of each, so that writing many prompts does not raise an author's chance."""
    waiting = _waiting(lang).exclude(author__enabled=False)
    by_author: dict[UUID | None, list[UUID]] = defaultdict(list)
    for tree_id, author_id in waiting.order_by("pk").values_list("tree_id", "author_id"):
        by_author[author_id].append(tree_id)
    chosen: list[UUID] = []
    while by_author and len(chosen) < number:
        prompts = by_author.pop(random.choice(list(by_author)))
        chosen.append(random.choice(prompts))
    return chosen


def _stop_banned(lang: str) -> None:
    """Start the job that halts waiting prompts of banned authors, which count towards the limit. There are some if a
    prompt was accepted at the moment of the ban, or if the job of the ban has not run yet.
    """
    banned = _waiting(lang).filter(author__enabled=False).values_list("author", flat=True).distinct()
    for author_id in banned[:DRAWS_AT_ONCE]:
        enqueue_once(jobs.follow_standing, str(author_id))


def _waiting(lang: str) -> QuerySet[Message]:
    return Message.objects.filter(
        parent=None, tree__lang=lang, tree__state=State.PROMPT_LOTTERY_WAITING.value, deleted=False
    )
