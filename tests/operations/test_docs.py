"""What docs/operations.md and the scripts say is true."""

import ast
import importlib
import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from pytest_django import Settings

from oasst.accounts.models import Role
from oasst.accounts.registration import create_user
from oasst.core import ratelimit
from oasst.site.management import first_run
from tests.paths import ROOT

READERS = {"text", "integer", "switch", "choice", "words", "rates", "origins", "overrides", "address"}


def variables_in_code() -> set[str]:
    """Return the first argument of every call such as env.text("NAME")."""
    found = set()
    for package in ("oasst", "trees", "tasks", "leaderboard", "inference"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Attribute)
                    and isinstance(node.func.value, ast.Name)
                    and node.func.value.id == "env"
                    and node.func.attr in READERS
                    and isinstance(node.args[0], ast.Constant)
                ):
                    found.add(node.args[0].value)
    return found


def variables_in_docs() -> set[str]:
    text = (ROOT / "docs" / "operations.md").read_text()
    table = text.partition("<!-- variables -->")[2].partition("<!-- /variables -->")[0]
    return {
        name
        for row in table.splitlines()
        for name in re.findall(r"`([A-Z][A-Z0-9_]+)`", row.split("|")[1:2][0] if "|" in row else "")
    }


def test_every_variable_is_documented_and_nothing_else() -> None:
    assert variables_in_code() == variables_in_docs()


def test_every_limit_is_documented_as_it_is() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    table = text.partition("<!-- limits -->")[2].partition("<!-- /limits -->")[0]
    found = re.findall(r"^\| `([a-z_]+)` \| ([^|]+?) \|", table, re.MULTILINE)
    assert len(found) == len(dict(found))
    assert dict(found) == {name: rule.rates for name, rule in ratelimit.rules().items()}


@pytest.mark.parametrize("script", ["up", "test", "check", "audit", "lock", "train"])
def test_scripts_explain_themselves(script: str) -> None:
    done = subprocess.run([ROOT / "scripts" / script, "--help"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0
    assert done.stdout.startswith(f"scripts/{script}")
    assert done.stderr == ""


@pytest.mark.parametrize("script", ["up", "check", "audit", "lock"])
def test_scripts_refuse_what_they_do_not_know_before_they_do_anything(script: str, tmp_path: Path) -> None:
    """A typo is reported before minutes of downloads."""
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    done = subprocess.run([tmp_path / "scripts" / script, "--dmeo"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 2 and f"scripts/{script}" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_what_the_scripts_run_of_the_tests_is_there() -> None:
    """No test imports these programs, and no test names these files."""
    text = "".join((ROOT / "scripts" / name).read_text() for name in ("bench", "test", "check"))
    programs = re.findall(r"-m (tests\.[\w.]+)", text)
    assert programs and all(importlib.import_module(name).main for name in programs)
    assert [path for path in re.findall(r"\btests/[\w/]+\.py", text) if not (ROOT / path).exists()] == []


def test_a_port_in_use_is_said_before_anything_is_downloaded(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [tmp_path / "scripts/up"], capture_output=True, text=True, timeout=30, env={**os.environ, "PORT": port}
        )
    assert (done.returncode, done.stderr) == (1, f"Port {port} is in use. Set PORT to another one.\n")
    assert not (tmp_path / ".venv").exists()


def test_the_help_of_the_first_start_names_what_it_downloads() -> None:
    shown = subprocess.run([ROOT / "scripts/up", "--help"], capture_output=True, text=True, timeout=30).stdout
    megabytes = re.search(r"^# megabytes: (\d+)$", (ROOT / "requirements.lock").read_text(), re.M)
    assert megabytes and f"packages ({megabytes[1]} MB)" in shown
    assert "chat model (270 MB" in shown and "190 MB" in shown


def test_audit_says_so_where_the_database_cannot_be_reached() -> None:
    nowhere = {**os.environ, "HTTPS_PROXY": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    done = subprocess.run([ROOT / "scripts/audit"], capture_output=True, text=True, timeout=60, env=nowhere)
    assert done.returncode == 0
    assert done.stdout.startswith("Not looked for: the database of known faults")


def test_help_readme_and_banner_name_one_link_to_click(db: None, settings: Settings) -> None:
    """Only the sign-in link is printed; the bare address of the site only if there is no such link."""
    settings.PUBLIC_URL, settings.SENDS_MAIL = "http://localhost:8000", False
    create_user(email="ada@example.org", role=Role.ADMIN)
    banner = "\n".join(first_run.welcome_lines(first_run.NewSecrets(), terminal=True))
    assert re.findall(r"https?://\S+", banner) == re.findall(r"http://localhost:8000/accounts/link/\?key=\S+", banner)
    assert len(re.findall(r"https?://", banner)) == 1
    shown = subprocess.run([ROOT / "scripts/up", "--help"], capture_output=True, text=True, timeout=30).stdout
    for text in (banner, shown, (ROOT / "README.md").read_text()):
        assert re.search(r"Click this link\W+it\s+signs\s+you\s+in\s+as", text), text
    for text in (
        shown,
        *((ROOT / name).read_text() for name in ("README.md", "CONTRIBUTING.md", "docs/operations.md")),
    ):
        assert not re.search(r"http://localhost:8000(?!/(api/)?v1)", text), "another link to click"

    settings.SENDS_MAIL = True
    for terminal in (True, False):
        assert first_run.welcome_lines(first_run.NewSecrets(), terminal=terminal) == [
            "oasst is ready: http://localhost:8000"
        ]
