"""Trees of files for tests, as JSON objects: made at random, taken apart, and compared."""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from hypothesis import strategies as st

from oasst.core.json_lines import read_lines
from tests.paths import SAMPLE
from trees.lifecycle.states import State

Node = dict[str, Any]

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
_NAMES = st.sampled_from(["spam", "quality", "humor", "+1", "_skip_reply"])
_COUNTS = st.integers(0, 10**6)
_FACTS = {
    "user_id": st.uuids().map(str),
    "created_date": st.datetimes(min_value=datetime(2, 1, 1), timezones=st.none()).map(  # earlier ones are refused
        lambda at: f"{at.isoformat(timespec='microseconds')}+00:00"
    ),
    "review_count": _COUNTS,
    "review_result": st.booleans(),
    "deleted": st.booleans(),
    "rank": _COUNTS,
    "synthetic": st.booleans(),
    "model_name": TEXTS.filter(bool),
    "emojis": st.dictionaries(_NAMES, _COUNTS, min_size=1),
    "labels": st.dictionaries(
        _NAMES, st.fixed_dictionaries({"value": st.floats(0, 1), "count": st.integers(1, 9)}), min_size=1
    ),
}


def sample() -> list[Any]:
    return [json.loads(line) for line in read_lines(SAMPLE)]


@st.composite
def file_trees(draw: st.DrawFn) -> Node:
    """Return a tree with any of the facts that rows hold. Dates after the year 1, since it is stored in UTC."""
    number = draw(st.integers(1, 8))
    ids = draw(st.lists(st.uuids().map(str), min_size=number, max_size=number, unique=True))
    nodes: list[Node] = []
    for index, message_id in enumerate(ids):
        facts = draw(st.fixed_dictionaries({}, optional=_FACTS))
        facts.setdefault("deleted", False)
        node = {"message_id": message_id, "text": draw(TEXTS), "lang": draw(st.sampled_from(["en", "pt-BR", "zh"]))}
        node |= {"role": "assistant" if index % 2 else "prompter", **facts, "replies": []}
        if index:
            parent = nodes[draw(st.integers(0, index - 1))]
            node["parent_id"] = parent["message_id"]
            parent["replies"].append(node)
        nodes.append(node)
    state = draw(st.sampled_from([one.value for one in State]))
    return {"message_tree_id": ids[0], "tree_state": state, "prompt": nodes[0]}


def nodes_of(tree: Node) -> Iterator[Node]:
    waiting = [tree["prompt"]]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(reversed(node.get("replies") or []))


def rows_of(tree: Node) -> Iterator[Node]:
    """Yield the messages as rows with parallel lists, as the published files have them."""
    above = {"message_tree_id": tree["message_tree_id"], "tree_state": tree["tree_state"]}
    for node in nodes_of(tree):
        row = {key: value for key, value in node.items() if key != "replies"}
        if "emojis" in row:
            row["emojis"] = {"name": list(row["emojis"]), "count": list(row["emojis"].values())}
        if "labels" in row:
            labels = row["labels"]
            parts = {part: [label[part] for label in labels.values()] for part in ("value", "count")}
            row["labels"] = {"name": list(labels), **parts}
        yield {"parent_id": None, **row, **above}


def comparable(tree: Node) -> str:
    """Return the tree as text, without what rows do not tell apart: absent, null and empty facts."""
    tree = json.loads(json.dumps(tree))
    for node in nodes_of(tree):
        for key in [key for key, value in node.items() if value in (None, {}) and key != "replies"]:
            del node[key]
    return json.dumps(tree, sort_keys=True)


def by_id(trees: Iterable[Node]) -> dict[str, str]:
    return {tree["message_tree_id"]: comparable(tree) for tree in trees}
