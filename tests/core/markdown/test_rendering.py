"""Untrusted Markdown: rendered well and always harmless."""

import re
from html import unescape
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oasst.core.markdown import rendering
from oasst.core.markdown.foreign_links import has_login, host_of
from oasst.core.markdown.rendering import clean, plain_excerpt, plain_line, render
from oasst.core.markdown.streaming import MarkdownStream

# Text direction and formulas.
MIXED = "\n\n".join(
    [
        "# \u05e9\u05dc\u05d5\u05dd",
        "English, then `code`.",
        "\u0645\u0631\u062d\u0628\u0627 with `code` and https://example.org",
        "- \u05d0\u05d7\u05d3\n- two",
        "> \u05d0\u05d7\u05d3",
        "| \u05d0\u05d7\u05d3 | two |\n|---|---|",
        "```\n\u05d0 = 1\n```",
        "\\(\\frac{a}{b}\\) \u05d0",
        r"$$\begin{pmatrix} a & b \\ c & d \end{pmatrix}$$",
    ]
)
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
    r"\(\text{<script>alert(1)</script>}\)",
    r"\(\href{javascript:alert(1)}{x}\) \(\url{javascript:alert(1)}\) \(\html{<img src=x onerror=alert(1)>}\)",
    r"$$</math><script>alert(1)</script>$$",
    r"\[</annotation></semantics><annotation-xml encoding='text/html'><img src=x onerror=alert(1)></annotation-xml>\]",
    r"\(\text{<mglyph><style></math><img src onerror=alert(1)>}\)",
    r"\(\foo\" onmouseover=\"alert(1)\)",
    "\\(x\" onmouseover='alert(1)' a=\"\\)",
    r"\begin{equation}x\label{\"><script>alert(1)</script>}\end{equation}",
    r"\begin{align}x\label{' onload='alert(1)}\tag{<b>}\end{align} \(\eqref{x}\)",
    r"\(\color{red;background:url(//evil.example)}{x}\) \(\hspace{9em\" onload=\"x}\)",
    r"\(\class{x}{y} \style{position:fixed}{y} \cssId{a}{b}\)",
]
_ALLOWED = {"href", "title", "class", "start", "rel", "target", "dir", "tabindex", "role", "aria-label"} | {
    *("display", "encoding", "displaystyle", "scriptlevel", "mathvariant", "linethickness", "accent", "accentunder"),
    *("form", "lspace", "rspace", "stretchy", "symmetric", "movablelimits", "minsize", "maxsize", "width", "height"),
    *("voffset", "notation"),
}
_VALUES = {"dir": {"ltr", "rtl", "auto"}, "tabindex": {"0"}, "role": {"group"}}
_CLASS = re.compile(r"(?:align|language|math|formula|menclose)[\w-]*|blocked-image|highlight|plain|wide-table|\w{1,3}")


