"""Readers that do what a test wants."""

from collections.abc import Callable, Sequence
from typing import Any

from trees.enrichment.readers import Outcome, Reader, Result, Text


class FakeReader(Reader):
    """Counts the letters of texts. `trouble` is called with each batch first, and may raise."""

    def __init__(self, kind: str = "letters", trouble: Callable[[Sequence[Text]], object] = lambda texts: None) -> None:
        self.kind, self.trouble = kind, trouble
        self.version = "1"
        self.calls: list[list[str]] = []
        self.kept: list[Text] = []

    def read(self, texts: Sequence[Text]) -> Sequence[Outcome]:
        self.calls.append([text.text for text in texts])
        self.trouble(texts)
        return [Result({"letters": len(text.text)}, "counter", self.version) for text in texts]

    def keep(self, read: Sequence[tuple[Text, Result]]) -> None:
        self.kept += [text for text, _ in read]


def raise_for(word: str, error: Exception) -> Callable[[Sequence[Text]], Any]:
    """Return a trouble: raise the error for a batch with this word."""

    def trouble(texts: Sequence[Text]) -> None:
        if any(word in text.text for text in texts):
            raise error

    return trouble
