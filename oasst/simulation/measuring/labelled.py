"""Labelled samples, and how well a rule or a model does on them."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings

FOLDER = Path(settings.BASE_DIR) / "tests" / "data" / "labelled"
"""Our samples. A production image may lack them: copy the files there and name their folder."""
_MARK = re.compile(r"\{\{(?P<kind>\w+)\|(?P<text>.*?)\}\}(?!\})", re.DOTALL)


@dataclass(frozen=True)
class MarkedText:
    """A text, and (start, end, kind) of what is to be found in it."""

    lang: str
    text: str
    spans: tuple[tuple[int, int, str], ...]


def read_columns(file: Path, columns: int) -> list[tuple[str, ...]]:
    """Return the columns of each line that is not a comment; the last one is a text. Raise ValueError with the line."""
    rows = []
    for number, line in enumerate(file.read_text().split("\n"), start=1):
        if not line or line.startswith("#"):
            continue
        *labels, text = line.split("\t")
        if len(labels) != columns - 1:
            raise ValueError(f"{file}, line {number}: {len(labels) + 1} columns between tabs, not {columns}.")
        rows.append((*labels, text.replace("\\n", "\n")))
    return rows


def read_marked(file: Path) -> list[MarkedText]:
    """Return the texts of a file in which `{{kind|…}}` marks what is to be found."""
    return [_parse(lang, text.replace("¦", "")) for lang, text in read_columns(file, 2)]


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
