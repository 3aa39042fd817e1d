"""What people prefer among the replies to one message: pairs, orders, and good or bad. Pure: no database, no file.

Two sources are kept apart: what each person said (rankings), and the rank that the site computed from it. Imported
files often have the rank only; then shares and counts of people are null, never 0.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

from trees.interchange.conversations import (
    Path,
    about,
    answers,
    bases,
    chat,
    is_finished,
    is_usable,
    is_written_by_a_person,
    usable_paths,
    usable_replies,
)
from trees.interchange.format import Node
from trees.interchange.tree_record import TreeRecord
from trees.models import Role

Orders = Sequence[Sequence[str]]
"""Ids of replies, best first, one list for each person."""

NEAR_TIE = 0.6
"""Up to this share of the rankings for a reply, the two count as almost equal: 3 of 5, not 2 of 3."""


def pair_rows(record: TreeRecord) -> Iterator[dict[str, Any]]:
    """Yield each two replies that people or ranks put in an order. Two equal texts are no pair."""
    for path, replies, orders in _questions(record):
        for a, b in combinations(replies, 2):
            for_a, for_b = _votes(orders or (), a["message_id"], b["message_id"])
            a_first = _is_better(a, b, for_a, for_b)
            if a_first is None or a["text"] == b["text"]:
                continue
            chosen, rejected, share = (a, b, _share(for_a, for_b)) if a_first else (b, a, _share(for_b, for_a))
            yield {
                **about(record, path),
                "prompt_id": path[-1]["message_id"],
                "chosen_id": chosen["message_id"],
                "rejected_id": rejected["message_id"],
                "prompt": chat(path),
                "chosen": chat([chosen]),
                "rejected": chat([rejected]),
                "preference_share": share,
                "rankings": None if orders is None else for_a + for_b,
                "chosen_rank": chosen["rank"],
                "rejected_rank": rejected["rank"],
                "near_tie": _is_near_tie(share, chosen["rank"], rejected["rank"]),
                "bases": bases((*path, chosen, rejected)),
            }


def ranking_rows(record: TreeRecord) -> Iterator[dict[str, Any]]:
    """Yield each message with two or more ranked replies, best first."""
    for path, replies, orders in _questions(record):
        ranked = sorted((reply for reply in replies if reply["rank"] is not None), key=_by_rank)
        if len(ranked) > 1:
            yield {
                **about(record, path),
                "prompt_id": path[-1]["message_id"],
                "prompt": chat(path),
                "replies": [_reply(reply, ranked, orders) for reply in ranked],
                "rankings": None if orders is None else len(orders),
                "bases": bases((*path, *ranked)),
            }


def kto_rows(record: TreeRecord) -> Iterator[dict[str, Any]]:
    """Yield each reply that is clearly good or clearly bad.

    A reply that reviewers rejected is bad, and what they accepted without a rank is good. Among ranked replies the
    best third is good and the worst third is bad; those between are left out.
    """
    if not is_finished(record):
        return
    for path in usable_paths(record):
        if path[-1]["role"] != Role.PROMPTER:
            continue
        ranked = sorted((reply for reply in usable_replies(path[-1]) if reply["rank"] is not None), key=_by_rank)
        for reply in filter(is_written_by_a_person, answers(path[-1])):
            label, decided_by = _verdict(reply, ranked)
            if label is not None:
                yield {
                    **about(record, path),
                    "prompt_id": path[-1]["message_id"],
                    "completion_id": reply["message_id"],
                    "prompt": chat(path),
                    "completion": chat([reply]),
                    "label": label,
                    "decided_by": decided_by,
                    "bases": bases((*path, reply)),
                }


def _questions(record: TreeRecord) -> Iterator[tuple[Path, list[Node], Orders | None]]:
    """Yield the path to each message of a prompter with several usable replies, those replies, and their rankings.

    None if no person's ranking of them is known.
    """
    if not is_finished(record):
        return
    by_parent: defaultdict[str, list[Sequence[str]]] = defaultdict(list)
    for ranking in record.rankings:
        if not ranking["not_rankable"]:  # every reply is wrong, so the order means nothing
            by_parent[ranking["parent_id"]].append(ranking["ranked_message_ids"])
    for path in usable_paths(record):
        replies = usable_replies(path[-1])
        if path[-1]["role"] == Role.PROMPTER and len(replies) > 1:
            yield path, replies, by_parent.get(path[-1]["message_id"])


def _votes(orders: Orders, a: str, b: str) -> tuple[int, int]:
    """Return how many people placed `a` before `b`, and `b` before `a`. Others did not see both."""
    both = [order for order in orders if a in order and b in order]
    for_a = sum(order.index(a) < order.index(b) for order in both)
    return for_a, len(both) - for_a


def _is_better(a: Node, b: Node, for_a: int, for_b: int) -> bool | None:
    """Return True if `a` is better than `b` by the majority of people, else by rank; None if neither says so."""
    if for_a != for_b:
        return for_a > for_b
    if None in (a["rank"], b["rank"]) or a["rank"] == b["rank"]:
        return None
    first: bool = a["rank"] < b["rank"]
    return first


def _share(for_it: int, against: int) -> float | None:
    return for_it / (for_it + against) if for_it + against else None


def _is_near_tie(share: float | None, chosen_rank: int | None, rejected_rank: int | None) -> bool | None:
    """Return True if people are almost divided, or if their majority contradicts the rank. None if unknown."""
    if share is None:
        return None
    contradicts = chosen_rank is not None and rejected_rank is not None and chosen_rank > rejected_rank
    return share <= NEAR_TIE or contradicts


def _by_rank(reply: Node) -> int:
    rank: int = reply["rank"]
    return rank


def _reply(reply: Node, all_replies: Sequence[Node], orders: Orders | None) -> dict[str, Any]:
    return {
        "message_id": reply["message_id"],
        "content": reply["text"],
        "rank": reply["rank"],
        "score": _score(reply, all_replies, orders or ()),
    }


def _score(reply: Node, all_replies: Sequence[Node], orders: Orders) -> float | None:
    """Return the mean share of people who prefer this reply to each of the others (a normalized Borda count)."""
    votes = (_votes(orders, reply["message_id"], other["message_id"]) for other in all_replies if other is not reply)
    shares = [share for for_it, against in votes if (share := _share(for_it, against)) is not None]
    return sum(shares) / len(shares) if shares else None


def _verdict(reply: Node, ranked: Sequence[Node]) -> tuple[bool | None, str]:
    """Return whether the reply is good, and who decided that. None between good and bad, and while undecided."""
    if reply["review_result"] is False:
        return False, "review"
    if not is_usable(reply):
        return None, "review"
    if reply["rank"] is None or len(ranked) < 2:
        return True, "review"
    position = 3 * next(place for place, other in enumerate(ranked) if other is reply)
    if position <= len(ranked) - 1:
        return True, "rank"
    return (False if position >= 2 * (len(ranked) - 1) else None), "rank"
