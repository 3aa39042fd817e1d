"""The import contract (.importlinter), and that it, the docs and the folders agree."""

import ast
import configparser
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import ROOT

INSIDE = ("trees", "tasks", "leaderboard", "inference")
INSIDE_OASST = ("accounts", "api", "core", "embedded", "simulation", "site")
TOP_OF_OASST = {"__init__", "asgi", "celery", "checks", "env", "settings", "settings_test", "urls", "web"}


def read_layers() -> dict[str, list[list[str]]]:
    """Return the layers of each contract, from the top, as lists of modules."""
    contract = configparser.ConfigParser()
    contract.read(ROOT / ".importlinter")
    return {
        name.rpartition(":")[2]: [re.split(r" [|:] ", line) for line in section["layers"].strip().splitlines()]
        for name, section in contract.items()
        if section.get("type") == "layers"
    }


def modules_of(package: str) -> set[str]:
    """Return modules with code, by dotted name, without migrations, which are in no layer."""
    found = set()
    for path in (ROOT / package.replace(".", "/")).rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if "migrations" not in parts and path.read_text().strip():
            found.add(".".join(parts).removesuffix(".__init__"))
    return found


def test_import_contract() -> None:
    """In a process of its own, because the tool imports the packages again."""
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr


def homeless(modules: set[str], layers: list[list[str]]) -> set[str]:
    named = {module for layer in layers for module in layer}
    return {one for one in modules if not any(one == room or one.startswith(f"{room}.") for room in named)}


def is_only_a_docstring(package: str) -> bool:
    path = ROOT / package.replace(".", "/") / "__init__.py"
    return path.exists() and all(isinstance(one, ast.Expr) for one in ast.parse(path.read_text()).body)


@pytest.mark.parametrize("package", [*INSIDE, *(f"oasst.{name}" for name in INSIDE_OASST)])
def test_every_module_has_its_layer(package: str) -> None:
    layers = read_layers()
    assert homeless(modules_of(package), layers["rooms"]) == set()
    inside = homeless(modules_of(package), layers[package.rpartition(".")[2]])
    assert {one for one in inside if not is_only_a_docstring(one)} == set(), "name them in .importlinter"


def test_the_top_of_the_project_package_holds_nothing_else() -> None:
    assert {path.stem for path in (ROOT / "oasst").glob("*.py")} == TOP_OF_OASST
    assert {path.name for path in (ROOT / "oasst").iterdir() if (path / "__init__.py").exists()} == set(INSIDE_OASST)
    assert homeless({f"oasst.{name}" for name in TOP_OF_OASST - {"__init__"}}, read_layers()["rooms"]) == set()
    # Importing a library of ours (the engine, later a client) must not load the site.
    assert [(ROOT / name / "__init__.py").read_text() for name in ("oasst", "inference")] == ["", ""]


def test_the_docs_show_the_same_house() -> None:
    """Each row of the table is a layer, in the same order."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    table = text.partition("<!-- rooms -->")[2].partition("<!-- /rooms -->")[0]
    rows = [re.findall(r"`([\w.]+)`", line.split("|")[1]) for line in table.strip().splitlines()[2:]]
    assert rows == read_layers()["rooms"]


@pytest.mark.parametrize("page", [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "CONTRIBUTING.md", ROOT / "README.md"])
def test_files_named_in_the_docs_exist(page: Path) -> None:
    named = re.findall(r"(?<![\w/.])((?:oasst|trees|tasks|leaderboard|inference|tests)/[\w./-]*\.py)", page.read_text())
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_tests_mirror_the_rooms() -> None:
    for package in (*INSIDE, *(f"oasst/{name}" for name in INSIDE_OASST)):
        tests = ROOT / "tests" / package.removeprefix("oasst/")
        folders = [path.relative_to(tests) for path in tests.rglob("*") if (path / "__init__.py").exists()]
        assert [folder for folder in folders if not (ROOT / package / folder).is_dir()] == []
