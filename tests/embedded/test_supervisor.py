"""The supervisor and children that end, hang, write, and outlive their parent."""

import os
import signal
import sys
from pathlib import Path

import pytest

from oasst.embedded import processes
from oasst.embedded.supervisor import Child, Program, Supervisor, describe_exit
from tests.embedded.homes import python

SLEEPER = "import time\nprint('here', flush=True)\ntime.sleep(600)"
STUBBORN = (
    "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('here', flush=True)\ntime.sleep(600)"
)


class Run:
    """Run a supervisor in this process that stops once `until` is true."""

    def __init__(self, tmp_path: Path, *codes: str) -> None:
        self.shown: list[tuple[str, str]] = []
        self.said: list[str] = []
        self.pids: dict[str, set[int]] = {}
        self.supervisor = Supervisor(
            [Program(f"p{n}", [sys.executable, "-c", code]) for n, code in enumerate(codes)],
            directory=tmp_path,
            show=lambda name, line: self.shown.append((name, line)),
            say=self.said.append,
            between=self._between,
        )
        self.until = lambda: False
        self.meanwhile = lambda: None

    def _between(self) -> None:
        for child in self.supervisor.children:
            if child.process:
                self.pids.setdefault(child.program.name, set()).add(child.process.pid)
        self.meanwhile()
        if self.until():
            self.supervisor.stop()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_child_that_ends_is_started_again_and_the_reason_is_shown(tmp_path: Path) -> None:
    run = Run(tmp_path, "import sys\nprint('about to fail', flush=True)\nsys.exit(3)", SLEEPER)
    run.until = lambda: run.supervisor.children[0].ends >= 2
    run.supervisor.run()
    text = "\n".join(run.said)
    assert "p0 ended: exit code 3" in text
    assert "    about to fail" in text
    assert "p1" not in text
    assert len(run.pids["p1"]) == 1, "the other one is left alone"


def test_killed_child_is_named_as_killed(tmp_path: Path) -> None:
    run = Run(tmp_path, SLEEPER)

    def kill_once() -> None:
        child = run.supervisor.children[0]
        if child.ends == 0 and child.process and ("p0", "here") in run.shown:
            child.process.kill()

    run.meanwhile = kill_once
    run.until = lambda: len(run.pids["p0"]) == 2
    run.supervisor.run()
    assert any("p0 ended: killed by SIGKILL" in line for line in run.said)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_all_children(tmp_path: Path, how: signal.Signals) -> None:
    run = Run(tmp_path, SLEEPER, SLEEPER)
    before = signal.getsignal(how)

    def signal_when_up() -> None:
        if len(run.shown) == 2:
            os.kill(os.getpid(), how)

    run.meanwhile = signal_when_up
    run.supervisor.run()
    assert not any(alive(pid) for pids in run.pids.values() for pid in pids)
    assert signal.getsignal(how) == before


def test_child_that_ignores_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oasst.embedded.supervisor.GRACE_SECONDS", 0.5)
    run = Run(tmp_path, STUBBORN)
    run.until = lambda: bool(run.shown)
    run.supervisor.run()
    assert not any(alive(pid) for pids in run.pids.values() for pid in pids)


def test_second_signal_does_not_wait(tmp_path: Path) -> None:
    run = Run(tmp_path, STUBBORN)

    def stop_twice() -> None:
        if run.shown:
            run.supervisor.stop()
            run.supervisor.stop()

    run.meanwhile = stop_twice
    run.supervisor.run()
    assert not any(alive(pid) for pids in run.pids.values() for pid in pids)


def test_lines_come_whole_and_the_last_words_of_a_dying_child_are_kept(tmp_path: Path) -> None:
    run = Run(
        tmp_path,
        "import os, time\nos.write(1, b'half a ')\ntime.sleep(0.3)\n"
        "os.write(1, b'line\\nlast \\xff words\\n')\nos._exit(1)",
    )
    run.until = lambda: run.supervisor.children[0].ends == 1
    run.supervisor.run()
    assert run.shown[:2] == [("p0", "half a line"), ("p0", "last � words")]


def test_pauses_grow_and_stay_bounded(tmp_path: Path) -> None:
    child = Child(Program("p", [sys.executable, "-c", ""]), tmp_path)
    pauses = []
    for _ in range(8):
        child.start().close()
        assert child.process
        child.process.wait()
        child.ended()
        pauses.append(child._pause)
    assert pauses == sorted(pauses)
    assert pauses[-1] == pytest.approx(10)


def test_children_end_with_a_killed_supervisor(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom oasst.embedded.supervisor import Program, Supervisor\n"
        "Supervisor([Program('p', [sys.executable, '-c', 'import os, time; print(os.getpid(), flush=True); "
        "time.sleep(600)'])], directory=Path('.'), show=lambda n, l: print(l, flush=True), say=print).run()"
    )
    parent = python(tmp_path, code)
    assert parent.stdout
    pid = int(parent.stdout.readline())
    assert alive(pid)
    parent.kill()
    parent.wait()
    assert processes.wait_until(lambda: not alive(pid), 10)


def test_reasons() -> None:
    assert describe_exit(0) == "exit code 0"
    assert describe_exit(-9) == "killed by SIGKILL"
    assert describe_exit(-200) == "killed by signal 200"


def test_what_waits_starts_when_it_is_told_to(tmp_path: Path) -> None:
    run = Run(tmp_path, SLEEPER, SLEEPER)
    late = run.supervisor.children[1]
    run.supervisor.children[1] = Child(Program("late", late.program.argv, waits=True), tmp_path)

    def tell() -> None:
        if run.shown:
            run.supervisor.start_waiting()

    run.meanwhile = tell
    run.until = lambda: len(run.shown) == 2
    run.supervisor.run()
    assert run.shown == [("p0", "here"), ("late", "here")]
