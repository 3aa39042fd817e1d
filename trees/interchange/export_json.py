"""Write messages and trees as JSON objects. Pure: no database.

Null facts of our own messages are left out. An imported message is written as its file had it: absent keys stay absent,
unknown keys are kept, and what users did here since is added.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import fsum
from typing import Any, TypeGuard
from uuid import UUID

from inference.scoring import toxicity
from trees.interchange.format import FACTS, LARGEST_COUNT, ORDER, Node, usual_case
from trees.interchange.known_keys import known_message_keys, known_tree_keys
from trees.interchange.named_counts import as_lists
from trees.interchange.pseudonyms import Pseudonyms
from trees.lifecycle.reply_ranks import sort_siblings
from trees.lifecycle.states import State
from trees.models import Message, MessageTree

Events = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Judgments:
    """What users said here about one message, beyond the columns of its row."""

    labels: Mapping[str, Sequence[float]] = field(default_factory=dict)  # label → each answer
    skips: Counter[str] = field(default_factory=Counter)  # by their names among the emojis
    events: Events = field(default_factory=dict)  # by kind
    toxicity: Mapping[str, float] = field(default_factory=dict)  # what a machine said about the present text


NO_JUDGMENTS = Judgments()


@dataclass(frozen=True)
class Writer:
    """How the messages of some trees are written."""

    judgments: Mapping[UUID, Judgments]
    pseudonyms: Pseudonyms | None  # None for real ids
    labels: bool = True
    replies: bool = True  # each node lists its replies

    def tree(self, tree: MessageTree, root: Message, children: Mapping[UUID | None, list[Message]]) -> Node:
        """Return the JSON object of a tree. `children` holds the messages to write, by parent id."""
        given: dict[str, Any] = (root.imported or {}).get("tree", {})
        line = {"message_tree_id": str(tree.pk), "tree_state": given.get("tree_state")}
        if root.imported is None or given.get("tree_state") is not None or tree.state != State.BACKLOG_RANKING:
            line["tree_state"] = tree.state
        elif "tree_state" not in given:
            del line["tree_state"]
        line |= {key: value for key, value in given.items() if key != "tree_state"}
        line = self._pseudonymized(line, known_tree_keys)
        nodes: dict[UUID, Node] = {}
        for message in depth_first(root, children):
            node = nodes[message.pk] = self.message(message)
            if message.parent_id is not None:
                _replies_of(nodes[message.parent_id]).append(node)
        line["prompt"] = nodes[root.pk]
        return line

    def single(self, tree: MessageTree, message: Message) -> Node:
        """Return the JSON object of a single message, with the ids of its tree and parent."""
        position = self._pseudonymized({"message_tree_id": str(tree.pk), "tree_state": tree.state}, known_tree_keys)
        if message.parent_id is not None:  # a file may show the parent only by nesting
            position |= self._pseudonymized({"parent_id": str(message.parent_id)}, known_message_keys)
        return self.message(message) | position

    def message(self, message: Message) -> Node:
        node = _node(message, self.judgments.get(message.pk, NO_JUDGMENTS), labels=self.labels)
        if not self.replies:
            node.pop("replies", None)
        return self._pseudonymized(node, known_message_keys)

    def _pseudonymized(self, node: Node, known: Callable[[Node], Node]) -> Node:
        if self.pseudonyms is None:
            return node
        if self.pseudonyms.replaces_all_ids:
            node = known(node)
        replaced: Node = self.pseudonyms.replace(node)
        return replaced


def _replies_of(node: Node) -> list[Node]:
    if node.get("replies") is None:
        node["replies"] = []
    replies: list[Node] = node["replies"]
    return replies


def depth_first(root: Message, children: Mapping[UUID | None, list[Message]]) -> Iterator[Message]:
    """Yield a message and everything below it, each before its replies."""
    waiting = [root]
    while waiting:
        message = waiting.pop()
        yield message
        waiting.extend(reversed(sort_siblings(children.get(message.pk, []))))


def _node(message: Message, judgments: Judgments, *, labels: bool) -> Node:
    imported = message.imported or {}
    given: dict[str, Any] = imported.get("given", {})
    absent = imported.get("absent", [] if message.parent_id else ["parent_id"])
    node: Node = {
        "message_id": str(message.pk),
        "parent_id": str(message.parent_id) if message.parent_id else None,
        "text": message.text,
        "role": message.role,
        "lang": _lang_of(message),
    }
    if message.author_id:
        node["user_id"] = str(message.author_id)
    if message.imported is None:
        node["created_date"] = message.created_at.isoformat()
    for key in absent:
        node.pop(key, None)
    node |= {key: value for key, value in given.items() if key not in FACTS}
    node |= _facts(message, given, judgments)
    _add_labels(node, message, judgments, wanted=labels)
    _add_toxicity(node, message, judgments)
    if judgments.events:
        node["events"] = _with_events(given.get("events"), judgments.events)
    for key in ("emojis", "labels", "events"):  # imported and new values in one order: that of the database
        if key in node:
            node[key] = _by_key(node[key])
    for key, names in imported.get("lists", {}).items():
        if isinstance(node.get(key), dict):
            node[key] = as_lists(key, node[key], names)
    ordered = {key: node.pop(key) for key in ORDER if key in node} | node
    if "replies" not in absent:
        ordered["replies"] = None if "replies" in imported.get("null", ()) else []
    return ordered


def _facts(message: Message, given: Mapping[str, Any], judgments: Judgments) -> Node:
    """Return the keys of `FACTS`, in the spelling of the file if nothing was added."""
    facts: Node = {}
    for key, default in FACTS.items():
        value = getattr(message, key)
        if key == "emojis" and judgments.skips:
            total = Counter(value)
            total.update(judgments.skips)  # unlike `+`, this keeps zero counts of a file
            value = dict(total)
        if value != default or (message.imported is None and key in ("review_count", "deleted", "synthetic")):
            facts[key] = given[key] if given.get(key) == value else value  # 3.0 stays 3.0
        elif key in given:
            facts[key] = given[key] if given[key] in (None, default) else default
    return facts


def _lang_of(message: Message) -> str | None:
    """Return the language as the file spelled it, unless it was changed here."""
    imported = message.imported or {}
    if "lang" in imported.get("null", ()):
        return None
    spelling = imported.get("lang", message.lang)
    return spelling if usual_case(spelling) == message.lang else message.lang


# --- What people said here, together with what a file said ---


def _add_labels(node: Node, message: Message, judgments: Judgments, *, wanted: bool) -> None:
    """Add labels. Those of the file are about its text, so an edited message loses them."""
    if not wanted or message.edited:
        node.pop("labels", None)
    if wanted and judgments.labels:
        node["labels"] = _with_labels(node.get("labels"), judgments.labels)


def _add_toxicity(node: Node, message: Message, judgments: Judgments) -> None:
    """Add the scores of a machine as `detoxify`. Those of a file stay, unless its text was edited here."""
    if message.edited:
        node.pop("detoxify", None)
    if judgments.toxicity and node.get("detoxify") is None:
        scores = judgments.toxicity
        node["detoxify"] = {name: scores[name] for name in toxicity.SCORES if name in scores}


def _with_labels(given: Any, answers: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Return means with their counts. `given` holds the means of a file, weighted by their counts.

    A value of the file that is not a mean with a count is replaced if users answered here.
    """
    result: dict[str, Any] = dict(given) if isinstance(given, dict) else {}
    for name, values in answers.items():
        mean, count = _mean(result.get(name), limit=LARGEST_COUNT - len(values))
        total = count + len(values)
        # fsum rounds once, so the order of the rows does not matter.
        result[name] = {"value": fsum([mean * count, *values]) / total, "count": total}
    return result


