"""Scores of replies from people's rankings, with their uncertainty: evidence beside the rank.

They decide nothing: `rank` is the order by ranked pairs (trees.lifecycle.reply_ranks), which needs no model of people.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from trees.lifecycle.reply_ranks import may_be_ranked, sort_siblings
from trees.models import Message, Ranking
from trees.statistics.rankings import (
    Concordance,
    PairAgreement,
    kendall_w,
    pair_wins,
    pairwise_agreement,
    plackett_luce,
)
from trees.statistics.strengths import Score


@dataclass(frozen=True)
class ScoredReply:
    message: Message
    score: Score | None  # log-strength by Plackett–Luce; None if nobody ranked it with another
    won: int  # in so many pairs of a person's ranking this reply is the better one
    compared: int  # of so many


@dataclass(frozen=True)
class ScoredReplies:
    """The replies to one message, in display order, and how far the people agree who ranked them."""

    parent_id: UUID
    replies: list[ScoredReply]
    people: int  # whose rankings count
    called_all_wrong: int  # people who did so instead
    pairs: PairAgreement
    concordance: Concordance | None


def scores_of_replies(parent_ids: Collection[UUID]) -> list[ScoredReplies]:
    """Return the scored replies to each of these messages whose replies were ranked, in the given order.

    Two statements at most. As for the ranks, only accepted replies count that are not deleted or withdrawn.
    """
    rankings = Ranking.objects.filter(parent__in=parent_ids).only("parent", "ordered_ids", "not_rankable")
    return scores_by_rankings(parent_ids, rankings)


def scores_by_rankings(parent_ids: Collection[UUID], rankings: Iterable[Ranking]) -> list[ScoredReplies]:
    """Do what `scores_of_replies` does with the rankings of these messages. One statement at most."""
    votes: dict[UUID, list[Ranking]] = defaultdict(list)
    for ranking in rankings:
        votes[ranking.parent_id].append(ranking)
    siblings: dict[UUID | None, list[Message]] = defaultdict(list)
    for message in Message.objects.filter(parent__in=list(votes)).defer("search", "text_digest") if votes else ():
        siblings[message.parent_id].append(message)
    return [_scored(parent_id, siblings[parent_id], votes[parent_id]) for parent_id in parent_ids if parent_id in votes]


def _scored(parent_id: UUID, siblings: list[Message], votes: Sequence[Ranking]) -> ScoredReplies:
    candidates = {message.pk for message in siblings if may_be_ranked(message)}
    orders = [[reply for reply in vote.ordered_ids if reply in candidates] for vote in votes if not vote.not_rankable]
    orders = [order for order in orders if len(order) > 1]
    scores, wins = plackett_luce(orders), pair_wins(orders)
    won: dict[UUID, int] = defaultdict(int)
    compared: dict[UUID, int] = defaultdict(int)
    for pair, number in wins.items():
        won[pair[0]] += int(number)
        for reply in pair:
            compared[reply] += int(number)
    return ScoredReplies(
        parent_id=parent_id,
        replies=[
            ScoredReply(message, scores.get(message.pk), won[message.pk], compared[message.pk])
            for message in sort_siblings(siblings)
            if message.pk in candidates
        ],
        people=len(orders),
        called_all_wrong=sum(vote.not_rankable for vote in votes),
        pairs=pairwise_agreement(orders),
        concordance=kendall_w(orders),
    )
