"""Records of trees from a file, without a database. Pure.

A file has counts and means where the site has each person's reviews, so these records have no reviews. Rankings are
taken from files that were exported with events.
"""

from collections.abc import Iterator
from typing import Any

from trees.interchange.flat import Misfits, with_constant_keys
from trees.interchange.format import Node, parse_tree
from trees.interchange.tree_record import TreeRecord


def record_from_line(line: Any, *, basis: str | None = None, misfits: Misfits | None = None) -> TreeRecord:
    """Return the record of one line of a file. Raise Invalid if it is no tree.

    `basis` says for all messages why they may be published, where the file does not say it. Values of a wrong type are
    null and counted in `misfits`.
    """
    parse_tree(line)
    tree = with_constant_keys(line, Misfits() if misfits is None else misfits)
    rankings: list[dict[str, Any]] = []
    # Both trees have the same shape.
    waiting: list[tuple[Node, Node]] = [(line["prompt"], tree["prompt"])]
    while waiting:
        given, node = waiting.pop()
        node["basis"] = given["basis"] if isinstance(given.get("basis"), str) else basis
        rankings.extend(_rankings(given, tree["message_tree_id"]))
        waiting.extend(reversed(list(zip(given.get("replies") or (), node["replies"], strict=True))))
    return TreeRecord(tree=tree, reviews=(), rankings=tuple(rankings))


def _rankings(given: Node, tree_id: str) -> Iterator[dict[str, Any]]:
    """Yield the rankings of the replies to a message. Events of another shape are no rankings."""
    events = given.get("events")
    rankings = events.get("ranking") if isinstance(events, dict) else None
    for event in rankings if isinstance(rankings, list) else ():
        ranked_ids = event.get("ranked_message_ids") if isinstance(event, dict) else None
        if not isinstance(ranked_ids, list) or not all(isinstance(one, str) for one in ranked_ids):
            continue
        if len(set(ranked_ids)) == len(ranked_ids):
            user_id = event.get("user_id")
            yield {
                "message_tree_id": tree_id,
                "parent_id": given["message_id"],
                "user_id": user_id if isinstance(user_id, str) else None,
                "created_date": None,
                "ranked_message_ids": ranked_ids,
                "not_rankable": event.get("not_rankable") is True,
            }
