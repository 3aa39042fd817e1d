"""docs/security.md is true: every threat has a test, and every test that it names exists."""

import re

from tests.embedded.homes import ROOT

TEXT = (ROOT / "docs/security.md").read_text()
SECTIONS = ["Who is trusted with what", "Threats and what holds each", "How to report a fault"]
NAMED = re.compile(r"`((?:tests|scripts)/[^`]+)`")


def threats() -> list[list[str]]:
    table = TEXT.partition(f"## {SECTIONS[1]}\n")[2].partition("\n## ")[0]
    lines = [line for line in table.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_sections() -> None:
    assert re.findall(r"^## (.+)$", TEXT, re.MULTILINE) == SECTIONS


def test_each_threat_says_what_holds_it_and_names_a_test() -> None:
    assert len(threats()) > 10
    for cells in threats():
        assert len(cells) == 3 and all(cells), cells
        assert NAMED.search(cells[2]), cells


def test_every_test_that_is_named_exists() -> None:
    for name in NAMED.findall(TEXT):
        path, *parts = name.split("::")
        assert (ROOT / path).is_file(), name
        source = (ROOT / path).read_text()
        for part in parts:
            assert re.search(rf"^\s*(class|def|async def) {part}\b", source, re.MULTILINE), name