class _Reader(HTMLParser):
    """Parses HTML like a browser, and refuses everything active."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in rendering._TAGS | rendering._MATH, tag
        for name, value in attrs:
            assert name in _ALLOWED, (tag, name)
            assert value in _VALUES.get(name, {value}), (tag, name, value)
            if name == "class":
                assert all(_CLASS.fullmatch(one) for one in (value or "").split()), value
            if name == "href":
                assert value is not None and value.lower().startswith(("/leaving/?to=", "mailto:"))
        if tag == "a":
            assert dict(attrs)["rel"] == "nofollow noopener noreferrer ugc"
            assert dict(attrs)["target"] == "_blank"


def plain(html: str) -> str:
    return unescape(re.sub(r"<[^>]*>", "", html)).strip("\n")


def assert_harmless(html: str) -> None:
    reader = _Reader(convert_charrefs=True)
    reader.feed(html)
    reader.close()
    assert "<script" not in html.lower()
    assert "<img" not in html.lower()


class TestRender:
    def test_it_works(self) -> None:
        html = render("# Bread\n\nTake *flour* and **water**.\n\n1. Mix\n2. Wait\n\n> Patience\n\n~~sugar~~")
        assert '<h1 dir="auto">Bread</h1>' in html
        assert "<em>flour</em> and <strong>water</strong>" in html
        assert '<li dir="ltr">Mix</li>' in html
        assert "<blockquote" in html
        assert "<s>sugar</s>" in html

    def test_lines_stay_lines(self) -> None:
        assert "one<br>" in render("one\ntwo")

    def test_tables_with_alignment(self) -> None:
        html = render("| a | b |\n|:--|--:|\n| 1 | 2 |")
        assert '<th class="align-left" dir="auto">a</th>' in html
        assert '<td class="align-right" dir="auto">2</td>' in html

    def test_bare_addresses_become_links(self) -> None:
        assert 'href="/leaving/?to=https://example.org/a%3Fb%3Dc"' in render("see https://example.org/a?b=c now")

    def test_pictures_become_links_and_are_not_loaded(self) -> None:
        html = render("![A cat](https://pics.example/cat.png)")
        assert '<a class="blocked-image" href="/leaving/?to=https://pics.example/cat.png"' in html
        assert ">A cat</a>" in html

    def test_a_picture_in_a_link_leaves_its_words(self) -> None:
        html = render("[![A cat](https://pics.example/cat.png)](https://example.org)")
        assert html.count("<a ") == 1
        assert ">A cat</a>" in html

    def test_known_languages_are_coloured_and_unknown_ones_are_not(self) -> None:
        assert '<code class="language-python"><span class="k">def</span>' in render("```py\ndef f(): pass\n```")
        assert "><code>a &lt; b\n</code></pre>" in render("```klingon\na < b\n```")

    def test_long_code_is_shown_without_colour(self) -> None:
        html = render("```python\n" + "x = 1\n" * rendering.HIGHLIGHT_LIMIT + "```")
        assert "<span" not in html

    def test_long_text_is_shown_as_it_was_typed(self) -> None:
        html = render("**<b>**" * rendering.MARKDOWN_LIMIT)
        assert html.startswith('<pre class="plain" dir="auto">**&lt;b&gt;**')

    def test_headings_have_no_ids(self) -> None:
        assert not re.search(r"\sid=", render("# A heading\n\nAnother\n======="))

    def test_huge_tables_are_not_filled_up(self) -> None:
        header = "|" + "a|" * 50
        html = render(header + "\n|" + "-|" * 50 + "\n" + "x\n" * 5000)
        assert len(html) < 100_000


class TestLinks:
    @pytest.mark.parametrize(
        "text",
        [
            *("I was tired.So I slept", "run install.sh", "main.py and README.md", "z.B.de", "www.example.org"),
            *("example.com/path", "//example.com", "ftp://example.com/a", "1.2.3.4", "javascript:alert(1)"),
        ],
    )
    def test_words_are_no_links(self, text: str) -> None:
        assert render(text) == f'<p dir="auto">{text}</p>\n'

    @pytest.mark.parametrize(
        ("text", "address"),
        [
            ("see http://example.org/a?b=c#d.", "http://example.org/a?b=c#d"),
            ("(https://example.org/x)", "https://example.org/x"),
            ("write to ann@example.org now", "mailto:ann@example.org"),
            ("<https://example.org>", "https://example.org"),
            ("[words](https://example.org)", "https://example.org"),
        ],
    )
    def test_addresses_are(self, text: str, address: str) -> None:
        found = re.findall(r'href="(?:/leaving/\?to=)?([^"]*)"', render(text))
        assert list(map(unquote, found)) == [address]


class TestForeignLinks:
    def test_known_sites_are_linked_directly(self, settings: Any) -> None:
        settings.DIRECT_LINK_DOMAINS = ["known.example"]
        for host in ("known.example", "KNOWN.example", "en.known.example", "known.example:8080"):
            assert f'href="https://{host}/a"' in render(f"[x](https://{host}/a)")
        for host in ("unknown.example", "notknown.example", "known.example.evil.example", "known.example@evil.example"):
            assert 'href="/leaving/?to=https://' in render(f"[x](https://{host}/a)")

    @pytest.mark.parametrize("text", ["[a]()", "![a]()"])
    def test_a_link_without_an_address_leads_nowhere(self, text: str) -> None:
        assert "href" not in render(text) and ">a</a>" in render(text)

    def test_mail_addresses_are_no_sites(self) -> None:
        assert 'href="mailto:a@b.org"' in render("a@b.org")

    def test_the_whole_address_arrives(self) -> None:
        url = "https://example.org/a?b=c&d=%20e#f"
        (href,) = re.findall(r'href="([^"]*)"', render(f"[x]({url})"))
        assert parse_qs(urlsplit(unescape(href)).query) == {"to": [url]}

    @pytest.mark.parametrize(
        "url",
        [
            *("javascript:alert(1)", "//example.org", "/dashboard/", "https://", "https:///x", "ftp://example.org", ""),
            *(
                "https://a b.example",
                "https://evil.example\\@good.example",
                "https://x.example:port/",
                "data:text/html,x",
            ),
            *("https://x.example/\n", "https://" + "a" * 3000, "http://[::1", "https://" + "ä" * 300 + ".example"),
        ],
    )
    def test_what_is_no_address_of_a_site(self, url: str) -> None:
        assert host_of(url) is None

    def test_hosts_are_as_browsers_compare_them(self) -> None:
        assert host_of("https://Example.ORG:80/x") == "example.org"
        assert host_of("https://bücher.example/") == "xn--bcher-kva.example"
        assert host_of("https://bank.example@evil.example/") == "evil.example"
        assert has_login("https://bank.example@evil.example/")


class TestDefinitions:
    def test_references_of_an_ordinary_text_are_links(self) -> None:
        text = "".join(f"[page {n}] and [it][page {n}]\n\n" for n in range(20))
        text += "\n".join(f'[page {n}]: https://site.example/{n} "Title"' for n in range(20))
        assert render(text).count('href="/leaving/?to=https://site.example/') == 40

    @pytest.mark.parametrize("use", ["[a]", "![a]", "[x][a]", "[![a]][a]"])
    @pytest.mark.parametrize(
        "definition", ["[a]: http://" + "b" * 1000, "[a]: http://b '" + '"' * 1000 + "'", "[a]: http://b"]
    )
    @pytest.mark.parametrize("length", [2_000, 20_000])
    def test_what_is_written_once_is_not_sent_a_thousand_times(self, use: str, definition: str, length: int) -> None:
        text = f"{definition}\n\n"
        text += use * ((length - len(text)) // len(use))
        html = render(text)
        assert len(html) < 10 * len(text) + 80_000
        assert html.count("<a ") > 3 and "[a]" in html

    def test_one_that_is_no_longer_a_link_is_shown_as_typed(self) -> None:
        html = render("[a]: http://" + "b" * 6_000 + "\n\n[a] [a] [a] [own](http://c.example) [x][a]")
        assert html.count("<a ") == 3 and "[a] <a" in html and "</a> [x][a]</p>" in html

    def test_all_blocks_of_a_stream_have_one_budget(self) -> None:
        stream = MarkdownStream()
        stream.add("[a]: http://" + "b" * 1_000 + "\n\n")
        sent = [stream.add("[a]\n\n") for _ in range(100)]
        assert sum(len(html) for patch in sent if patch for html in patch.html) < 50_000


class TestMemory:
    def test_what_became_large_is_not_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(rendering, "CACHE_LIMIT", 1_000)
        before = rendering._render.cache_info().currsize
        large, small = "A large text. " * 100, "A small text that nobody else has."
        assert render(large) == render(large)
        assert rendering._render.cache_info().currsize == before
        made = rendering._render.cache_info().misses
        assert render(small) == render(small)
        assert rendering._render.cache_info().misses == made + 1


class TestBackslashes:
    @pytest.mark.parametrize(
        "text",
        [
            *(r"C:\Users\*name*", r"C:\*.*", r"\\server\share\_x_", r"\alpha\_1", r"^\d+\.\d*$", r"a \\ b"),
            *(r"\{x\}", r"R\&D", r"50\%", r"\n and \t", r"say \'no\'", r"\(a", "\\", r"2 \+ 2", r"a\-b"),
        ],
    )
    def test_what_markdown_does_not_need_is_shown_as_typed(self, text: str) -> None:
        assert plain(render(text)) == text

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            (r"\*not emphasized\*", "*not emphasized*"),
            (r"snake\_case\_name", "snake_case_name"),
            (r"5 \* 3", "5 * 3"),
            (r"\`x\` \[a\](b) \<c\> \~~d\~~ \$5", "`x` [a](b) <c> ~~d~~ $5"),
            (r"1\. no list", "1. no list"),
            (r"\# no heading", "# no heading"),
            (r"\- no list", "- no list"),
            (r"\![a](b)", "![a](b)"),
        ],
    )
    def test_what_stops_markdown_is_not_shown(self, text: str, shown: str) -> None:
        assert plain(render(text)) == shown

    def test_a_command_over_two_lines_keeps_its_backslash(self) -> None:
        assert "curl \\<br>" in render("curl \\\n  -X POST")


class TestDirection:
    def test_each_block_has_its_own(self) -> None:
        html = render("# שלום\n\nEnglish\n\n| א |\n|---|\n| b |")
        assert '<h1 dir="auto">' in html
        assert '<p dir="auto">English</p>' in html
        assert '<th dir="auto">א</th>' in html

    def test_lists_and_quotations_are_told_that_of_their_first_words(self) -> None:
        html = render("- **1.** שלום\n\n  - abc\n\n> שלום")
        assert '<ul dir="rtl">\n<li dir="rtl">' in html
        assert '<ul dir="ltr">\n<li dir="ltr">abc' in html
        assert '<blockquote dir="rtl">' in html

    def test_code_and_addresses_go_left_to_right(self) -> None:
        html = render("`a` https://example.org שלום\n\n```\nb\n```\n\n    c")
        assert '<code dir="ltr">a</code>' in html
        assert re.search(r'<a href="/leaving/\?to=https://example.org" dir="ltr"', html)
        assert html.count('<pre dir="ltr" tabindex="0" role="group" aria-label="Code">') == 2


class TestPlainLine:
    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ("# **Bread** and `flour`\n\nTake it.", "Bread and flour"),
            ("```py\nprint(1)\n```\nWhy does this fail?", "Why does this fail?"),
            ("\n```py\n\nprint(1)\n```", "print(1)"),
            ("> - [a](https://x.org) ![cat](https://x.org/c.png) \\(a_n\\) <b>", r"a cat \(a_n\) <b>"),
            ("\\[\nx^2\n\\]", r"\[ x^2 \]"),
            ("$$x$$ is \\(y\n< 1\\)", r"$$x$$ is \(y < 1\)"),
            ("| a | **b** |\n|---|---|\n| 1 | 2 |\n\nWhy?", "a b"),
            ("---\n\n1. one\n2. two", "one"),
            (r"C:\Users\*name*", r"C:\Users\*name*"),
            ("", ""),
            ("a " * 50, "a a a a a a…"),
            ("a" * 50, "aaaaaaaaaaa…"),
        ],
    )
    def test_the_first_line_that_says_something(self, text: str, line: str) -> None:
        assert plain_line(text, 12 if line.endswith("…") else 100) == line

    def test_an_excerpt_is_all_in_one_line(self) -> None:
        assert plain_excerpt("# A\n\n* b\n* **c**\n\n```\nd\n```", 50) == "A b c d"


class TestHostile:
    @pytest.mark.parametrize("text", HOSTILE)
    def test_corpus(self, text: str) -> None:
        assert_harmless(render(text))
        assert_harmless(render(f"> - {text}\n\n**{text}**"))

    @pytest.mark.parametrize(
        "markup",
        [
            '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=alert(1)&gt;">',
            "<math><annotation-xml encoding=text/html><script>alert(1)</script></annotation-xml></math>",
            "<form><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
            "<math><annotation encoding='text/html'><svg><style><img onerror=alert(1)></style></annotation>",
            "<math><maction xlink:href=javascript:alert(1)>x</maction><mrow href=javascript:alert(1)>x",
            "<math><mtext><pre><math><title></math></title><img src=x onerror=alert(1)>",
            "<math><mi onclick=alert(1) style=position:fixed><p></math><img src=x onerror=alert(1)>",
        ],
    )
    def test_the_last_wall_holds_alone(self, markup: str) -> None:
        """Raw HTML never gets this far, but the allow-list would make it harmless too."""
        assert_harmless(clean(markup))

    @settings(max_examples=200, deadline=None)
    @given(st.lists(st.sampled_from([*HOSTILE, "[", "](", ")", "`", "\n", "\n\n", "*", "|", "!", "<", ">", '"', "a"])))
    def test_mixtures(self, parts: list[str]) -> None:
        assert_harmless(render("".join(parts)))

    @settings(max_examples=200, deadline=None)
    @given(st.text())
    def test_any_text(self, text: str) -> None:
        assert_harmless(render(text))

    @pytest.mark.parametrize(
        "piece",
        [
            *("[", ">", "*a ", "`a", "![", "<http://", "- ", "|a", "[![a](b)", "\\", "~~", "_a __a ", "http://a "),
            *("a@b.de ", "@", "a@", "://", "\\*", "a\\b\\*", "\\(", "\\(a\n", "\\(a\\) ", "$$", "\\[\n", "\\[a\n\n"),
            *("\\begin{align}\n", "$$x$$\n\n", "$$" + "{" * 1000 + "}" * 900, "- \u05d0\n  ", "|\u05d0"),
        ],
    )
    def test_deep_nesting_ends(self, piece: str) -> None:
        assert_harmless(render(piece * (rendering.MARKDOWN_LIMIT // len(piece))))
