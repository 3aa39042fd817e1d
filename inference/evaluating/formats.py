"""Checks of one answer that need no judge: does it end, stay in its role and language, and go on without loops?

They look at the form only. What looks like a refusal is found by how such sentences begin in some languages; a model
that refuses in other words, or in another language, is not noticed.
"""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass

from inference.training.sampling import Answer

OtherLanguage = Callable[[str, str], str | None]
"""Takes a text and the language it should have; returns the other one that it surely has, or None."""

# A line on which another turn begins: the names of roles as templates write them, and as people write dialogues.
_TURN = re.compile(
    r"^\s*(?:<\|?/?(?:im_start|im_end|system|user|assistant|prompter|human|bot|end|eot_id|endoftext)\|?>|\[/?INST\]"
    r"|<</?SYS>>|#{2,}\s*(?:human|user|assistant|instruction|response|input)\b"
    r"|(?:human|user|assistant|prompter|system|ai|bot)\s*:|(?:human|user|assistant|prompter|system)\s*$)",
    re.IGNORECASE | re.MULTILINE,
)
_START = 240  # characters: a refusal begins with it

_REFUSALS = re.compile(
    "|".join(
        (
            r"\bI(?:'|’)?m (?:really |very |truly )?sorry\b",
            r"\b(?:I|we) (?:can(?:'|’)?t|cannot|can not|won(?:'|’)?t|will not|am not able to|am unable to|must decline"
            r"|refuse to|do not feel comfortable|don(?:'|’)t feel comfortable)\b",
            r"\bI(?:'|’)m (?:not able|unable|not comfortable)\b",
            r"\bas an AI\b[^.]{0,80}\b(?:can(?:'|’)?t|cannot|not)\b",
            r"\b(?:es )?tut mir (?:sehr |wirklich )?leid\b",
            r"\b(?:ich|wir) (?:kann|können|darf|werde)\b[^.!?]{0,60}\bnicht\b",
            r"\blo siento\b|\bno (?:puedo|podemos|debo|voy a)\b|\bme niego\b",
            r"\b(?:je|nous) (?:suis désolée?|ne (?:peux|pouvons|vais) pas)\b|\bdésolée?\b",
            r"\bmi dispiace\b|\bnon posso\b|\b(?:sinto|lamento) muito\b|\bnão posso\b|\bdesculpe\b",
            r"\bизвините\b|\bпростите\b|\bк сожалению\b|\bя не (?:могу|буду)\b",
            r"抱歉|对不起|對不起|我(?:不能|无法|無法)|申し訳|できません|お答えできません|죄송|할 수 없습니다",
        )
    ),
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Checks:
    """Each True is a failing, except `ended`."""

    ended: bool
    empty: bool
    role_leak: bool
    repeats: bool
    other_language: str
    """The language it surely has instead; empty if none."""
    refuses: bool

    def as_values(self) -> dict[str, bool | str]:
        return asdict(self)


def check(answer: Answer, lang: str, other_language: OtherLanguage | None) -> Checks:
    other = other_language(answer.text, lang) if other_language is not None and lang and answer.text else None
    return Checks(
        ended=answer.ended,
        empty=not answer.text.strip(),
        role_leak=answer.controls > 0 or leaks_role(answer.text),
        repeats=repeats(answer.text),
        other_language=other or "",
        refuses=refuses(answer.text),
    )


def leaks_role(text: str) -> bool:
    """Return True if the text goes on with another turn: the model plays its user, or shows its control tokens."""
    return bool(_TURN.search(text))


def refuses(text: str) -> bool:
    return bool(_REFUSALS.search(text[:_START]))


def repeats(text: str) -> bool:
    """Return True if the text is caught in a loop: the same few words five times in a row, or hardly any new ones."""
    words = text.casefold().split()
    if len(words) < 8:
        words = list(re.sub(r"\s", "", text.casefold()))  # also scripts without spaces
        return len(words) >= 24 and (_in_a_row(words, 12) or _few_new(words, 8))
    return _in_a_row(words, 12) or _few_new(words, 4)


def _in_a_row(words: list[str], longest: int) -> bool:
    for size in range(1, longest + 1):
        same = 0
        for place in range(size, len(words)):
            same = same + 1 if words[place] == words[place - size] else 0
            if same >= 4 * size and same >= 8:  # five times, or nine of one word
                return True
    return False


def _few_new(words: list[str], size: int) -> bool:
    """Return True if more than half of the pieces of this size stood in the text before."""
    pieces = Counter(tuple(words[place : place + size]) for place in range(len(words) - size + 1))
    number = sum(pieces.values())
    return number >= 24 and len(pieces) < number / 2
