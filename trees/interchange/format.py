"""One message tree as a JSON object, both ways. Pure: no database.

A line is `{message_tree_id, tree_state, prompt}`; `prompt` and each of its `replies` is a message node. Null facts of
our own messages are left out. A message that came from a file is given back as the file had it: keys that it lacked
stay away, keys that we do not know are kept, and what people did here since is added.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.utils.dateparse import parse_datetime

from oasst.core.errors import Invalid
from oasst.core.moments import in_utc
from trees.models import Message, MessageTree, Role
from trees.ordering import in_order
from trees.states import State

Node = dict[str, Any]

# Keys that our columns give back by themselves; everything else of a node is kept in Message.imported["given"].
STRUCTURE = ("message_id", "parent_id", "text", "role", "lang", "replies")
# Facts that may change here after an import, with the value that means "nothing to say".
FACTS: dict[str, Any] = {
    "review_count": 0,
    "review_result": None,
    "deleted": False,
    "rank": None,
    "synthetic": False,
    "model_name": "",
    "emojis": {},
}
LANGUAGE_TAG = re.compile(r"[A-Za-z0-9-]{1,32}")
LARGEST_COUNT = 2**31 - 1


@dataclass
class ParsedMessage:
    """One node of a file, checked."""

    id: UUID
    parent_id: UUID | None
    depth: int
    position: int
    node: Node
    created_at: datetime | None
    imported: dict[str, Any]

    def fact(self, key: str) -> Any:
        value = self.node.get(key)
        return FACTS[key] if value is None else value


@dataclass
class ParsedTree:
    id: UUID
    state: State
    lang: str
    messages: list[ParsedMessage] = field(default_factory=list)


def parse_tree(line: Any) -> ParsedTree:
    """Check one line of a file. Raises Invalid, naming the message and the key."""
    if not isinstance(line, dict):
        raise Invalid("a line must be a JSON object", code="not_a_tree")
    if "message_tree_id" not in line or not isinstance(line.get("prompt"), dict):
        raise Invalid("a line must be a tree with message_tree_id and prompt", code="not_a_tree")
    state = line.get("tree_state", State.BACKLOG_RANKING)
    if state not in list(State):
        raise Invalid(f"there is no tree state {state!r}", code="unknown_state")
    tree_id = _uuid(line["message_tree_id"], "message_tree_id")
    root = line["prompt"]
    if root.get("message_id") != line["message_tree_id"]:
        raise Invalid("message_tree_id must be the message_id of the prompt", code="wrong_root")
    tree = ParsedTree(id=tree_id, state=State(state), lang=root.get("lang") or "en")
    # A list and not recursion: a file may nest deeper than Python's stack.
    waiting: list[tuple[Node, UUID | None, int, int]] = [(root, None, 0, 0)]
    seen: set[UUID] = set()
    while waiting:
        node, parent_id, depth, position = waiting.pop()
        message = _parse_node(node, parent_id, depth, position, tree.lang)
        if message.id in seen:
            raise Invalid(f"message {message.id} occurs twice", code="repeated_message")
        seen.add(message.id)
        tree.messages.append(message)
        replies = node.get("replies") or []
        waiting.extend((reply, message.id, depth + 1, i) for i, reply in reversed(list(enumerate(replies))))
    extra = {key: value for key, value in line.items() if key not in ("message_tree_id", "prompt")}
    tree.messages[0].imported["tree"] = extra
    return tree


def _parse_node(node: Any, parent_id: UUID | None, depth: int, position: int, tree_lang: str) -> ParsedMessage:
    if not isinstance(node, dict):
        raise Invalid("a message must be a JSON object", code="not_a_message")
    message_id = _uuid(node.get("message_id"), "message_id")
    where = f"message {message_id}"
    if node.get("role") not in Role.values:
        raise Invalid(f"{where}: role must be prompter or assistant", code="unknown_role")
    if parent_id is None and node["role"] != Role.PROMPTER:
        raise Invalid(f"{where}: a tree begins with a prompter", code="unknown_role")
    if node.get("parent_id") is not None and node["parent_id"] != str(parent_id):
        raise Invalid(f"{where}: parent_id does not name the message above it", code="wrong_parent")
    lang = node.get("lang", tree_lang)
    if not isinstance(lang, str) or not LANGUAGE_TAG.fullmatch(lang):
        raise Invalid(f"{where}: lang must be a language tag of at most 32 characters", code="language")
    if not isinstance(node.get("replies", []), list):
        raise Invalid(f"{where}: replies must be a list", code="bad_fact")
    _check_text(node.get("text"), where)
    _check_facts(node, where)
    given = {key: value for key, value in node.items() if key not in STRUCTURE}
    absent = [key for key in ("parent_id", "lang", "replies") if key not in node]
    return ParsedMessage(
        id=message_id,
        parent_id=parent_id,
        depth=depth,
        position=position,
        node={**node, "lang": lang},
        created_at=_date(node.get("created_date"), where),
        imported={"given": given, "absent": absent},
    )


def _uuid(value: Any, key: str) -> UUID:
    try:
        parsed = UUID(value)
    except (ValueError, TypeError, AttributeError):
        raise Invalid(f"{key} must be a UUID, not {value!r}", code="bad_id") from None
    if str(parsed) != value:
        raise Invalid(f"{key} must be written in lower case with hyphens: {value!r}", code="bad_id")
    return parsed


def _check_text(text: Any, where: str) -> None:
    """Texts of files are taken as they are; only what a database can not hold is refused."""
    if not isinstance(text, str):
        raise Invalid(f"{where}: text must be a string", code="bad_text")
    if "\0" in text:
        raise Invalid(f"{where}: the text contains a NUL character", code="bad_text")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Invalid(f"{where}: the text contains half a character (a lone surrogate)", code="bad_text") from None


def _check_facts(node: Node, where: str) -> None:
    def whole_number(value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_COUNT

    checks: dict[str, Any] = {
        "review_count": whole_number,
        "rank": whole_number,
        "review_result": lambda value: isinstance(value, bool),
        "deleted": lambda value: isinstance(value, bool),
        "synthetic": lambda value: isinstance(value, bool),
        "model_name": lambda value: isinstance(value, str) and len(value) <= 1024,
        "emojis": lambda value: isinstance(value, dict) and all(map(whole_number, value.values())),
    }
    for key, is_right in checks.items():
        value = node.get(key)
        if value is not None and not is_right(value):
            raise Invalid(f"{where}: {key} can not be {value!r}", code="bad_fact")
    for key, value in node.items():
        if key not in STRUCTURE and not _storable(value):
            raise Invalid(f"{where}: {key} holds something that can not be stored", code="bad_fact")


def _storable(value: Any) -> bool:
    """Can PostgreSQL keep it as JSON: no NUL, no lone surrogate, no NaN."""
    if isinstance(value, dict):
        return all(_storable(key) and _storable(item) for key, item in value.items())
    if isinstance(value, list):
        return all(map(_storable, value))
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, str):
        return "\0" not in value and not any("\ud800" <= letter <= "\udfff" for letter in value)
    return True


def _date(value: Any, where: str) -> datetime | None:
    if value is None:
        return None
    try:
        parsed = parse_datetime(value)
        if parsed is not None:
            return in_utc(parsed, zone=UTC)
    except (TypeError, ValueError):
        pass
    raise Invalid(f"{where}: created_date is no ISO 8601 date", code="bad_date")


def tree_line(tree: MessageTree, root: Message, children: dict[UUID | None, list[Message]]) -> Node:
    """The JSON object of a tree. `children` holds the messages to be written, by parent id."""
    given: dict[str, Any] = (root.imported or {}).get("tree", {})
    line = {"message_tree_id": str(tree.pk), **given}
    if root.imported is None or "tree_state" in given or tree.state != State.BACKLOG_RANKING:
        line["tree_state"] = tree.state
    nodes: dict[UUID, Node] = {}
    for message in _depth_first(root, children):
        node = nodes[message.pk] = _node(message)
        if message.parent_id is not None:
            nodes[message.parent_id].setdefault("replies", []).append(node)
    line["prompt"] = nodes[root.pk]
    return line


def _depth_first(root: Message, children: dict[UUID | None, list[Message]]) -> Iterator[Message]:
    waiting = [root]
    while waiting:
        message = waiting.pop()
        yield message
        waiting.extend(reversed(in_order(children.get(message.pk, []))))


def _node(message: Message) -> Node:
    given: dict[str, Any] = (message.imported or {}).get("given", {})
    absent = (message.imported or {}).get("absent", [] if message.parent_id else ["parent_id"])
    node: Node = {
        "message_id": str(message.pk),
        "parent_id": str(message.parent_id) if message.parent_id else None,
        "user_id": str(message.author_id) if message.author_id else None,
        "created_date": None if message.imported is not None else message.created_at.isoformat(),
    }
    node = {key: value for key, value in node.items() if value is not None}
    if message.parent_id is None and message.imported is not None and "parent_id" not in absent:
        node["parent_id"] = None
    node |= {"text": message.text, "role": message.role, "lang": message.lang}
    for key in absent:
        node.pop(key, None)
    node |= {key: value for key, value in given.items() if key not in FACTS}
    for key, nothing in FACTS.items():
        value = getattr(message, key)
        if value != nothing or (message.imported is None and key in ("review_count", "deleted", "synthetic")):
            node[key] = value
        elif key in given:
            node[key] = given[key] if given[key] in (None, nothing) else nothing
    if "replies" not in absent:
        node["replies"] = []
    return node
