"""Making a line: messages and trees as JSON objects. Pure: no database.

Null facts of our own messages are left out. A message that came from a file is given back as the file had it: keys that
it lacked stay away, keys that we do not know are kept, and what people did here since is added.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import fsum
from typing import Any, TypeGuard
from uuid import UUID

from trees.interchange.format import FACTS, LARGEST_COUNT, ORDER, Node, usual_case
from trees.interchange.known_keys import known_of_message, known_of_tree
from trees.interchange.named_counts import as_lists
from trees.interchange.pseudonyms import Pseudonyms
from trees.lifecycle.reply_ranks import in_order
from trees.lifecycle.states import State
from trees.models import Message, MessageTree

Events = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Said:
    """What people said here of one message, beyond the facts in its own row."""

    labels: Mapping[str, Sequence[float]] = field(default_factory=dict)  # label → each answer
    skips: Counter[str] = field(default_factory=Counter)  # by the names that they have among the emojis
    events: Events = field(default_factory=dict)  # by kind


NOTHING_SAID = Said()


@dataclass(frozen=True)
class Writer:
    """How the messages of some trees are written."""

    said: Mapping[UUID, Said]
    pseudonyms: Pseudonyms | None  # None: real ids
    labels: bool = True
    replies: bool = True  # a list of them in each node

    def tree(self, tree: MessageTree, root: Message, children: Mapping[UUID | None, list[Message]]) -> Node:
        """The JSON object of a tree. `children` holds the messages to be written, by parent id."""
        given: dict[str, Any] = (root.imported or {}).get("tree", {})
        line = {"message_tree_id": str(tree.pk), "tree_state": given.get("tree_state")}
        if root.imported is None or given.get("tree_state") is not None or tree.state != State.BACKLOG_RANKING:
            line["tree_state"] = tree.state
        elif "tree_state" not in given:
            del line["tree_state"]
        line |= {key: value for key, value in given.items() if key != "tree_state"}
        line = self._disguised(line, known_of_tree)
        nodes: dict[UUID, Node] = {}
        for message in depth_first(root, children):
            node = nodes[message.pk] = self.message(message)
            if message.parent_id is not None:
                _replies_of(nodes[message.parent_id]).append(node)
        line["prompt"] = nodes[root.pk]
        return line

    def single(self, tree: MessageTree, message: Message) -> Node:
        """The JSON object of a message that stands alone, with its place: its tree and the message above it."""
        place = self._disguised({"message_tree_id": str(tree.pk), "tree_state": tree.state}, known_of_tree)
        if message.parent_id is not None:  # a file may have shown it by nesting alone
            place |= self._disguised({"parent_id": str(message.parent_id)}, known_of_message)
        return self.message(message) | place

    def message(self, message: Message) -> Node:
        node = _node(message, self.said.get(message.pk, NOTHING_SAID), labels=self.labels)
        if not self.replies:
            node.pop("replies", None)
        return self._disguised(node, known_of_message)

    def _disguised(self, node: Node, known: Callable[[Node], Node]) -> Node:
        if self.pseudonyms is None:
            return node
        if self.pseudonyms.hides_everything:
            node = known(node)
        replaced: Node = self.pseudonyms.replace(node)
        return replaced


def _replies_of(node: Node) -> list[Node]:
    if node.get("replies") is None:
        node["replies"] = []
    replies: list[Node] = node["replies"]
    return replies


def depth_first(root: Message, children: Mapping[UUID | None, list[Message]]) -> Iterator[Message]:
    """A message and what hangs below it, each before its replies."""
    waiting = [root]
    while waiting:
        message = waiting.pop()
        yield message
        waiting.extend(reversed(in_order(children.get(message.pk, []))))


def _node(message: Message, said: Said, *, labels: bool) -> Node:
    came = message.imported or {}
    given: dict[str, Any] = came.get("given", {})
    absent = came.get("absent", [] if message.parent_id else ["parent_id"])
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
    node |= _facts(message, given, said)
    _add_labels(node, message, said, wanted=labels)
    if said.events:
        node["events"] = _with_events(given.get("events"), said.events)
    for key in ("emojis", "labels", "events"):  # what came and what is made here in one order: that of the database
        if key in node:
            node[key] = _by_key(node[key])
    for key, names in came.get("lists", {}).items():
        if isinstance(node.get(key), dict):
            node[key] = as_lists(key, node[key], names)
    ordered = {key: node.pop(key) for key in ORDER if key in node} | node
    if "replies" not in absent:
        ordered["replies"] = None if "replies" in came.get("null", ()) else []
    return ordered


def _facts(message: Message, given: Mapping[str, Any], said: Said) -> Node:
    """The keys of `FACTS`, in the spelling of the file where nothing was added to it."""
    found: Node = {}
    for key, nothing in FACTS.items():
        value = getattr(message, key)
        if key == "emojis" and said.skips:
            total = Counter(value)
            total.update(said.skips)  # unlike `+`, it leaves what a file counted as 0
            value = dict(total)
        if value != nothing or (message.imported is None and key in ("review_count", "deleted", "synthetic")):
            found[key] = given[key] if given.get(key) == value else value  # 3.0 stays 3.0
        elif key in given:
            found[key] = given[key] if given[key] in (None, nothing) else nothing
    return found


def _lang_of(message: Message) -> str | None:
    """As the file spelled it, while nobody has filed it elsewhere."""
    came = message.imported or {}
    if "lang" in came.get("null", ()):
        return None
    spelled = came.get("lang", message.lang)
    return spelled if usual_case(spelled) == message.lang else message.lang


# --- What people said here, together with what a file said ---


def _add_labels(node: Node, message: Message, said: Said, *, wanted: bool) -> None:
    """Labels are about a text: those of the file went with the text of the file."""
    if not wanted or message.edited:
        node.pop("labels", None)
    if wanted and said.labels:
        node["labels"] = _with_labels(node.get("labels"), said.labels)


def _with_labels(given: Any, answers: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Means with their counts. `given` is what a file said, as means without people: its part weighs as many as it
    counted. What of it is no mean with a count gives way where people here answered.
    """
    found: dict[str, Any] = dict(given) if isinstance(given, dict) else {}
    for name, values in answers.items():
        mean, count = _mean(found.get(name), most=LARGEST_COUNT - len(values))
        total = count + len(values)
        # A sum that is rounded once is the same in whichever order the rows are read.
        found[name] = {"value": fsum([mean * count, *values]) / total, "count": total}
    return found


