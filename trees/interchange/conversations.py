"""Conversations of a frozen tree that a model may learn from. Pure: no database, no file.

The rules are those of Open-Assistant's loader, with the checks that it lacks. A message counts only if reviewers
accepted it and it is neither deleted, nor written by a machine, nor empty; nothing below such a message counts. Roles
alternate, beginning with the prompter. What is unknown (null) does not make a message accepted.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from trees.interchange.flat import Type
from trees.interchange.format import Node
from trees.interchange.tree_record import TreeRecord
from trees.lifecycle.states import State
from trees.models import Role

Path = tuple[Node, ...]
"""The messages from the prompt of a tree down to one message."""

CHAT: Type = [{"role": "string", "content": "string"}]
"""Messages with the names of Hugging Face `transformers`: their chat templates and `trl` take them as they are."""
LABELS: Type = {"name": ["string"], "value": ["float64"], "count": ["int32"]}
"""The column is `review_labels` here: `trl` takes a column `labels` for the tokens to learn."""

_CHAT_ROLES = {Role.PROMPTER.value: "user", Role.ASSISTANT.value: "assistant"}


def is_written_by_a_person(message: Node) -> bool:
    """Return True for a text that was not deleted and that no machine wrote, whatever reviewers said."""
    return not (message["deleted"] or message["synthetic"]) and bool(message["text"].strip())


def is_usable(message: Node) -> bool:
    return message["review_result"] is True and is_written_by_a_person(message)


def is_finished(record: TreeRecord) -> bool:
    """Return True if the tree is complete: replies in all other states may lack reviews and ranks."""
    state: str = record.tree["tree_state"]
    return state == State.READY_FOR_EXPORT.value


def usable_paths(record: TreeRecord) -> Iterator[Path]:
    """Yield the path to each usable message whose parents are all usable, depth first."""
    prompt: Node = record.tree["prompt"]
    waiting: list[Path] = [(prompt,)] if is_usable(prompt) and prompt["role"] == Role.PROMPTER else []
    while waiting:
        path = waiting.pop()
        yield path
        waiting.extend((*path, reply) for reply in reversed(usable_replies(path[-1])))


def answers(message: Node) -> list[Node]:
    """Return all replies with the other role."""
    return [reply for reply in message["replies"] if reply["role"] != message["role"]]


def usable_replies(message: Node) -> list[Node]:
    return [reply for reply in answers(message) if is_usable(reply)]


def thread_rows(record: TreeRecord) -> Iterator[dict[str, Any]]:
    """Yield the longest conversations that end with an assistant.

    A conversation that only begins another one is no row of its own. A last message of a prompter, which nobody
    answered, is left out; the conversation above it stays.
    """
    if not is_finished(record):
        return
    for path in usable_paths(record):
        last = path[-1]
        if last["role"] == Role.ASSISTANT and not any(usable_replies(reply) for reply in usable_replies(last)):
            yield {
                **about(record, path),
                "messages": chat(path),
                "message_ids": ids(path),
                "top_k": _top_k(path),
                "review_labels": last["labels"],
                "bases": bases(path),
            }


def prompt_rows(record: TreeRecord) -> Iterator[dict[str, Any]]:
    """Yield the initial prompt if it is usable. The tree may be in any state but those that stopped it."""
    prompt: Node = record.tree["prompt"]
    stopped = (State.ABORTED_LOW_GRADE, State.HALTED_BY_MODERATOR)
    if is_usable(prompt) and prompt["role"] == Role.PROMPTER and record.tree["tree_state"] not in stopped:
        yield {
            **about(record, (prompt,)),
            "prompt": chat((prompt,)),
            "tree_state": record.tree["tree_state"],
            "review_labels": prompt["labels"],
            "bases": bases((prompt,)),
        }


def about(record: TreeRecord, path: Path) -> dict[str, Any]:
    """Return what each row of a conversation begins with. The language is that of the initial prompt."""
    return {"message_tree_id": record.id, "lang": path[0]["lang"]}


def chat(path: Sequence[Node]) -> list[dict[str, str]]:
    return [{"role": _CHAT_ROLES[message["role"]], "content": message["text"]} for message in path]


def ids(path: Sequence[Node]) -> list[str]:
    return [message["message_id"] for message in path]


def bases(path: Sequence[Node]) -> list[str]:
    """Return the bases for publishing these messages, each once."""
    return sorted({message["basis"] for message in path if message["basis"] is not None})


def _top_k(path: Path) -> int | None:
    """Return how many of the best replies one must take at each step to get this conversation.

    None if a reply has no rank although there are others to choose from.
    """
    needed = 1
    for parent, reply in pairwise(path):
        if reply["role"] != Role.ASSISTANT:
            continue
        if reply["rank"] is not None:
            needed = max(needed, reply["rank"] + 1)
        elif len(usable_replies(parent)) > 1:
            return None
    return needed
