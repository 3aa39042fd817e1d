"""Frozen trees made by hand and at random, without a database."""

import random
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid5

from hypothesis import strategies as st

from trees.interchange.conversations import LABELS
from trees.interchange.flat import DETOXIFY
from trees.interchange.tree_record import TreeRecord
from trees.labels import SPAM

Node = dict[str, Any]

SPACE = UUID("5ca1ab1e-0000-4000-8000-000000000000")
PROMPTER, ASSISTANT = "prompter", "assistant"
ACCEPTED: Node = {"review_result": True, "review_count": 3, "deleted": False, "synthetic": False}


def node(name: str, *replies: Node, **facts: Any) -> Node:
    """Return an accepted message of the data set; `tree` gives it its role and its place."""
    made: Node = {
        "message_id": str(uuid5(SPACE, name)),
        "parent_id": None,
        "user_id": str(uuid5(SPACE, f"author of {name}")),
        "created_date": "2026-03-01T12:00:00.000000+00:00",
        "text": name,
        "role": PROMPTER,
        "lang": "en",
        **ACCEPTED,
        "rank": None,
        "model_name": None,
        "detoxify": None,
        "emojis": None,
        "labels": None,
        "basis": "terms 2",
        "replies": list(replies),
    }
    return made | facts


def tree(
    prompt: Node, *, state: str = "ready_for_export", rankings: Sequence[Node] = (), reviews: Sequence[Node] = ()
) -> TreeRecord:
    """Return the record of these messages, with roles that alternate unless a message has its own."""
    waiting = [(prompt, None, PROMPTER)]
    while waiting:
        message, parent_id, role = waiting.pop()
        message["parent_id"] = parent_id
        message["role"] = message.pop("own_role", role)
        next_role = ASSISTANT if message["role"] == PROMPTER else PROMPTER
        waiting.extend((reply, message["message_id"], next_role) for reply in message["replies"])
    tree_id = prompt["message_id"]
    return TreeRecord(
        tree={"message_tree_id": tree_id, "tree_state": state, "prompt": prompt},
        reviews=tuple({"message_tree_id": tree_id, **review} for review in reviews),
        rankings=tuple({"message_tree_id": tree_id, **ranking} for ranking in rankings),
    )


def ranking(parent: str, *best_first: str, person: str = "Carol", not_rankable: bool = False) -> Node:
    return {
        "parent_id": str(uuid5(SPACE, parent)),
        "user_id": str(uuid5(SPACE, person)),
        "created_date": "2026-03-02T12:00:00.000000+00:00",
        "ranked_message_ids": [str(uuid5(SPACE, name)) for name in best_first],
        "not_rankable": not_rankable,
    }


def review(message: str, person: str, **labels: float) -> Node:
    return {
        "message_id": str(uuid5(SPACE, message)),
        "user_id": str(uuid5(SPACE, person)),
        "kind": "review",
        "created_date": "2026-03-01T13:00:00.000000+00:00",
        "labels": {"name": list(labels), "value": list(labels.values())} if labels else None,
    }


def all_messages(record: TreeRecord) -> list[Node]:
    found: list[Node] = []
    waiting = [record.tree["prompt"]]
    while waiting:
        message = waiting.pop()
        found.append(message)
        waiting.extend(message["replies"])
    return found


@st.composite
def random_trees(draw: st.DrawFn) -> TreeRecord:
    """Any tree that a snapshot may hold: with rejected, deleted and machine-made messages, and unknown facts."""
    # One seed instead of hundreds of draws: hypothesis shrinks the size, and the tests stay fast.
    rng = random.Random(draw(st.integers(0, 2**32)))
    size = draw(st.integers(1, 25))
    prompt = _random_node(rng, 0)
    made, rankings, reviews = [prompt], [], []
    for number in range(1, size):
        message = _random_node(rng, number)
        rng.choice(made[-8:])["replies"].append(message)
        made.append(message)
    for message in made:
        replies = message["replies"]
        for order, reply in enumerate(rng.sample(replies, len(replies))):
            reply["rank"] = order if rng.random() < 0.8 else None
        ids = [reply["message_id"] for reply in replies]
        for person in range(rng.randrange(6) if len(ids) > 1 else 0):
            chosen = rng.sample(ids, rng.randint(2, len(ids)))
            event = ranking("", person=f"person {person}", not_rankable=rng.random() < 0.1)
            rankings.append(event | {"parent_id": message["message_id"], "ranked_message_ids": chosen})
        for person in range(rng.randrange(4)):
            event = review("", f"person {person}", quality=rng.randrange(5) / 4, spam=float(rng.random() < 0.1))
            reviews.append(event | {"message_id": message["message_id"]})
    state = rng.choice(["ready_for_export"] * 4 + ["growing", "prompt_lottery_waiting", "halted_by_moderator"])
    return tree(prompt, state=state, rankings=rankings, reviews=reviews)


def _random_node(rng: random.Random, number: int) -> Node:
    facts: Node = {
        "text": rng.choice([f"text {rng.randrange(12)}", f"Zeile {number}\nmit „Ümläuten“ 🎈", " ", "<|assistant|>"]),
        "review_result": rng.choice([True] * 8 + [False, None]),
        "deleted": rng.random() < 0.05,
        "synthetic": rng.choice([False] * 12 + [True, None]),
        "lang": rng.choice(["en", "de", None]),
        "review_count": rng.choice([3, 5, None]),
        "basis": rng.choice(["terms 2", "license CC-BY-4.0", None]),
    }
    if rng.random() < 0.5:
        parts: dict[str, list[Any]] = {"name": [SPAM, "quality"], "value": [0.0, rng.random()], "count": [3, 3]}
        assert parts.keys() == LABELS.keys()  # type: ignore[union-attr]
        facts["labels"] = parts
    if rng.random() < 0.3:
        facts["detoxify"] = {name: rng.random() for name in DETOXIFY}
    if rng.random() < 0.05:
        facts["own_role"] = rng.choice([PROMPTER, ASSISTANT])
    return node(f"message {number} {rng.random()}", **facts)
