"""End an answer at a stop text, wherever in a token it begins, without showing a part of it."""

from collections.abc import Sequence


class Stopper:
    """`feed` takes the text in pieces and returns what may be shown.

    The possible start of a stop text is held back until more text decides it. When `stopped` is true the answer is
    over, and the stop text and all after it are dropped.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.stopped = False

    def feed(self, text: str) -> str:
        if self.stopped:
            return ""
        text = self._held + text
        positions = [position for position in (text.find(stop) for stop in self._stops) if position >= 0]
        if positions:
            self.stopped = True
            self._held = ""
            return text[: min(positions)]
        held = max((_overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]

    def end(self) -> str:
        """Return the held text when the answer ends without a stop text."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """Return the length of the longest end of `text` that is a start of `stop`."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0
