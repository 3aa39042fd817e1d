"""The format of a line, and its parser: a message tree as a JSON object. Pure: no database.

A line is `{message_tree_id, tree_state, prompt}`; `prompt` and each of its `replies` is a message node.
`trees.interchange.export_json` writes them.
"""

import math
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.utils.dateparse import parse_datetime

from oasst.core.errors import Invalid
from oasst.core.text.validation import clean_pool_tag
from oasst.core.timestamps import to_utc
from trees.interchange.named_counts import PARTS, are_lists, by_name
from trees.lifecycle.states import State
from trees.models import Role

Node = dict[str, Any]

# Keys stored in columns; all other keys of a node are kept in Message.imported["given"].
STRUCTURE = ("message_id", "parent_id", "text", "role", "lang", "replies")
# Facts that may change here after an import, with the value for "nothing to say".
FACTS: dict[str, Any] = {
    "review_count": 0,
    "review_result": None,
    "deleted": False,
    "rank": None,
    "synthetic": False,
    "model_name": "",
    "emojis": {},
}
# The order of the keys of a node; unknown keys come between these and the replies.
ORDER = ("message_id", "parent_id", "user_id", "created_date", "text", "role", "lang", *FACTS, "labels", "events")
LANGUAGE_TAG = re.compile(r"[A-Za-z0-9-]{1,32}")
SURROGATES = re.compile("[\ud800-\udfff]")
# The limit for counts in a file. The columns hold twice as much, so that new counts can be added.
LARGEST_COUNT = 10**9
# Python reads and writes JSON recursively, and the site writes it from deeper in its stack than the import reads it.
MAX_REPLY_DEPTH = 250
MAX_JSON_DEPTH = 50


@dataclass
class ParsedMessage:
    """A checked node of a file."""

    id: UUID
    parent_id: UUID | None
    depth: int
    position: int
    node: Node
    created_at: datetime | None
    imported: dict[str, Any]

    def fact(self, key: str) -> Any:
        value = self.node.get(key)
        if isinstance(value, float):  # some programs write integers as 3.0
            return int(value)
        if key == "emojis" and value is not None:
            return {emoji: int(number) for emoji, number in value.items()}
        return FACTS[key] if value is None else value


@dataclass
class ParsedTree:
    id: UUID
    state: State
    lang: str
    messages: list[ParsedMessage] = field(default_factory=list)


def parse_tree(line: Any) -> ParsedTree:
    """Check and parse one line of a file. Raise Invalid with the message and the key."""
    if not isinstance(line, dict):
        raise Invalid("a line must be a JSON object", code="not_a_tree")
    if "message_tree_id" not in line or not isinstance(line.get("prompt"), dict):
        raise Invalid("a line must be a tree with message_tree_id and prompt", code="not_a_tree")
    state = line.get("tree_state")
    if state is None:
        state = State.BACKLOG_RANKING
    if state not in list(State):
        raise Invalid(f"there is no tree state {_short(state)}", code="unknown_state")
    tree_id = _uuid(line["message_tree_id"], "message_tree_id")
    root = line["prompt"]
    if root.get("message_id") != line["message_tree_id"]:
        raise Invalid("message_tree_id must be the message_id of the prompt", code="wrong_root")
    tree = ParsedTree(id=tree_id, state=State(state), lang=usual_case(root.get("lang") or "en"))
    # A list instead of recursion: a file may nest deeper than Python's stack.
    waiting: list[tuple[Node, UUID | None, int, int]] = [(root, None, 0, 0)]
    seen: set[UUID] = set()
    while waiting:
        node, parent_id, depth, position = waiting.pop()
        if depth > MAX_REPLY_DEPTH:
            raise Invalid(f"replies stand more than {MAX_REPLY_DEPTH} deep", code="too_deep")
        message = _parse_node(node, parent_id, depth, position, tree.lang)
        if message.id in seen:
            raise Invalid(f"message {message.id} occurs twice", code="repeated_message")
        seen.add(message.id)
        tree.messages.append(message)
        replies = node.get("replies") or []
        waiting.extend((reply, message.id, depth + 1, i) for i, reply in reversed(list(enumerate(replies))))
    extra = {key: value for key, value in line.items() if key not in ("message_tree_id", "prompt")}
    _check_storable(extra, "")
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
    lang = node.get("lang")
    if lang is None:
        lang = tree_lang
    if not isinstance(lang, str) or not LANGUAGE_TAG.fullmatch(lang):
        raise Invalid(f"{where}: lang must be a language tag of at most 32 characters", code="language")
    if not isinstance(node.get("replies") if node.get("replies") is not None else [], list):
        raise Invalid(f"{where}: replies must be a list", code="bad_fact")
    _check_text(node.get("text"), where)
    in_lists = {key: node[key] for key in PARTS if are_lists(node.get(key), key)}
    node = {**node, **{key: by_name(key, lists) for key, lists in in_lists.items()}}
    _check_facts(node, where)
    given = {key: value for key, value in node.items() if key not in STRUCTURE}
    # What the columns cannot restore: absent keys, nulls, another spelling of a language, parallel lists.
    original: dict[str, Any] = {"absent": [key for key in ("parent_id", "lang", "replies") if key not in node]}
    if nulls := [key for key in ("lang", "replies") if node.get(key, "") is None]:
        original["null"] = nulls
    if lang != usual_case(lang):
        original["lang"] = lang
    if in_lists:  # keeps the order of the names
        original["lists"] = {key: lists["name"] for key, lists in in_lists.items()}
    return ParsedMessage(
        id=message_id,
        parent_id=parent_id,
        depth=depth,
        position=position,
        node={**node, "lang": usual_case(lang)},
        created_at=_date(node.get("created_date"), where),
        imported={"given": given, **original},
    )


