"""Failed tests in `.ci/run` are tried once more. The tests run a temporary project the way CI runs this one."""

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.embedded.homes import ROOT

PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "empty.ini"]
FLAKY = """
import pathlib

def test_flaky():
    seen = pathlib.Path("seen")
    again = seen.exists()
    seen.touch()
    assert again
"""
PASSES = "def test_passes(): pass\n"
FAILS = "import pytest\ndef test_fails(): assert 1 == 2\ndef test_skipped(): pytest.skip('no')\n"
CRASHES = "import os\ndef test_crashes(): os._exit(1)\n"
UNREADABLE = "import nowhere\n"


@pytest.fixture(scope="module")
def run_tests() -> ModuleType:
    spec = importlib.util.spec_from_file_location("run_tests", ROOT / ".ci/run_tests.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # only our plugin, which is faster
    (tmp_path / "empty.ini").write_text("[pytest]\n")
    return tmp_path


def outcome(
    run_tests: ModuleType, project: Path, capfd: pytest.CaptureFixture[str], *, parallel: bool = False, **files: str
) -> tuple[int, list[str]]:
    """Return the exit status and the last lines, from the list on. Each file is a part of its own."""
    for name, text in files.items():
        (project / f"test_{name}.py").write_text(text)
    more = ["-p", "xdist", "-n", "1"] if parallel else []
    parts = [run_tests.Part(name, 1, [*PYTEST, *more, f"test_{name}.py"]) for name in files]
    status = run_tests.run(parts, run_tests.Part("second try", 1, PYTEST))
    lines = capfd.readouterr().out.splitlines()
    first = max(number for number, line in enumerate(lines) if not line)
    assert re.fullmatch(r"=+ [\w ,]+ in [\d.]+s =+", lines[-1])
    return status, [*lines[first + 1 : -1], lines[-1].strip("= ").partition(" in ")[0]]


def test_flaky_test_is_green_and_listed(
    run_tests: ModuleType, project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    status, lines = outcome(run_tests, project, capfd, parallel=True, flaky=FLAKY + PASSES)
    assert (status, lines) == (0, ["flaky: test_flaky.py::test_flaky", "2 passed"])


def test_what_fails_twice_is_red_and_parts_are_counted_together(
    run_tests: ModuleType, project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    status, lines = outcome(run_tests, project, capfd, flaky=FLAKY + PASSES, fails=FAILS)
    assert (status, lines) == (
        1,
        [
            "flaky: test_flaky.py::test_flaky",
            "failed: test_fails.py::test_fails",
            "1 failed, 2 passed, 1 skipped",
        ],
    )


def test_no_second_try_mends_a_crash_a_file_that_cannot_be_read_or_no_tests(
    run_tests: ModuleType, project: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_tests, "find_flaky", lambda *_: ["everything"])  # as if all had passed now
    status, lines = outcome(run_tests, project, capfd, parallel=True, crashes=CRASHES)
    assert status == 1 and "broken: worker gw0 crashed." in lines
    status, lines = outcome(run_tests, project, capfd, unreadable=UNREADABLE)
    assert status == 1 and "broken: test_unreadable.py could not be collected." in lines
    status, lines = outcome(run_tests, project, capfd, empty="")
    assert status == 1 and lines[1:] == ["broken: empty ended with status 5.", "1 errors"]
    status, lines = outcome(run_tests, project, capfd, away="import os; os._exit(0)\n")
    assert status == 1 and lines[1:] == ["broken: away ended with status 0 before the tests were done.", "1 errors"]


def test_many_failures_are_not_tried_again(
    run_tests: ModuleType, project: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_tests, "MOST_FLAKY", 0)
    status, lines = outcome(run_tests, project, capfd, flaky=FLAKY)
    assert status == 1
    assert lines == [
        "failed: test_flaky.py::test_flaky",
        "broken: 1 tests failed; none was tried again.",
        "1 failed, 1 errors",
    ]
