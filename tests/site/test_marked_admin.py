"""The sentences of the admin are marked for translation: those in its modules, and those in its templates."""

import ast
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.conf import settings

ROOT = Path(settings.BASE_DIR)
MODULES = sorted(
    path for pattern in ("*/admin/*.py", "*/admin.py", "oasst/site/admin*.py") for path in ROOT.glob(pattern)
) + sorted(path for folder in ("admin", "bulk", "desk", "overview") for path in ROOT.glob(f"oasst/site/{folder}/*.py"))
MODULES += [ROOT / "oasst/core/read_only_admin.py", ROOT / "oasst/core/list_filters.py"]
MARKS = {f"{n}gettext{suffix}" for n in ("", "n") for suffix in ("", "_lazy", "_noop")} | {"_"}
SENTENCE = re.compile(r"^[A-Z][a-z’']+( |$)|[a-z]{2,} [a-z]{2,}")
TEMPLATES = sorted(
    path
    for folder in ("admin", "trees/admin", "accounts/admin", "inference/admin", "leaderboard/admin")
    for path in (ROOT / "templates" / folder).rglob("*.html")
)
PIECES = re.compile(
    r"\{%\s*blocktranslate\b.*?\{%\s*endblocktranslate\s*%\}|\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\}", re.DOTALL
)
SHOWN_ATTRIBUTES = ("aria-label", "placeholder", "title", "alt")
NOT_SHOWN = {
    '<time datetime="{}" title="{}">{}</time>',
    '{} <span class="desk-soft">{}</span>',
    '<span class="desk-text" dir="auto">{}</span>',
    "queue days",  # the name of a lock
    "personal data",  # a label that is compared
}


def unmarked_in(node: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield (line, text) of what reads like words of a page and is in no call that marks it, docstrings aside."""
    if isinstance(node, ast.Call):
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if name in MARKS:
            return
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and SENTENCE.search(node.value):
        yield node.lineno, node.value
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)):
            yield from unmarked_in(child)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_of_each_module(path: Path) -> None:
    found = [(line, text) for line, text in unmarked_in(ast.parse(path.read_text())) if text not in NOT_SHOWN]
    assert found == [], "mark it by gettext, or gettext_lazy where it is read once"


class Words(HTMLParser):
    """Collects what a template shows without asking for a translation."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name in SHOWN_ATTRIBUTES and value and has_words(value)]

    def handle_data(self, data: str) -> None:
        self.found += [data.strip()] if has_words(data) else []


def has_words(text: str) -> bool:
    return re.search(r"[A-Za-z]{2,}", text) is not None


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT / "templates")))
def test_of_each_template(path: Path) -> None:
    words = Words()
    words.feed(PIECES.sub("", path.read_text()))
    words.close()
    assert words.found == [], "use translate, or blocktranslate where it holds variables"


def test_the_guard_finds_what_is_unmarked() -> None:
    assert [text for _, text in unmarked_in(ast.parse('x = f("Stop it now", _("Go"), key="a.b")'))] == ["Stop it now"]
    words = Words()
    words.feed(PIECES.sub("", '<p title="Now">{% translate "Go" %} and {{ x }}</p>'))
    assert words.found == ["Now", "and"] and len(MODULES) > 60 and len(TEMPLATES) > 50