def _uuid(value: Any, key: str) -> UUID:
    try:
        parsed = UUID(value)
    except (ValueError, TypeError, AttributeError):
        raise Invalid(f"{key} must be a UUID, not {_short(value)}", code="bad_id") from None
    if str(parsed) != value:
        raise Invalid(f"{key} must be written in lower case with hyphens: {_short(value)}", code="bad_id")
    return parsed


def _short(value: Any) -> str:
    """Return a value of the file, shortened for an error message."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def usual_case(lang: Any) -> Any:
    """Return the usual spelling of a language (`PT-br` and `pt-BR` share one pool); an invalid tag is returned as it
    is.
    """
    try:
        return clean_pool_tag(lang)
    except Invalid:
        return lang


def _check_text(text: Any, where: str) -> None:
    """Raise Invalid only for texts that a database cannot hold; imported texts are not cleaned."""
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
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LARGEST_COUNT:
            return False
        return value == int(value)

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
            raise Invalid(f"{where}: {key} cannot be {_short(value)}", code="bad_fact")
    _check_storable({key: value for key, value in node.items() if key not in STRUCTURE}, where)


def _check_storable(given: dict[str, Any], where: str) -> None:
    """Raise Invalid unless PostgreSQL can store it as JSON: no NUL, lone surrogate, NaN or endless nesting."""
    for key, value in given.items():
        waiting = [(key, 0), (value, 0)]
        while waiting:
            item, level = waiting.pop()
            if not _storable(item) or level > MAX_JSON_DEPTH:
                problem = "is nested too deeply" if level > MAX_JSON_DEPTH else "holds something that cannot be stored"
                raise Invalid(f"{where}: {_short(key)} {problem}".removeprefix(": "), code="bad_fact")
            if isinstance(item, dict):
                waiting.extend((part, level + 1) for pair in item.items() for part in pair)
            elif isinstance(item, list):
                waiting.extend((part, level + 1) for part in item)


def _storable(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, str):
        return "\0" not in value and (value.isascii() or not SURROGATES.search(value))
    return True


def _date(value: Any, where: str) -> datetime | None:
    if value is None:
        return None
    try:
        parsed = parse_datetime(value)
        if parsed is not None:
            return to_utc(parsed, zone=UTC)
    except (TypeError, ValueError):
        pass
    raise Invalid(f"{where}: created_date is no ISO 8601 date", code="bad_date")
