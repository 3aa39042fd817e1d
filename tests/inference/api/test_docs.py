"""docs/inference-api.md lists every operation with the description in the code."""

from inference.api_urls import OPERATIONS
from oasst.api.operations import Access
from tests.paths import ROOT

DOCS = ROOT / "docs" / "inference-api.md"
WHO = {
    Access.OPEN: "everybody",
    Access.TRUSTED: "trusted program",
    Access.ROOT: "root token",
    Access.MEMBER: "person",
    Access.PERSON: "person who agreed to the terms",
}


def table() -> str:
    rows = ["| Operation | Who may | What it does |", "|---|---|---|"]
    for one in OPERATIONS:
        words = " ".join((one.act.__doc__ or "").split())
        rows.append(f"| `{one.method} {one.path}` | {WHO[one.access]} | {words} |")
    return "\n".join(rows)


def test_the_table_is_this_one() -> None:
    text = DOCS.read_text()
    assert text.partition("<!-- operations -->\n")[2].partition("\n<!-- /operations -->")[0] == table()
