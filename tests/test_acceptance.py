"""docs/acceptance.md: the table has all its rows, each has a state, and each test that it names exists."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROWS = 140
_STATE = re.compile(r"works|owned by issue: .+")


def rows() -> list[list[str]]:
    lines = (ROOT / "docs/acceptance.md").read_text().splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if re.match(r"\| \d", line)]


def exists(node: str) -> bool:
    """Return True if this file has the class, method or function, as pytest names it."""
    path, *names = node.split("::")
    if not (ROOT / path).is_file():
        return False
    body = ast.parse((ROOT / path).read_text()).body
    for name in names:
        kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        found = next((one for one in body if isinstance(one, kinds) and one.name == name), None)
        if found is None:
            return False
        body = found.body
    return True


def test_each_row_has_a_state() -> None:
    assert [int(row[0]) for row in rows()] == list(range(1, ROWS + 1))
    assert [row for row in rows() if len(row) != 5 or not _STATE.fullmatch(row[3])] == []


def test_what_works_names_a_test() -> None:
    assert [row[0] for row in rows() if row[3] == "works" and not row[4]] == []


def test_each_test_exists() -> None:
    nodes = [node for row in rows() for node in re.findall(r"`(tests/[^`]+)`", row[4])]
    assert nodes and [node for node in nodes if not exists(node)] == []
