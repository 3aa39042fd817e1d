"""Which accepted prompts may grow, and how many new prompts a language wants.

The draw is made by the next person who asks for work in that language: never by a submission, a page view or only by
the clock. Each draw is a transaction of its own under one lock per language, so the target is never overshot.
"""

import random
from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Count
from django.utils import timezone

from oasst.core.locks import advisory_lock
from tasks.kinds import Kind
from tasks.models import Task
from trees import transitions
from trees.in_hand import lock_tree
from trees.models import Message, MessageTree
from trees.policy import TreePolicy
from trees.states import State

DRAWS_AT_ONCE = 2  # so that the one request that pays for the draw stays quick
WRITING_TIME = timedelta(minutes=30)  # how long somebody who took a prompt task counts as writing


@dataclass(frozen=True)
class Supply:
    """The prompts of one language by where they are."""

    in_review: int
    waiting: int
    growing: int

    def wanted(self, policy: TreePolicy, being_written: int = 0) -> int:
        """How many new prompts the language wants: what growing and reviewing lack, while the waiting room has room."""
        missing = max(0, policy.max_active_trees - self.growing)
        review_room = max(0, policy.max_initial_prompt_review - self.in_review)
        lottery_room = max(0, policy.max_prompt_lottery_waiting - self.waiting)
        return max(0, min(missing + review_room, lottery_room) - being_written)

    def can_draw(self, policy: TreePolicy) -> bool:
        return self.waiting > 0 and self.growing < policy.max_active_trees


def read_supply(lang: str) -> Supply:
    """One statement on a partial index: finished trees cost nothing."""
    states = [State.INITIAL_PROMPT_REVIEW, State.PROMPT_LOTTERY_WAITING, State.GROWING]
    rows = MessageTree.objects.filter(lang=lang, state__in=[state.value for state in states])
    counts = dict(rows.values_list("state").annotate(n=Count("pk")))
    return Supply(*(counts.get(state.value, 0) for state in states))


def being_written(lang: str) -> int:
    """People who are writing a first prompt in this language right now."""
    since = timezone.now() - WRITING_TIME
    return Task.objects.filter(
        kind=Kind.INITIAL_PROMPT.value, lang=lang, status=Task.Status.OPEN, created_at__gte=since
    ).count()


def draw(lang: str, policy: TreePolicy, *, limit: int = DRAWS_AT_ONCE) -> int:
    """Let up to `limit` waiting prompts grow while the language has room. Returns how many did."""
    with transaction.atomic(durable=True):
        advisory_lock("lottery", lang)
        room = policy.max_active_trees - read_supply(lang).growing
        chosen = _choose(lang, min(limit, room)) if room > 0 else []
        for tree_id in sorted(chosen):
            hand = lock_tree(tree_id, policy)
            if hand.state == State.PROMPT_LOTTERY_WAITING and not hand.root.deleted:
                transitions.start_growing(hand, reason="Drawn by lot.")
            transitions.advance(hand)
    return len(chosen)


def _choose(lang: str, number: int) -> list[UUID]:
    """Draw authors, then one prompt of each: writing many prompts does not raise anybody's chance."""
    waiting = Message.objects.filter(
        parent=None, tree__lang=lang, tree__state=State.PROMPT_LOTTERY_WAITING.value, deleted=False
    ).exclude(author__enabled=False)
    by_author: dict[UUID | None, list[UUID]] = defaultdict(list)
    for tree_id, author_id in waiting.values_list("tree_id", "author_id"):
        by_author[author_id].append(tree_id)
    chosen: list[UUID] = []
    while by_author and len(chosen) < number:
        prompts = by_author.pop(random.choice(list(by_author)))
        chosen.append(random.choice(prompts))
    return chosen
