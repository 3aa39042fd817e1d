"""Progress of the trees of a crowd: a bar on a terminal, else a line now and then."""

import time
from collections import Counter
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db.models import Count

from trees.lifecycle.states import State
from trees.models import MessageTree

WIDTH = 30
LINE_EVERY = 5.0  # seconds


def states_of_trees_by(authors: Iterable[UUID]) -> Counter[State]:
    """Return state → the number of trees in it that these users started."""
    rows = MessageTree.objects.filter(messages__parent=None, messages__author__in=list(authors))
    return Counter({State(state): number for state, number in rows.values_list("state").annotate(n=Count("pk"))})


class Progress:
    def __init__(self, stream: Any, goal: int) -> None:
        self._stream = stream
        self._goal = goal
        self._is_terminal = stream.isatty()
        self._began = time.monotonic()
        self._written_at = 0.0
        self._written = ""

    def show(self, states: Counter[State], answers: int) -> None:
        done = min(states[State.READY_FOR_EXPORT], self._goal)
        rest = ", ".join(f"{number} {state.value}" for state, number in sorted(states.items()) if number)
        speed = answers / max(0.001, time.monotonic() - self._began)
        line = f"{done} of {self._goal} trees finished, {answers} answers, {speed:.1f}/s ({rest or 'no trees yet'})"
        if self._is_terminal:
            filled = WIDTH * done // self._goal
            self._stream.write(f"\r[{'#' * filled}{'.' * (WIDTH - filled)}] {line}\x1b[K", ending="")
            self._stream.flush()
        elif line != self._written and time.monotonic() - self._written_at >= LINE_EVERY:
            self._stream.write(line)
            self._written, self._written_at = line, time.monotonic()

    def end(self) -> None:
        if self._is_terminal:
            self._stream.write("")
