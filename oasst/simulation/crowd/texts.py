"""Real texts for simulated people, from the sample files. Repeated texts are varied a little."""

import json
import random
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from threading import Lock
from typing import Any

from oasst.core.errors import Invalid
from oasst.core.json_lines import read_lines
from oasst.core.text.validation import clean_text
from tasks.kinds import Kind

ROOM = 100  # characters that a variation may add
VARIATIONS = (
    "(Said another way, number {}.)",
    "(The same once more, version {}.)",
    "(One more thought on this, number {}.)",
    "(A second look, take {}.)",
)


class Texts:
    """Hands out texts by kind, in random order. Safe to share between threads."""

    def __init__(self, folder: Path, *, limit: int, rng: random.Random) -> None:
        nodes = [node for line in _lines(folder / "trees_en_50.jsonl") for node in _nodes(line["prompt"])]
        by_role = {
            role: [node["text"] for node in nodes if node["role"] == role and node.get("parent_id")]
            for role in ("prompter", "assistant")
        }
        prompts = [*_lines(folder / "prompts_en_125.jsonl"), *(n["text"] for n in nodes if not n.get("parent_id"))]
        sources = {
            Kind.INITIAL_PROMPT: prompts,
            Kind.PROMPTER_REPLY: by_role["prompter"],
            Kind.ASSISTANT_REPLY: by_role["assistant"],
        }
        self._lock = Lock()
        self._sources: dict[Kind, Iterator[str]] = {}
        for kind, texts in sources.items():
            usable = sorted({text for text in texts if _usable(text, limit - ROOM)})
            rng.shuffle(usable)
            self._sources[kind] = _endless(usable)

    def draw(self, kind: Kind) -> str:
        with self._lock:
            return next(self._sources[kind])


def _endless(texts: list[str]) -> Iterator[str]:
    yield from texts
    for time in count(2):
        for number, text in enumerate(texts):
            yield f"{text}\n\n{VARIATIONS[number % len(VARIATIONS)].format(time)}"


def _lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in read_lines(path)]


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    stack = [node]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(node.get("replies") or [])


def _usable(text: str, limit: int) -> bool:
    """Return True if a user may submit the text: the rules for users do not apply to imported files."""
    try:
        clean_text(text, limit=limit)
    except Invalid:
        return False
    return True
