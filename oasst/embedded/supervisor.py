"""Run programs side by side: restart them when they end, show why, and stop them all together.

One thread handles signals, output and ends of children in one loop; nothing forks without exec.
"""

import math
import os
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from oasst.embedded.processes import die_with_parent

GRACE_SECONDS = 20
"""Between SIGTERM and SIGKILL: a little more than the web server and the worker need to finish current work."""
MIN_PAUSE, MAX_PAUSE = 0.5, 10.0
STABLE_SECONDS = 30
"""After a run of this length, the next restart comes after MIN_PAUSE again."""
_KEPT_LINES = 20
_TICK = 0.2


@dataclass(frozen=True)
class Program:
    name: str
    argv: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    inherit: Sequence[int] = ()
    """File descriptors that it inherits, such as a listening socket."""
    waits: bool = False
    """Start only at `start_waiting`, so that the web server has the processor to itself at first."""


class Child:
    """One program, its process if it runs, and its last output."""

    def __init__(self, program: Program, directory: Path) -> None:
        self.program = program
        self.directory = directory
        self.process: subprocess.Popen[bytes] | None = None
        self.ends = 0
        self.lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self.start_at = math.inf if program.waits else 0.0
        self._started = 0.0
        self._pause = MIN_PAUSE
        self._unfinished = b""

    def start(self) -> IO[bytes]:
        self.lines.clear()
        self._unfinished = b""
        self._started = time.monotonic()
        self.process = subprocess.Popen(
            self.program.argv,
            cwd=self.directory,
            env={**os.environ, "OASST_PROCESS": self.program.name, **self.program.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=tuple(self.program.inherit),
            # A session of its own: Ctrl-C reaches only us, and we stop all children in order.
            start_new_session=True,
            # SIGKILL, because a child that ignores another signal would stay forever. No acknowledged work is lost:
            # answers are committed, and jobs run again.
            preexec_fn=die_with_parent(signal.SIGKILL),
        )
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)
        return self.process.stdout

    def take(self, data: bytes) -> list[str]:
        """Return the complete lines in `data`; an unfinished one is kept for the next call."""
        *complete, self._unfinished = (self._unfinished + data).split(b"\n")
        lines = [line.decode(errors="replace").rstrip("\r") for line in complete]
        self.lines.extend(lines)
        return lines

    def ended(self) -> str | None:
        """Return why the process ended, once per end; None while it runs."""
        if self.process is None or (code := self.process.poll()) is None:
            return None
        self.process = None
        self.ends += 1
        now = time.monotonic()
        if now - self._started > STABLE_SECONDS:
            self._pause = MIN_PAUSE
        self.start_at = now + self._pause
        self._pause = min(self._pause * 2, MAX_PAUSE)
        return describe_exit(code)

    def send(self, how: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(how)


def describe_exit(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


class Supervisor:
    """Keep `programs` running until `stop` is called or SIGINT, SIGTERM or SIGHUP comes.

    `show(name, line)` gets the output of a child, `say(line)` what happens to it. `between` is called a few times a
    second.
    """

    def __init__(
        self,
        programs: Sequence[Program],
        *,
        directory: Path,
        show: Callable[[str, str], None],
        say: Callable[[str], None],
        between: Callable[[], None] = lambda: None,
    ) -> None:
        self.children = [Child(program, directory) for program in programs]
        self._show, self._say, self._between = show, say, between
        self._output = selectors.DefaultSelector()
        self._stopping = False
        self._hurry = False

    def stop(self) -> None:
        """Stop all children: at the first call with time to finish, at the second immediately."""
        self._hurry = self._stopping
        self._stopping = True

    def start_waiting(self) -> None:
        for child in self.children:
            child.start_at = min(child.start_at, time.monotonic())

    def run(self) -> None:
        handlers = {
            number: signal.signal(number, self._stop_on_signal)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        }
        try:
            while not self._stopping:
                self._start_due()
                self._read(_TICK)
                self._notice_ends()
                self._between()
        finally:
            self._say("Stopping …")
            self._end_all()
            self._output.close()
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def _stop_on_signal(self, _number: int, _frame: object) -> None:
        self.stop()

    def _start_due(self) -> None:
        for child in self.children:
            if child.process is None and time.monotonic() >= child.start_at:
                self._output.register(child.start(), selectors.EVENT_READ, child)

    def _read(self, seconds: float) -> None:
        for key, _ in self._output.select(seconds):
            self._read_from(key.fileobj, key.data)  # type: ignore[arg-type]

    def _read_from(self, stream: IO[bytes], child: Child) -> None:
        data = stream.read(65536)
        if data:
            for line in child.take(data):
                self._show(child.program.name, line)
        elif data == b"":
            self._output.unregister(stream)
            stream.close()

    def _notice_ends(self) -> None:
        for child in self.children:
            if (end := child.ended()) is None:
                continue
            self._read(0)
            pause = child.start_at - time.monotonic()
            self._say(f"{child.program.name} ended: {end}. It starts again in {max(pause, 0):.1f} s. Its last lines:")
            for line in list(child.lines)[-5:] or ["(it wrote nothing)"]:
                self._say(f"    {line}")

    def _end_all(self) -> None:
        for how, seconds in ((signal.SIGTERM, GRACE_SECONDS), (signal.SIGKILL, 5)):
            for child in self._running():
                child.send(how)
            deadline = time.monotonic() + seconds
            while self._running() and time.monotonic() < deadline and not (self._hurry and how == signal.SIGTERM):
                self._read(_TICK / 4)
        for child in self._running():
            self._say(
                f"{child.program.name} does not end, not even by SIGKILL (pid {child.process and child.process.pid})."
            )

    def _running(self) -> list[Child]:
        return [child for child in self.children if child.process is not None and child.process.poll() is None]
