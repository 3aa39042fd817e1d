"""Rules of the design: templates compile and fulfill their contracts, colors are readable, scripts stay small.

No database: pages are rendered with the samples of oasst.site.styleguide.
"""

import itertools
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django import forms
from django.contrib.staticfiles import finders
from django.template import Context, engines
from django.test import RequestFactory

from oasst.site import styleguide
from tests.paths import ROOT

TEMPLATES = sorted((ROOT / "templates").rglob("*.*"))
PAGES = [file for file in TEMPLATES if file.suffix == ".html"]
FRAGMENTS = sorted(file.name for file in (ROOT / "templates/fragments").glob("*.html"))


class _AddressForm(forms.Form):
    email = forms.EmailField()


@pytest.fixture
def request_() -> Any:
    """A request of an anonymous user, without session or database."""
    request = RequestFactory().get("/styleguide/")
    request.user = SimpleNamespace(is_authenticated=False)  # type: ignore[assignment]
    request.session = {}  # type: ignore[assignment]
    return request


class TestTemplates:
    @pytest.mark.parametrize("file", TEMPLATES, ids=lambda file: str(file.relative_to(ROOT / "templates")))
    def test_it_compiles(self, file: Path) -> None:
        engines["django"].get_template(str(file.relative_to(ROOT / "templates")))

    @pytest.mark.parametrize("file", PAGES, ids=lambda file: str(file.relative_to(ROOT / "templates")))
    def test_no_inline_style_or_script(self, file: Path) -> None:
        source = file.read_text()
        assert not re.search(r"<style|\sstyle\s*=|\son[a-z]+\s*=\s*[\"']|javascript:", source)
        assert not re.search(r"<script(?![^>]*\bsrc=)", source)

    @pytest.mark.parametrize("file", PAGES, ids=lambda file: str(file.relative_to(ROOT / "templates")))
    def test_comments_stay_on_one_line(self, file: Path) -> None:
        """A comment over two lines is no comment for Django: people would read it on the page."""
        for line in file.read_text().splitlines():
            assert line.count("{#") == line.count("#}")

    @pytest.mark.parametrize("file", PAGES, ids=lambda file: str(file.relative_to(ROOT / "templates")))
    def test_tables_scroll_in_a_box_that_the_keyboard_reaches(self, file: Path) -> None:
        for before in file.read_text().split("<table")[:-1]:
            assert re.search(r'<div class="[\w-]+" tabindex="0" role="(group|region)"[^<]*>\s*\Z', before)

    @pytest.mark.parametrize("file", PAGES, ids=lambda file: str(file.relative_to(ROOT / "templates")))
    def test_every_post_carries_a_token(self, file: Path) -> None:
        for form in re.findall(r'<form[^>]*method="post".*?</form>', file.read_text(), re.DOTALL):
            assert "csrf_token" in form


class TestNothingIsCut:
    """A browser cuts a paste at `maxlength` without a message. See static/js/count.js."""

    def test_no_template_or_script_sets_maxlength(self) -> None:
        files = [*PAGES, *(ROOT / "static/js").glob("*.js")]
        assert [file.name for file in files if "maxlength" in file.read_text().lower()] == []


class TestPages:
    def test_the_style_guide_shows_every_fragment(self, request_: Any) -> None:
        shown: set[str] = set()
        engine = engines["django"].engine
        original = engine.find_template

        def find(name: str, *args: Any, **kwargs: Any) -> Any:
            shown.add(name)
            return original(name, *args, **kwargs)

        engine.find_template = find
        try:
            engine.template_loaders[0].reset()
            styleguide.styleguide(request_)
            for page in styleguide.PAGES:
                styleguide.styleguide_page(request_, page)
        finally:
            del engine.find_template
            engine.template_loaders[0].reset()
        assert [name for name in FRAGMENTS if f"fragments/{name}" not in shown] == []

    @pytest.mark.parametrize("page", sorted(styleguide.PAGES))
    def test_it_renders(self, request_: Any, page: str) -> None:
        html = styleguide.styleguide_page(request_, page).content.decode()
        assert html.count("<h1") == 1
        assert html.count("<main") == 1
        assert '<html lang="en" dir="ltr">' in html
        assert "{{" not in html and "{%" not in html and "{#" not in html

    @pytest.mark.parametrize("page", [None, *sorted(styleguide.PAGES)])
    def test_headings_leave_no_gap(self, request_: Any, page: str | None) -> None:
        response = styleguide.styleguide_page(request_, page) if page else styleguide.styleguide(request_)
        # Users' texts may have any heading; they are not part of our outline.
        levels = [int(level) for level in re.findall(r"<h([1-6])[ >]", response.content.decode())]
        assert levels[0] == 1
        assert all(after - before <= 1 for before, after in itertools.pairwise(levels))

    @pytest.mark.parametrize("page", [None, *sorted(styleguide.PAGES)])
    def test_ids_are_unique_and_labels_point_somewhere(self, request_: Any, page: str | None) -> None:
        response = styleguide.styleguide_page(request_, page) if page else styleguide.styleguide(request_)
        html = response.content.decode()
        ids = re.findall(r'\sid="([^"]+)"', html)
        assert sorted({one for one in ids if ids.count(one) > 1}) == []
        assert [name for name in re.findall(r'<label[^>]*\sfor="([^"]+)"', html) if name not in ids] == []

    @pytest.mark.parametrize("name", sorted(file.name for file in (ROOT / "templates/account").glob("*.html")))
    def test_every_page_of_the_sign_in_library_is_ours(self, request_: Any, name: str) -> None:
        """With almost no context, which also shows that templates need no variable."""
        html = (
            engines["django"]
            .get_template(f"account/{name}")
            .render({"action_url": "/", "form": _AddressForm()}, request_)
        )
        assert 'class="site-header"' in html
        assert "css/account.css" in html

    def test_a_500_needs_nothing_around_it(self) -> None:
        html = engines["django"].engine.get_template("errors/500.html").render(Context({}))
        assert "Something broke on our side" in html

    @pytest.mark.parametrize("code", ["400", "403", "404", "429", "500", "503"])
    def test_an_error_page_has_words_of_its_own(self, request_: Any, code: str) -> None:
        html = engines["django"].get_template(f"errors/{code}.html").render({}, request_)
        assert re.search(r"<h1>\w+", html)
        assert code in html

    def test_what_was_typed_is_still_there(self, request_: Any) -> None:
        html = styleguide.styleguide_page(request_, "task-refused").content.decode()
        assert "Yes, waiting helps." in html
        assert 'href="#id_text"' in html
        labels = styleguide.styleguide_page(request_, "task-labels-refused").content.decode()
        assert re.search(r'name="quality" value="0.75"[^>]* checked', labels)
        assert re.search(r'name="pii" value="1"[^>]* checked', labels)
        assert 'href="#id_spam"' in labels