def _mean(given: Any, *, limit: int) -> tuple[float, int]:
    """Return the file's mean and count if it is a mean from 0 to 1 of at most so many answers, else zeros."""
    if isinstance(given, dict):
        value, count = given.get("value"), given.get("count")
        if _is_number(value) and 0 <= value <= 1 and _is_number(count) and 0 <= count <= limit and count == int(count):
            return float(value), int(count)
    return 0.0, 0


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _with_events(given: Any, own: Events) -> dict[str, Any]:
    """Return the events of a file, then our own, by kind."""
    result: dict[str, Any] = dict(given) if isinstance(given, dict) else {}
    for kind, events in own.items():
        imported = result.get(kind)
        result[kind] = [*imported, *events] if isinstance(imported, list) else events
    return result


def _by_key(value: Any) -> Any:
    """Sort keys as `jsonb` does, shorter ones first, so that stored values keep their order."""
    if isinstance(value, dict):
        return {key: _by_key(value[key]) for key in sorted(value, key=_key_order)}
    return [_by_key(item) for item in value] if isinstance(value, list) else value


def _key_order(key: str) -> tuple[int, bytes]:
    encoded = key.encode()
    return len(encoded), encoded


def values_by_label(rows: Iterable[Mapping[str, float | None]]) -> dict[str, list[float]]:
    """Return all values that were given, by label. An unanswered label is null or absent, never 0."""
    values: dict[str, list[float]] = {}
    for labels in rows:
        for name, value in labels.items():
            if value is not None:
                values.setdefault(name, []).append(value)
    return values
