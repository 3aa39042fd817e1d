"""Conversations that ship with the project, made up by its makers, with the verdicts that they expect.

They stand in where a site has no finished conversations yet, and among the real ones in practice, where they show what
accepted messages never do: junk, and answers that are wrong. One JSON file for each language; a new language needs only
a file.
"""

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from django.utils.translation import get_language

from trees.contributing.outcomes import Outcome
from trees.labels import LABELS
from trees.lifecycle.states import Work
from trees.models import Role

FALLBACK = "en"


@dataclass(frozen=True)
class ExampleMessage:
    text: str
    outcomes: dict[str, Outcome]
    replies: list["ExampleMessage"] = field(default_factory=list)
    """Best first."""


@dataclass(frozen=True)
class Example:
    """A conversation whose last message is to be reviewed."""

    name: str
    lang: str
    turns: tuple[str, ...]
    """From the prompt on; user and assistant take turns."""
    outcomes: dict[str, Outcome]
    why: str
    for_writers: str = ""
    """Why it is accepted or not, for somebody who only has to say that; empty if they are not asked."""

    @property
    def work(self) -> Work:
        if len(self.turns) == 1:
            return Work.LABEL_INITIAL_PROMPT
        return Work.LABEL_PROMPTER_REPLY if len(self.turns) % 2 else Work.LABEL_ASSISTANT_REPLY


@dataclass(frozen=True)
class RankingExample:
    """A conversation with several replies to its last message."""

    name: str
    lang: str
    turns: tuple[str, ...]
    replies: tuple[str, ...]
    """Best first."""
    why: str

    @property
    def work(self) -> Work:
        return Work.RANK_ASSISTANT_REPLIES if len(self.turns) % 2 else Work.RANK_PROMPTER_REPLIES


def role_at(depth: int) -> Role:
    return Role.ASSISTANT if depth % 2 else Role.PROMPTER


def languages() -> list[str]:
    return sorted(file.stem for file in Path(__file__).parent.glob("*.json"))


def story(lang: str = "") -> tuple[str, ExampleMessage]:
    """Return the language and the prompt of the example of a finished conversation."""
    lang = _offered(lang)
    return lang, _message(_read(lang)["story"])


def practice_examples(lang: str = "") -> list[Example]:
    lang = _offered(lang)
    return [
        Example(
            one["name"], lang, tuple(one["turns"]), _expected(one["labels"]), one["why"], one.get("for_writers", "")
        )
        for one in _read(lang)["practice"]
    ]


def ranking_examples(lang: str = "") -> list[RankingExample]:
    lang = _offered(lang)
    return [
        RankingExample(one["name"], lang, tuple(one["turns"]), tuple(one["replies"]), one["why"])
        for one in _read(lang)["rankings"]
    ]


def find_example(name: str) -> Example | None:
    """Return the example with this name, in any language. Names are unique."""
    found = (one for lang in languages() for one in practice_examples(lang) if one.name == name)
    return next(found, None)


def find_ranking_example(name: str) -> RankingExample | None:
    """Return the ranking with this name, in any language. Names are unique, also among the other examples."""
    found = (one for lang in languages() for one in ranking_examples(lang) if one.name == name)
    return next(found, None)


def _offered(lang: str) -> str:
    """Return the language, else that of the page, else English."""
    return next(one for one in (lang, get_language() or "", FALLBACK) if one in languages())


@cache
def _read(lang: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((Path(__file__).parent / f"{lang}.json").read_text(encoding="utf-8"))
    return data


def _message(data: dict[str, Any]) -> ExampleMessage:
    outcomes = {name: Outcome(LABELS[name], mean, count) for name, (mean, count) in data["labels"].items()}
    return ExampleMessage(data["text"], outcomes, [_message(reply) for reply in data["replies"]])


def _expected(labels: dict[str, float]) -> dict[str, Outcome]:
    """Return the verdicts of the makers, as the outcome of one reviewer."""
    return {name: Outcome(LABELS[name], value, 1) for name, value in labels.items()}
