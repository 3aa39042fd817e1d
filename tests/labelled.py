"""Labelled samples, and how well a rule or a model does on them."""

import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).parent / "data" / "labelled"
_MARK = re.compile(r"\{\{(?P<kind>\w+)\|(?P<text>.*?)\}\}(?!\})", re.DOTALL)


@dataclass(frozen=True)
class MarkedText:
    """A text, and (start, end, kind) of what is to be found in it."""

    lang: str
    text: str
    spans: tuple[tuple[int, int, str], ...]


def read_rows(name: str) -> list[tuple[str, str]]:
    """Return (label, text) of each line that is not a comment."""
    lines = (FOLDER / name).read_text().splitlines()
    rows = [line.split("\t") for line in lines if line and not line.startswith("#")]
    return [(label, text.replace("\\n", "\n")) for label, text in rows]


def read_marked(name: str) -> list[MarkedText]:
    return [_parse(lang, text.replace("¦", "")) for lang, text in read_rows(name)]


def _parse(lang: str, marked: str) -> MarkedText:
    text, spans, last = "", [], 0
    for match in _MARK.finditer(marked):
        text += marked[last : match.start()]
        spans.append((len(text), len(text) + len(match["text"]), match["kind"]))
        text += match["text"]
        last = match.end()
    return MarkedText(lang, text + marked[last:], tuple(spans))


@dataclass
class Figures:
    """Counts of right, wrong and missed findings."""

    right: int = 0
    wrong: int = 0
    missed: int = 0
    faults: list[str] = field(default_factory=list)

    def count(self, name: str, fault: str = "") -> None:
        """Count one more of `right`, `wrong` or `missed`."""
        setattr(self, name, getattr(self, name) + 1)
        if fault:
            self.faults.append(fault)

    @property
    def precision(self) -> float:
        return self.right / (self.right + self.wrong or 1)

    @property
    def recall(self) -> float:
        return self.right / (self.right + self.missed or 1)

    def __str__(self) -> str:
        counts = f"{self.right} right, {self.wrong} wrong, {self.missed} missed"
        return f"precision {self.precision:.3f}, recall {self.recall:.3f} ({counts})"


def by_kind() -> defaultdict[str, Figures]:
    return defaultdict(Figures)
