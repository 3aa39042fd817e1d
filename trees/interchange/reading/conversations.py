"""Conversations of other data sets as trees: ShareGPT and LMSYS-like chats, and HH-RLHF pairs. Pure.

Answers in them are machine-made. The rest of an object (its id, moderation scores, …) is kept beside the tree, under
`source`. Where a file does not name the language, it is detected, and `und` (undetermined) if that is not certain.
"""

import re
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from oasst.core.errors import Invalid
from oasst.core.text.language_detection import detect
from oasst.core.text.languages import LANGUAGES
from oasst.core.text.validation import clean_pool_tag
from trees.interchange.format import Node
from trees.interchange.reading.foreign_ids import id_of_content, id_of_part, machine_reply, prompt, without_nulls
from trees.lifecycle.states import State

UNDETERMINED = "und"
_SPEAKERS = {
    **dict.fromkeys(("human", "user", "prompter"), "prompter"),
    **dict.fromkeys(("gpt", "assistant", "chatgpt", "bing", "bard", "claude", "model"), "assistant"),
    "system": "system",
}
_TAGS = {language.english_name.lower(): language.code for language in LANGUAGES} | {"norwegian": "nb"}
_TURN = re.compile(r"(?:\A|\n\n)(Human|Assistant):[ ]?")


def tree_of_sharegpt(record: Node) -> Node:
    """`{"id", "conversations": [{"from": "human", "value"}, …]}`, also with `messages`, `role` and `content`."""
    key = "conversations" if "conversations" in record else "messages"
    return _chain("sharegpt", record, key, model=_text_or_none(record.get("model")))


def tree_of_lmsys(record: Node) -> Node:
    """`{"conversation_id", "model", "conversation": [{"role": "user", "content"}, …], "language", …}`."""
    return _chain("lmsys", record, "conversation", model=_text_or_none(record.get("model")))


def tree_of_hh_rlhf(record: Node) -> Node:
    """`{"chosen", "rejected"}`: two dialogues that begin alike. They become one tree, which branches where they
    differ; the chosen reply has rank 0 there.
    """
    dialogues = {name: _dialogue(record.get(name), name) for name in ("chosen", "rejected")}
    chosen, rejected = dialogues["chosen"], dialogues["rejected"]
    shared = 0
    while shared < min(len(chosen), len(rejected)) and chosen[shared] == rejected[shared]:
        shared += 1
    if not shared:
        raise Invalid("chosen and rejected begin with different prompts", code="not_a_tree")
    pair = {key: record[key] for key in dialogues}
    tree_id = id_of_content("hh-rlhf", pair)
    root = _nest(tree_id, chosen, "chosen")
    if len(rejected) > shared:
        parent = root
        for _ in range(shared - 1):
            (parent,) = parent["replies"]
        branch = _nest(tree_id, rejected[shared:], "rejected", shared)
        branch["parent_id"] = parent["message_id"]
        parent["replies"].append(branch)
        if len(parent["replies"]) == 2 and branch["role"] == parent["replies"][0]["role"] == "assistant":
            for rank, reply in enumerate(parent["replies"]):
                reply["rank"] = rank
    return _tree("hh-rlhf", tree_id, root, _language(None, [text for _, text in chosen]), _rest(record, dialogues))


def _chain(name: str, record: Node, key: str, *, model: str | None) -> Node:
    turns = record[key]
    if not isinstance(turns, list) or not turns:
        raise Invalid(f"{key} must be a list of turns", code="not_a_tree")
    said = [_turn(turn, number) for number, turn in enumerate(turns, start=1)]
    system = []
    while said and said[0][0] == "system":
        system.append(said.pop(0)[1])
    if not said or said[0][0] != "prompter":
        raise Invalid("a conversation must begin with the user", code="unknown_role")
    if any(role == "system" for role, _ in said):
        raise Invalid("a system message must stand at the beginning", code="unknown_role")
    tree_id = id_of_content(name, record)
    rest = _rest(record, (key, "model", "language")) | ({"system": "\n\n".join(system)} if system else {})
    root = _nest(tree_id, said, "turn", model=model)
    return _tree(name, tree_id, root, _language(record.get("language"), [text for _, text in said]), rest)


def _turn(turn: Any, number: int) -> tuple[str, str]:
    if not isinstance(turn, dict):
        raise Invalid(f"turn {number} must be an object", code="not_a_message")
    speaker = turn.get("from", turn.get("role"))
    text = turn.get("value", turn.get("content"))
    role = _SPEAKERS.get(speaker.lower()) if isinstance(speaker, str) else None
    if role is None:
        raise Invalid(f"turn {number}: the speaker must be human, gpt, user, assistant or system", code="unknown_role")
    if not isinstance(text, str):
        raise Invalid(f"turn {number}: the text must be a string", code="bad_text")
    return role, text


def _dialogue(text: Any, name: str) -> list[tuple[str, str]]:
    if not isinstance(text, str):
        raise Invalid(f"{name} must be a string", code="bad_text")
    before, *parts = _TURN.split(text)
    if before.strip() or not parts or parts[0] != "Human":
        raise Invalid(f'{name} must be a dialogue that begins with "Human:"', code="not_a_tree")
    roles = ("prompter" if speaker == "Human" else "assistant" for speaker in parts[::2])
    return list(zip(roles, parts[1::2], strict=True))


def _nest(
    tree_id: UUID, said: Sequence[tuple[str, str]], part: str, first: int = 0, *, model: str | None = None
) -> Node:
    """Return the turns as nodes, each the only reply to the one before. The very first has the id of the tree."""
    top: Node | None = None
    last: Node | None = None
    for number, (role, text) in enumerate(said, start=first):
        facts = {"model_name": model} if model else {}
        node = prompt(text) if role == "prompter" else machine_reply(text, **facts)
        node |= {"message_id": str(id_of_part(tree_id, f"{part} {number}") if number else tree_id), "replies": []}
        if last is None:
            top = node
        else:
            node["parent_id"] = last["message_id"]
            last["replies"].append(node)
        last = node
    assert top is not None
    return top


def _tree(name: str, tree_id: UUID, root: Node, lang: str, rest: Node) -> Node:
    waiting = [root]
    while waiting:
        node = waiting.pop()
        node["lang"] = lang
        waiting.extend(node["replies"])
    source = {"format": name, **rest}
    state = State.READY_FOR_EXPORT.value
    return {"message_tree_id": str(tree_id), "tree_state": state, "prompt": root, "source": source}


def _rest(record: Node, taken: Any) -> Node:
    rest: Node = without_nulls({key: value for key, value in record.items() if key not in taken})
    return rest


def _language(given: Any, texts: Sequence[str]) -> str:
    """Return the tag of a language that a file names in English or by its tag, else the detected one."""
    if isinstance(given, str):
        if tag := _TAGS.get(given.strip().lower()):
            return tag
        try:
            if len(given.partition("-")[0]) in (2, 3):
                return clean_pool_tag(given)
        except Invalid:
            pass
    found = detect("\n".join(text[:1000] for text in texts[:4]).replace("\0", ""))
    return found.tag if found.tag is not None and found.is_sure else UNDETERMINED


def _text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) else None