def _mean(given: Any, *, most: int) -> tuple[float, int]:
    """What a file said, if it is a mean of answers, which are from 0 to 1, of at most so many people."""
    if isinstance(given, dict):
        value, count = given.get("value"), given.get("count")
        if _is_number(value) and 0 <= value <= 1 and _is_number(count) and 0 <= count <= most and count == int(count):
            return float(value), int(count)
    return 0.0, 0


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _with_events(given: Any, here: Events) -> dict[str, Any]:
    """The events of a file, then those of here, by kind."""
    found: dict[str, Any] = dict(given) if isinstance(given, dict) else {}
    for kind, events in here.items():
        before = found.get(kind)
        found[kind] = [*before, *events] if isinstance(before, list) else events
    return found


def _by_key(value: Any) -> Any:
    """In the order of `jsonb`, shorter keys first: what was stored comes out as it is."""
    if isinstance(value, dict):
        return {key: _by_key(value[key]) for key in sorted(value, key=_place)}
    return [_by_key(one) for one in value] if isinstance(value, list) else value


def _place(key: str) -> tuple[int, bytes]:
    letters = key.encode()
    return len(letters), letters


def answers_of(rows: Iterable[Mapping[str, float | None]]) -> dict[str, list[float]]:
    """Label → each answer. An unanswered label is null or absent, never 0."""
    found: dict[str, list[float]] = {}
    for labels in rows:
        for name, value in labels.items():
            if value is not None:
                found.setdefault(name, []).append(value)
    return found
