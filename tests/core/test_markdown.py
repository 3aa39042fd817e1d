"""Markdown from strangers: nice where it can be, harmless always."""

from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oasst.core import markdown
from oasst.core.markdown import render

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<a href='javascript:alert(1)'>x</a>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](java\nscript:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](vbscript:msgbox(1))",
    "[x](//evil.example/)",
    "[x](/accounts/logout/)",
    "[x](file:///etc/passwd)",
    "<javascript:alert(1)>",
    "![x](http://evil.example/pixel.png)",
    "![x](data:image/svg+xml,<svg onload=alert(1)>)",
    "[![x](http://evil.example/a.png)](http://ok.example)",
    '![x](http://e.example "onerror=alert(1)")',
    '[x](http://e.example "\\" onmouseover=\\"alert(1)")',
    "[x]: javascript:alert(1)\n\n[x]",
    '```"><script>alert(1)</script>\ncode\n```',
    "```python onload=alert(1)\n<script>\n```",
    "`<script>alert(1)</script>`",
    "<!-- --><script>alert(1)</script>",
    "<style>@import 'http://evil.example'</style>",
    "<iframe src=http://evil.example></iframe>",
    "<form action=http://evil.example><input name=password></form>",
    "<base href=http://evil.example>",
    "<math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    "| a |\n|:-:|\n| <script>alert(1)</script> |",
    "http://e.example/\"onmouseover='alert(1)'",
    "<http://e.example/%22onmouseover=alert(1)>",
    "\x00<script>\x00",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
]
_ALLOWED = {"href", "title", "class", "start", "rel", "target"}


class _Reader(HTMLParser):
    """Reads as a browser would, and objects to whatever could act."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in markdown._TAGS, tag
        for name, value in attrs:
            assert name in _ALLOWED, (tag, name)
            if name == "href":
                assert value is not None and value.lower().startswith(("http://", "https://", "mailto:"))
        if tag == "a":
            assert dict(attrs)["rel"] == "nofollow noopener noreferrer ugc"
            assert dict(attrs)["target"] == "_blank"


def assert_harmless(html: str) -> None:
    reader = _Reader(convert_charrefs=True)
    reader.feed(html)
    reader.close()
    assert "<script" not in html.lower()
    assert "<img" not in html.lower()


class TestRender:
    def test_it_works(self) -> None:
        html = render("# Bread\n\nTake *flour* and **water**.\n\n1. Mix\n2. Wait\n\n> Patience\n\n~~sugar~~")
        assert "<h1>Bread</h1>" in html
        assert "<em>flour</em> and <strong>water</strong>" in html
        assert "<li>Mix</li>" in html
        assert "<blockquote>" in html
        assert "<s>sugar</s>" in html

    def test_lines_stay_lines(self) -> None:
        assert "one<br>" in render("one\ntwo")

    def test_tables_with_alignment(self) -> None:
        html = render("| a | b |\n|:--|--:|\n| 1 | 2 |")
        assert '<th class="align-left">a</th>' in html
        assert '<td class="align-right">2</td>' in html

    def test_bare_addresses_become_links(self) -> None:
        assert 'href="https://example.org/a?b=c"' in render("see https://example.org/a?b=c now")

    def test_pictures_become_links_and_are_not_loaded(self) -> None:
        html = render("![A cat](https://pics.example/cat.png)")
        assert '<a class="blocked-image" href="https://pics.example/cat.png"' in html
        assert ">A cat</a>" in html

    def test_a_picture_in_a_link_leaves_its_words(self) -> None:
        html = render("[![A cat](https://pics.example/cat.png)](https://example.org)")
        assert html.count("<a ") == 1
        assert ">A cat</a>" in html

    def test_known_languages_are_coloured_and_unknown_ones_are_not(self) -> None:
        assert '<code class="language-python"><span class="k">def</span>' in render("```py\ndef f(): pass\n```")
        assert "<pre><code>a &lt; b\n</code></pre>" in render("```klingon\na < b\n```")

    def test_long_code_is_shown_without_colour(self) -> None:
        html = render("```python\n" + "x = 1\n" * markdown.HIGHLIGHT_LIMIT + "```")
        assert "<span" not in html

    def test_long_text_is_shown_as_it_was_typed(self) -> None:
        html = render("**<b>**" * markdown.MARKDOWN_LIMIT)
        assert html.startswith('<pre class="plain">**&lt;b&gt;**')

    def test_headings_have_no_ids(self) -> None:
        assert "id=" not in render("# A heading\n\nAnother\n=======")

    def test_huge_tables_are_not_filled_up(self) -> None:
        header = "|" + "a|" * 50
        html = render(header + "\n|" + "-|" * 50 + "\n" + "x\n" * 5000)
        assert len(html) < 100_000


class TestHostile:
    @pytest.mark.parametrize("text", HOSTILE)
    def test_corpus(self, text: str) -> None:
        assert_harmless(render(text))
        assert_harmless(render(f"> - {text}\n\n**{text}**"))

    @settings(max_examples=200, deadline=None)
    @given(st.lists(st.sampled_from([*HOSTILE, "[", "](", ")", "`", "\n", "\n\n", "*", "|", "!", "<", ">", '"', "a"])))
    def test_mixtures(self, parts: list[str]) -> None:
        assert_harmless(render("".join(parts)))

    @settings(max_examples=200, deadline=None)
    @given(st.text())
    def test_any_text(self, text: str) -> None:
        assert_harmless(render(text))

    @pytest.mark.parametrize(
        "piece", ["[", ">", "*a ", "`a", "![", "<http://", "- ", "|a", "[![a](b)", "\\", "~~", "_a __a "]
    )
    def test_deep_nesting_ends(self, piece: str) -> None:
        assert_harmless(render(piece * (markdown.MARKDOWN_LIMIT // len(piece))))
