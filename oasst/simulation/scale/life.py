"""A made-up history of one tree that follows the rules of `trees`: who wrote, reviewed and ranked what, and when.

Plain values, since a million messages pass through here; ids are 32 hexadecimal digits. The rules come from `consensus`
and the policy, and the openings from `trees.lifecycle.demand`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache

from oasst.simulation.scale import texts
from oasst.simulation.scale.bulk import new_id
from oasst.simulation.scale.people import People
from trees.lifecycle import consensus
from trees.lifecycle.consensus import ReviewRule, ranked_pairs
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import Role

ACCEPTED = 0.92  # share of replies, as in the published data sets
REJECTING = {True: 0.08, False: 0.85}  # outcome of a message → probability that a reviewer rejects it
NOT_RANKABLE = 0.02
GAP = 900.0  # mean seconds between two events of a tree


@dataclass(slots=True)
class Vote:
    author: str
    rejects: bool
    at: datetime


@dataclass(slots=True)
class Order:
    author: str
    ids: list[str]
    not_rankable: bool
    at: datetime


@dataclass(slots=True)
class FakeMessage:
    """One message."""

    id: str
    parent: FakeMessage | None
    role: str
    depth: int
    position: int
    text: str
    author: str
    at: datetime
    votes: list[Vote] = field(default_factory=list)
    result: bool | None = None
    replies: list[FakeMessage] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    ranking_count: int = 0
    rank: int | None = None

    def accepted_replies(self) -> list[FakeMessage]:
        return [reply for reply in self.replies if reply.result]

    def accepted_or_pending(self) -> int:
        """Count the replies that are accepted or in review."""
        return sum(reply.result is not False for reply in self.replies)


@dataclass(slots=True)
class Move:
    source: str
    target: State
    at: datetime


@cache
def _verdict(rule: ReviewRule, votes: tuple[bool, ...]) -> bool | None:
    return rule.verdict([consensus.Vote(rejects) for rejects in votes])


class Life:
    """One tree from its first prompt to `target`."""

    def __init__(
        self, target: State, lang: str, began: datetime, *, people: People, policy: TreePolicy, chance: random.Random
    ) -> None:
        self.lang, self.now, self.policy = lang, began, policy.in_language(lang)
        self._people, self._chance = people, chance
        self.messages: list[FakeMessage] = []
        self.moves: list[Move] = []
        self.won_at: datetime | None = None
        self._enter(State.INITIAL_PROMPT_REVIEW)
        self.root = self._write(None)
        # A moderator can halt a tree in any state; here always while it grows.
        self._live(State.GROWING if target == State.HALTED_BY_MODERATOR else target)
        if target == State.HALTED_BY_MODERATOR:
            self._enter(target)

    @property
    def state(self) -> State:
        return self.moves[-1].target

    def _live(self, target: State) -> None:
        if target == State.INITIAL_PROMPT_REVIEW:
            self._review_a_little(self.root)
            return
        self._decide(self.root, accept=target != State.ABORTED_LOW_GRADE)
        if target == State.ABORTED_LOW_GRADE:
            self._enter(target)
            return
        self._enter(State.PROMPT_LOTTERY_WAITING)
        if target == State.PROMPT_LOTTERY_WAITING:
            return
        self._enter(State.GROWING)
        self.won_at = self.now
        if target == State.GROWING:
            self._grow(self._chance.randrange(1, self.policy.goal_tree_size))
            self._leave_in_review()
            return
        self._grow(self.policy.goal_tree_size)
        self._enter(State.RANKING)
        self._rank(finish=target != State.RANKING)
        if target != State.RANKING:
            self._score()
            self._enter(State.READY_FOR_SCORING)
            self._enter(State.READY_FOR_EXPORT)

    def _pass_time(self) -> datetime:
        self.now += timedelta(seconds=self._chance.expovariate(1 / GAP))
        return self.now

    def _enter(self, target: State) -> None:
        self.moves.append(Move(self.moves[-1].target if self.moves else "", target, self.now))

    def _write(self, parent: FakeMessage | None) -> FakeMessage:
        role = Role.PROMPTER if parent is None or parent.role == Role.ASSISTANT else Role.ASSISTANT
        at = self._pass_time()
        siblings = [] if parent is None else parent.replies
        message = FakeMessage(
            new_id(at, self._chance),
            parent,
            role.value,
            0 if parent is None else parent.depth + 1,
            len(siblings),
            texts.prompt(self.lang, self._chance) if parent is None else texts.reply(self.lang, role, self._chance),
            self._people.draw(self.lang, [sibling.author for sibling in siblings]),
            at,
        )
        siblings.append(message)
        self.messages.append(message)
        return message

    def _vote(self, message: FakeMessage, rejects: bool) -> None:
        author = self._people.draw(self.lang, [message.author, *(vote.author for vote in message.votes)])
        message.votes.append(Vote(author, rejects, self._pass_time()))

    def _decide(self, message: FakeMessage, *, accept: bool) -> None:
        """Add reviews that lead to this outcome."""
        ballot: list[bool] = []
        while (result := self._verdict_on(message, ballot)) is not accept:
            ballot = [] if result is not None else [*ballot, self._chance.random() < REJECTING[accept]]
        for rejects in ballot:
            self._vote(message, rejects)
        message.result = accept

    def _review_a_little(self, message: FakeMessage) -> None:
        """Perhaps add one review, if one does not decide."""
        rejects = self._chance.random() < REJECTING[True]
        if self._chance.random() < 0.5 and self._verdict_on(message, [rejects]) is None:
            self._vote(message, rejects)

    def _verdict_on(self, message: FakeMessage, votes: list[bool]) -> bool | None:
        return _verdict(self.policy.prompt_rule if message.parent is None else self.policy.reply_rule, tuple(votes))

    def _answerable(self) -> list[FakeMessage]:
        """Return the messages that can be answered."""
        return [
            message
            for message in self.messages
            if message.result
            and message.depth < self.policy.max_tree_depth
            and message.accepted_or_pending()
            < (self.policy.max_children_count if message.role == Role.PROMPTER else self.policy.num_prompter_replies)
        ]

    def _grow(self, size: int) -> None:
        accepted = 1
        while accepted < size and (answerable := self._answerable()):
            reply = self._write(self._chance.choice(answerable))
            self._decide(reply, accept=self._chance.random() < ACCEPTED)
            accepted += bool(reply.result)

    def _leave_in_review(self) -> None:
        """Add some undecided replies, no more than the tree needs."""
        missing = self.policy.goal_tree_size - sum(bool(message.result) for message in self.messages)
        for _ in range(self._chance.randint(0, min(3, missing))):
            if answerable := self._answerable():
                self._review_a_little(self._write(self._chance.choice(answerable)))

    def ranked_sets(self) -> Iterator[tuple[FakeMessage, list[FakeMessage]]]:
        """Yield (parent, its accepted replies) for each set that is ranked."""
        for message in self.messages:
            accepted = message.accepted_replies()
            if len(accepted) > 1 and (message.role == Role.PROMPTER or self.policy.rank_prompter_replies):
                yield message, accepted

    def _rank(self, *, finish: bool) -> None:
        """Add all required rankings; unless `finish`, the last set lacks some."""
        sets = list(self.ranked_sets())
        for index, (parent, replies) in enumerate(sets):
            number = self.policy.num_required_rankings
            if not finish and index == len(sets) - 1:
                number = self._chance.randrange(number)
            for _ in range(number):
                self._order(parent, replies)

    def _order(self, parent: FakeMessage, replies: list[FakeMessage]) -> None:
        excluded = [*(reply.author for reply in replies), *(order.author for order in parent.orders)]
        ids = [reply.id for reply in replies]
        if self._chance.random() < 0.4:  # else the oldest first
            self._chance.shuffle(ids)
        parent.orders.append(
            Order(self._people.draw(self.lang, excluded), ids, self._chance.random() < NOT_RANKABLE, self._pass_time())
        )
        for reply in replies:
            reply.ranking_count += 1

    def _score(self) -> None:
        for parent, replies in self.ranked_sets():
            orders = [order.ids for order in parent.orders if not order.not_rankable]
            ranks = {id: rank for rank, id in enumerate(ranked_pairs(orders, [reply.id for reply in replies]))}
            for reply in replies:
                reply.rank = ranks.get(reply.id)
