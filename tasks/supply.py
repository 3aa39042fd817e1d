"""How many first prompts a language has and wants. Reads only."""

from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Count
from django.utils import timezone

from tasks.kinds import Kind
from tasks.models import Task
from trees.models import MessageTree
from trees.policy import TreePolicy
from trees.states import State

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

    def to_draw(self, policy: TreePolicy) -> int:
        """How many waiting prompts the next request for work may let grow."""
        return min(self.waiting, max(0, policy.max_active_trees - self.growing))


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
