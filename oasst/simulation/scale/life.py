"""What happened to one tree, made up by the rules of `trees`: who wrote, reviewed and ranked what, and when.

Plain values, since a million messages pass through here; ids are 32 hexadecimal digits. The rules themselves are asked
(`consensus`, the policy), and what is not here, such as open places, comes from `trees.lifecycle.demand`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache

from oasst.simulation.scale import texts
from oasst.simulation.scale.ids import new_id
from oasst.simulation.scale.people import People
from trees.lifecycle.consensus import ReviewRule, ranked_pairs
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import Role

ACCEPTED = 0.92  # of the replies, as in the published data sets
REJECTING = {True: 0.08, False: 0.85}  # how often a reviewer of a message that ends so says no
NOT_RANKABLE = 0.02
GAP = 900.0  # seconds between two events of a tree, in the mean


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
class Turn:
    """One message."""

    id: str
    parent: Turn | None
    role: str
    depth: int
    position: int
    text: str
    author: str
    at: datetime
    votes: list[Vote] = field(default_factory=list)
    result: bool | None = None
    replies: list[Turn] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    ranking_count: int = 0
    rank: int | None = None

    def standing(self) -> list[Turn]:
        return [reply for reply in self.replies if reply.result]

    def filling(self) -> int:
        """Replies that take a place: accepted or in review."""
        return sum(reply.result is not False for reply in self.replies)


@dataclass(slots=True)
class Move:
    source: str
    target: State
    at: datetime


_verdict = cache(ReviewRule.verdict)


class Life:
    """One tree from its first prompt to `target`."""

    def __init__(
        self, target: State, lang: str, began: datetime, *, people: People, policy: TreePolicy, chance: random.Random
    ) -> None:
        self.lang, self.now, self.policy = lang, began, policy
        self._people, self._chance = people, chance
        self.turns: list[Turn] = []
        self.moves: list[Move] = []
        self.won_at: datetime | None = None
        self._enter(State.INITIAL_PROMPT_REVIEW)
        self.root = self._write(None)
        # A tree is stopped wherever it is: here while it grows.
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

    def _write(self, parent: Turn | None) -> Turn:
        role = Role.PROMPTER if parent is None or parent.role == Role.ASSISTANT else Role.ASSISTANT
        at = self._pass_time()
        siblings = [] if parent is None else parent.replies
        turn = Turn(
            new_id(at, self._chance),
            parent,
            role.value,
            0 if parent is None else parent.depth + 1,
            len(siblings),
            texts.prompt(self.lang, self._chance) if parent is None else texts.reply(self.lang, role, self._chance),
            self._people.draw(self.lang, [sibling.author for sibling in siblings]),
            at,
        )
        siblings.append(turn)
        self.turns.append(turn)
        return turn

    def _vote(self, turn: Turn, rejects: bool) -> None:
        author = self._people.draw(self.lang, [turn.author, *(vote.author for vote in turn.votes)])
        turn.votes.append(Vote(author, rejects, self._pass_time()))

    def _decide(self, turn: Turn, *, accept: bool) -> None:
        """Reviews until they suffice for this outcome."""
        ballot: list[bool] = []
        while (result := self._verdict_on(turn, ballot)) is not accept:
            ballot = [] if result is not None else [*ballot, self._chance.random() < REJECTING[accept]]
        for rejects in ballot:
            self._vote(turn, rejects)
        turn.result = accept

    def _review_a_little(self, turn: Turn) -> None:
        """Perhaps one review, if one does not suffice."""
        rejects = self._chance.random() < REJECTING[True]
        if self._chance.random() < 0.5 and self._verdict_on(turn, [rejects]) is None:
            self._vote(turn, rejects)

    def _verdict_on(self, turn: Turn, votes: list[bool]) -> bool | None:
        return _verdict(self.policy.prompt_rule if turn.parent is None else self.policy.reply_rule, tuple(votes))

    def _able(self) -> list[Turn]:
        """Messages that can be answered."""
        return [
            turn
            for turn in self.turns
            if turn.result
            and turn.depth < self.policy.max_tree_depth
            and turn.filling()
            < (self.policy.max_children_count if turn.role == Role.PROMPTER else self.policy.num_prompter_replies)
        ]

    def _grow(self, size: int) -> None:
        accepted = 1
        while accepted < size and (able := self._able()):
            reply = self._write(self._chance.choice(able))
            self._decide(reply, accept=self._chance.random() < ACCEPTED)
            accepted += bool(reply.result)

    def _leave_in_review(self) -> None:
        """Some replies that nobody has decided yet, no more than the tree has room for."""
        room = self.policy.goal_tree_size - sum(bool(turn.result) for turn in self.turns)
        for _ in range(self._chance.randint(0, min(3, room))):
            if able := self._able():
                self._review_a_little(self._write(self._chance.choice(able)))

    def ranked_sets(self) -> Iterator[tuple[Turn, list[Turn]]]:
        """(parent, its standing replies) where these are ranked."""
        for turn in self.turns:
            standing = turn.standing()
            if len(standing) > 1 and (turn.role == Role.PROMPTER or self.policy.rank_prompter_replies):
                yield turn, standing

    def _rank(self, *, finish: bool) -> None:
        """All rankings that are wanted; unless `finish`, the last set lacks some."""
        sets = list(self.ranked_sets())
        for place, (parent, replies) in enumerate(sets):
            wanted = self.policy.num_required_rankings
            if not finish and place == len(sets) - 1:
                wanted = self._chance.randrange(wanted)
            for _ in range(wanted):
                self._order(parent, replies)

    def _order(self, parent: Turn, replies: list[Turn]) -> None:
        besides = [*(reply.author for reply in replies), *(order.author for order in parent.orders)]
        ids = [reply.id for reply in replies]
        if self._chance.random() < 0.4:  # else they agree with the order of arrival
            self._chance.shuffle(ids)
        parent.orders.append(
            Order(self._people.draw(self.lang, besides), ids, self._chance.random() < NOT_RANKABLE, self._pass_time())
        )
        for reply in replies:
            reply.ranking_count += 1

    def _score(self) -> None:
        for parent, replies in self.ranked_sets():
            orders = [order.ids for order in parent.orders if not order.not_rankable]
            place = {id: rank for rank, id in enumerate(ranked_pairs(orders, [r.id for r in replies]))}
            for reply in replies:
                reply.rank = place.get(reply.id)
