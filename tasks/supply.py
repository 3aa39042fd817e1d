"""How many unfinished conversations a language has, and how many its people can finish in time. Reads only.

docs/decisions/0019-a-language-takes-as-many-prompts-as-its-people-can-carry.md explains the formula.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from math import ceil

from django.utils import timezone

from tasks import hot
from trees.lifecycle.consensus import ReviewRule, Vote
from trees.lifecycle.policy import TreePolicy

WRITING_TIME = timedelta(minutes=30)  # how long a user counts as writing after taking a prompt task
HISTORY_WEEKS = 4  # older work says little about next week
ACCEPTANCE_RATE = 0.9  # share of accepted replies in the reference's data set
MIN_UNFINISHED = 3  # with fewer, users find only work about their own words


@dataclass(frozen=True)
class WorkAmounts:
    """Numbers of reviews, replies and rankings: the work done, or the work that one tree needs."""

    reviews: float
    replies: float
    rankings: float


@cache
def work_per_tree(policy: TreePolicy) -> WorkAmounts:
    """Return the average work on a tree of this policy from its first prompt to the data set."""
    replies = (policy.goal_tree_size - 1) / ACCEPTANCE_RATE
    reviews = _reviews_until_decided(policy.prompt_rule) / ACCEPTANCE_RATE
    reviews += replies * _reviews_until_decided(policy.reply_rule)
    # A full family is a message, its answers and their follow-ups. A single answer needs no ranking.
    families = round((policy.goal_tree_size - 1) / (policy.max_children_count + policy.num_prompter_replies))
    rankings = max(1, families) * policy.num_required_rankings if policy.max_children_count > 1 else 0
    return WorkAmounts(reviews, replies, rankings)


def _reviews_until_decided(rule: ReviewRule) -> float:
    """Return the expected number of reviews of one message: reviewing stops when the outcome is certain."""

    @cache  # without it, each further review would double the work
    def remaining(votes: int, rejecting: int) -> float:
        given = [Vote(True)] * rejecting + [Vote(False)] * (votes - rejecting)
        if rule.verdict(given) is not None:
            return 0
        return (
            1
            + ACCEPTANCE_RATE * remaining(votes + 1, rejecting)
            + (1 - ACCEPTANCE_RATE) * remaining(votes + 1, rejecting + 1)
        )

    return remaining(0, 0)


@dataclass(frozen=True)
class Supply:
    """The number of conversations of one language by stage, and what its people did in the last weeks."""

    policy: TreePolicy  # of the language
    in_review: int = 0
    waiting: int = 0  # for the lottery; counted up to the policy's cap
    growing: int = 0  # without those that offer no work until a moderator decides about a hidden message
    ranking: int = 0  # without the backlog's
    in_ranking: int = 0  # with the backlog's
    backlog: bool = False  # True if the backlog has any
    being_written: int = 0  # users who are writing a first prompt
    done: WorkAmounts | None = None  # None: the language has no history
    weeks: float = 0  # over which `done` was counted
    checked_kinds: frozenset[str] = frozenset()  # kinds of review with enough gold messages
    seconds: Mapping[str, int] = field(default_factory=dict)  # kind → what a task usually takes, if that is known

    @property
    def unfinished(self) -> int:
        return self.in_review + self.waiting + self.growing + self.ranking

    @property
    def pace(self) -> float | None:
        """Return how many conversations a week the people of the language can carry; None without history.

        The scarcest kind of work decides; rankings count only while more conversations are in ranking than grow.
        A new language starts with an assumed week that fills `max_active_trees`, which fades out within four weeks.
        """
        if self.done is None:
            return None
        need = work_per_tree(self.policy)
        works = [(self.done.reviews, need.reviews), (self.done.replies, need.replies)]
        if self.ranking > self.growing:
            works.append((self.done.rankings, need.rankings))
        carried = [done / needed for done, needed in works if needed]
        assumed = 1 - self.weeks / HISTORY_WEEKS
        start = self.policy.max_active_trees / self.policy.weeks_unfinished
        return (min(carried) + assumed * start) / (self.weeks + assumed)

    @property
    def max_unfinished(self) -> int | None:
        """Return how many unfinished conversations give everybody work while each still ends within a few weeks."""
        pace = self.pace
        return None if pace is None else max(MIN_UNFINISHED, ceil(pace * self.policy.weeks_unfinished))

    @property
    def max_growing(self) -> int:
        limit = self.max_unfinished
        return self.policy.max_active_trees if limit is None else min(self.policy.max_active_trees, limit)

    def prompts_wanted(self) -> int:
        """Return how many new prompts the language needs besides those that are being written."""
        missing = max(0, self.max_growing - self.growing)
        limits = [missing + max(0, self.review_room), self.lottery_room]
        if self.max_unfinished is not None:
            limits.append(self.max_unfinished - self.unfinished)
        return max(0, min(limits) - self.being_written)

    @property
    def review_room(self) -> int:
        return self.policy.max_initial_prompt_review - self.in_review

    @property
    def lottery_room(self) -> int:
        return self.policy.max_prompt_lottery_waiting - self.waiting

    def prompts_to_draw(self) -> int:
        """Return how many waiting prompts the next request for work may let grow."""
        return max(0, min(self.waiting, self.max_growing - self.growing))

    def trees_to_activate(self) -> int:
        """Return how many backlog conversations the rankers need; the backlog may hold fewer."""
        return max(0, self.policy.min_active_rankings - self.in_ranking) if self.backlog else 0


def read_supply(lang: str, policy: TreePolicy) -> Supply:
    """Read the supply of a language. One statement on partial indexes: finished trees and past work cost nothing."""
    rules = policy.in_language(lang)
    *counts, reviews, replies, rankings, since, checked_kinds, seconds = hot.count_supply(
        lang, max_waiting=max(1, rules.max_prompt_lottery_waiting), writing_since=timezone.now() - WRITING_TIME
    )
    supply = Supply(rules, *counts)
    if since is None:
        return supply
    weeks = min(HISTORY_WEEKS, max(timedelta(0), timezone.now() - since) / timedelta(weeks=1))
    done = WorkAmounts(reviews, replies, rankings)
    return replace(supply, done=done, weeks=weeks, checked_kinds=frozenset(checked_kinds), seconds=seconds)