class TestColours:
    """WCAG 2.2 AA for every pair of colors in the style sheets, in both themes."""

    # background: foregrounds
    TEXT = {
        "paper": "ink ink-soft link user-ink assistant-ink write-ink check-ink compare-ink bad-ink",
        "surface": "ink ink-soft link bad-ink",
        "raised": "ink ink-soft link",
        "sunken": "ink ink-soft",
        "chip": "ink-soft",
        "ink": "paper",
        "action": "action-ink",
        "action-hover": "action-ink",
        "mark": "mark-ink",
        "mark-soft": "ink link",
        "stage": "stage-ink stage-soft mark",
        "user": "ink ink-soft link user-ink compare-ink bad-ink",
        "assistant": "ink ink-soft link assistant-ink compare-ink bad-ink",
        "write": "ink write-ink",
        "check": "check-ink",
        "compare": "compare-ink",
        "good": "good-ink",
        "bad": "ink bad-ink",
        "bad-strong": "bad-strong-ink",
        "wait": "wait-ink",
        "code": "code-ink code-comment code-keyword code-string code-number code-name",
    }
    SHAPES = {
        "paper": "line-strong focus link",
        "surface": "line-strong focus bad-strong",
        "raised": "line-strong focus action",
        "user": "focus",
        "stage": "mark",
    }

    @pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
    @pytest.mark.parametrize(("ground", "inks"), TEXT.items())
    def test_text_can_be_read(self, ground: str, inks: str, theme: int) -> None:
        ratios = {ink: _contrast(COLOURS[ink][theme], COLOURS[ground][theme]) for ink in inks.split()}
        assert {ink: ratio for ink, ratio in ratios.items() if ratio < 4.5} == {}

    @pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
    @pytest.mark.parametrize(("ground", "shapes"), SHAPES.items())
    def test_edges_can_be_seen(self, ground: str, shapes: str, theme: int) -> None:
        ratios = {shape: _contrast(COLOURS[shape][theme], COLOURS[ground][theme]) for shape in shapes.split()}
        assert {shape: ratio for shape, ratio in ratios.items() if ratio < 3} == {}

    def test_no_colour_is_used_that_does_not_exist(self) -> None:
        sheets = list((ROOT / "static/css").glob("*.css"))
        defined = {name for sheet in sheets for name in re.findall(r"(--[\w-]+)\s*:", sheet.read_text())}
        used = {name for sheet in sheets for name in re.findall(r"var\((--[\w-]+)", sheet.read_text())}
        assert used - defined == set()


def _colours() -> dict[str, tuple[str, str]]:
    source = (ROOT / "static/css/variables.css").read_text()
    found = re.findall(r"--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);", source)
    return {name: (light, dark) for name, light, dark in found}


COLOURS = _colours()


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _scripts_of(page: Path) -> set[str]:
    """Return the scripts that a template names, with those it is made of, whatever a condition leaves out."""
    parts, scripts = [page], set()
    for part in parts:
        source = part.read_text()
        scripts |= set(re.findall(r"<script[^>]* src=\"{% static \"([^\"]+)\"", source))
        files = [ROOT / "templates" / name for name in re.findall(r"{% (?:extends|include) \"([^\"]+)\"", source)]
        parts += [file for file in files if file.exists() and file not in parts]
    return scripts


class TestWeight:
    def test_no_page_names_more_script_than_it_may(self) -> None:
        """100,000 bytes before compression."""
        named = {page: _scripts_of(page) for page in PAGES}
        assert len(named[ROOT / "templates/chat/chat.html"]) > 5
        weigh = lambda scripts: sum(Path(str(finders.find(one))).stat().st_size for one in scripts)  # noqa: E731
        assert not {page: size for page, scripts in named.items() if (size := weigh(scripts)) > 100_000}

    def test_every_static_file_that_is_named_exists(self) -> None:
        for file in PAGES:
            for name in re.findall(r"{% static \"([^\"]+)\"", file.read_text()):
                assert finders.find(name), f"{file}: {name}"

    def test_every_icon_that_is_named_exists(self) -> None:
        icons = re.findall(r'<symbol id="([\w-]+)"', (ROOT / "static/img/icons.svg").read_text())
        for file in PAGES:
            for name in re.findall(r'icon.html" with name="(\w+)"', file.read_text()):
                assert name in icons, f"{file}: {name}"
