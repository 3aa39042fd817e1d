"""How many conversations a language has unfinished, and how many its people can carry. Reads only.

The measure stands in `docs/decisions/0019-supply-follows-capacity.md`.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from math import ceil

from django.utils import timezone

from tasks import hot
from trees.lifecycle.consensus import ReviewRule
from trees.lifecycle.policy import TreePolicy

WRITING_TIME = timedelta(minutes=30)  # how long somebody who took a prompt task counts as writing
WATCHED_WEEKS = 4  # what people did before that says little about next week
ACCEPTED = 0.9  # of the replies of the reference's data set
FEWEST_UNFINISHED = 3  # so that people also find work that is not about their own words


@dataclass(frozen=True)
class Work:
    """Numbers of reviews, replies and rankings: what was done, or what one tree needs."""

    reviews: float
    replies: float
    rankings: float


@cache
def work_of_a_tree(policy: TreePolicy) -> Work:
    """What a tree of this policy costs from its first prompt to the data set, on average."""
    replies = (policy.goal_tree_size - 1) / ACCEPTED
    reviews = _reviews_until_decided(policy.prompt_rule) / ACCEPTED
    reviews += replies * _reviews_until_decided(policy.reply_rule)
    # A full family is a message, its answers and the follow-ups to them; families of one have nothing to rank.
    families = round((policy.goal_tree_size - 1) / (policy.max_children_count + policy.num_prompter_replies))
    rankings = max(1, families) * policy.num_required_rankings if policy.max_children_count > 1 else 0
    return Work(reviews, replies, rankings)


def _reviews_until_decided(rule: ReviewRule) -> float:
    """The expected number of reviews of one message: reviewing stops when the outcome is certain."""

    def still(given: int, rejecting: int) -> float:
        if rule.verdict([True] * rejecting + [False] * (given - rejecting)) is not None:
            return 0
        return 1 + ACCEPTED * still(given + 1, rejecting) + (1 - ACCEPTED) * still(given + 1, rejecting + 1)

    return still(0, 0)


@dataclass(frozen=True)
class Supply:
    """The conversations of one language by where they are, and what its people did in the last weeks."""

    policy: TreePolicy
    in_review: int = 0
    waiting: int = 0  # to be drawn; counted up to the policy's cap
    growing: int = 0  # but not those in which nobody can work until a moderator has decided about a hidden message
    ranking: int = 0  # of those that began here
    in_ranking: int = 0  # the same and those from the backlog
    backlog: bool = False  # is there any?
    being_written: int = 0  # people who write a first prompt right now
    done: Work | None = None  # None: the language has no history
    weeks: float = 0  # in which that was done

    @property
    def unfinished(self) -> int:
        return self.in_review + self.waiting + self.growing + self.ranking

    @property
    def pace(self) -> float | None:
        """How many conversations a week the people of the language can carry; None without history.

        The scarcest work decides. Rankings come last: they count as scarce once more conversations wait for them than
        grow. A language starts as if it had had a week in which it carried what fills `max_active_trees`; that counts
        less and less, and after four weeks nothing.
        """
        if self.done is None:
            return None
        need = work_of_a_tree(self.policy)
        works = [(self.done.reviews, need.reviews), (self.done.replies, need.replies)]
        if self.ranking > self.growing:
            works.append((self.done.rankings, need.rankings))
        carried = [done / needed for done, needed in works if needed]
        assumed = 1 - self.weeks / WATCHED_WEEKS
        start = self.policy.max_active_trees / self.policy.weeks_unfinished
        return (min(carried) + assumed * start) / (self.weeks + assumed)

    @property
    def most_unfinished(self) -> int | None:
        """So many conversations at once keep everybody at work, and each is finished a few weeks after it began."""
        pace = self.pace
        return None if pace is None else max(FEWEST_UNFINISHED, ceil(pace * self.policy.weeks_unfinished))

    @property
    def most_growing(self) -> int:
        most = self.most_unfinished
        return self.policy.max_active_trees if most is None else min(self.policy.max_active_trees, most)

    def wanted(self) -> int:
        """How many new prompts the language wants beside those that are being written."""
        missing = max(0, self.most_growing - self.growing)
        rooms = [missing + max(0, self.review_room), self.lottery_room]
        if self.most_unfinished is not None:
            rooms.append(self.most_unfinished - self.unfinished)
        return max(0, min(rooms) - self.being_written)

    @property
    def review_room(self) -> int:
        return self.policy.max_initial_prompt_review - self.in_review

    @property
    def lottery_room(self) -> int:
        return self.policy.max_prompt_lottery_waiting - self.waiting

    def to_draw(self) -> int:
        """How many waiting prompts the next request for work may let grow."""
        return max(0, min(self.waiting, self.most_growing - self.growing))

    def to_activate(self) -> int:
        """How many conversations of the backlog the rankers have room for: at least that many, when there is any."""
        return max(0, self.policy.min_active_rankings - self.in_ranking) if self.backlog else 0


def read_supply(lang: str, policy: TreePolicy) -> Supply:
    """One statement on partial indexes: finished trees and past work cost nothing."""
    *counts, reviews, replies, rankings, since = hot.count_supply(
        lang,
        most_waiting=max(1, policy.max_prompt_lottery_waiting),
        writing_since=timezone.now() - WRITING_TIME,
    )
    supply = Supply(policy, *counts)
    return supply if since is None else replace(supply, done=Work(reviews, replies, rankings), weeks=_weeks(since))


def _weeks(since: datetime) -> float:
    return min(WATCHED_WEEKS, max(timedelta(0), timezone.now() - since) / timedelta(weeks=1))
