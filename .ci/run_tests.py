"""Run the tests for `.ci/run`: all parts, then the failed tests once more, in one process.

Exits with 0 if every test passed at the first or second try. Tests that needed the second try are listed (`flaky: …`)
before the closing line, which looks like pytest's and counts all parts; no issue may end with flaky tests. A crashed
worker, a file that cannot be collected, and a part that ran no tests or timed out always fail.

This file is also a pytest plugin (`-p run_tests --outcome FILE`), which writes the result of each test to a file.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

MOST_FLAKY = 20
"""With more failures than this, running them again would take too long."""


@dataclass(frozen=True)
class Part:
    name: str
    minutes: int
    command: Sequence[str]
    """Runs pytest; further arguments of pytest are appended."""


# The limits are those of a slow machine; a quick one needs ten and twelve minutes.
PARTS = [
    # Both in two processes; the second file by file, because its tests kill processes or drive a browser.
    Part("quick", 40, ["scripts/test", "--quick"]),
    Part(
        "rest", 45, ["scripts/test", "-n", "2", "--dist", "loadfile", "--no-loadscope-reorder", "-m", "slow or browser"]
    ),
]
SECOND_TRY = Part("second try", 10, ["scripts/test", "-p", "no:xdist"])


@dataclass
class Outcome:
    passed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    """Sentences about failures that are not tried again."""

    def add(self, other: "Outcome") -> None:
        self.passed += other.passed
        self.skipped += other.skipped
        self.failed += other.failed
        self.broken += other.broken


def main() -> int:
    return run(PARTS, SECOND_TRY)


def run(parts: Sequence[Part], second_try: Part) -> int:
    """Run the tests and return the exit status: 0 if every test passed at the first or second try."""
    started = time.monotonic()
    total = Outcome()
    for part in parts:
        total.add(run_part(part))
    flaky = find_flaky(total, second_try)
    say("")
    for name in flaky:
        say(f"flaky: {name}")
    for name in total.failed:
        say(f"failed: {name}")
    for sentence in total.broken:
        say(f"broken: {sentence}")
    say(closing_line(total, time.monotonic() - started))
    return 1 if total.failed or total.broken else 0


def find_flaky(total: Outcome, second_try: Part) -> list[str]:
    """Run failed tests again, count those that pass now as passed, and return their names."""
    if not total.failed:
        return []
    if len(total.failed) > MOST_FLAKY:
        total.broken.append(f"{len(total.failed)} tests failed; none was tried again.")
        return []
    again = run_part(second_try, total.failed)
    flaky = [name for name in total.failed if name in again.passed]
    total.failed = [name for name in total.failed if name not in flaky]
    total.passed += flaky
    total.broken += again.broken
    return flaky


def run_part(part: Part, names: Sequence[str] = ()) -> Outcome:
    say(f"\n### {part.name}: {' '.join(part.command)}")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "outcome.json"
        command = ["timeout", "-k", "30", f"{part.minutes}m", *part.command]
        status = subprocess.call([*command, "-p", "run_tests", "--outcome", str(file), *names], env=environment())
        if not file.exists():
            return Outcome(broken=[f"{part.name} ended with status {status} before the tests were done."])
        outcome = Outcome(**json.loads(file.read_text()))
    if status not in (0, 1) or (status == 1 and not outcome.failed):
        outcome.broken.append(f"{part.name} ended with status {status}.")
    return outcome


def environment() -> dict[str, str]:
    """Return an environment in which Python finds this file as the module `run_tests`."""
    folder = str(Path(__file__).resolve().parent)
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH")]))}


def closing_line(total: Outcome, seconds: float) -> str:
    counts = {
        "failed": len(total.failed),
        "passed": len(total.passed),
        "skipped": len(total.skipped),
        "errors": len(total.broken),
    }
    summary = ", ".join(f"{number} {name}" for name, number in counts.items() if number) or "no tests ran"
    return f" {summary} in {seconds:.2f}s ".center(80, "=")


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


# The plugin


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--outcome", type=Path, help="write the result of each test to this file")


def pytest_configure(config: pytest.Config) -> None:
    # Workers of pytest-xdist report to the main process, which writes for all.
    if (path := config.option.outcome) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Recorder(path))


class Recorder:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.passed: dict[str, None] = {}
        self.skipped: dict[str, None] = {}
        self.failed: dict[str, None] = {}
        self.broken: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed[report.nodeid] = None
        elif report.skipped:
            self.skipped[report.nodeid] = None
        elif report.when == "call":
            self.passed[report.nodeid] = None

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.broken.append(f"{report.nodeid} could not be collected.")

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        if error:
            self.broken.append(f"worker {node.gateway.id} crashed.")

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        passed = [name for name in self.passed if name not in self.failed]
        outcome = Outcome(passed, list(self.skipped), list(self.failed), self.broken)
        self.path.write_text(json.dumps(asdict(outcome)))


if __name__ == "__main__":
    sys.exit(main())
