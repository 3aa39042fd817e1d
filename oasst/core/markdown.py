"""Markdown of people and models, made into HTML that can do no harm.

Three walls: raw HTML is text, links go to http(s) and mailto only, and what comes out passes an allow-list
once more. Nothing remote is loaded by looking at a page: images become links. Work is bounded by size before
it begins.
"""

import html
import io
import re
import time
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

import nh3
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererHTML
from markdown_it.rules_block import StateBlock, table
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from pygments.formatters import HtmlFormatter
from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name

# Longer texts are shown as they were typed. Contributions are far below (2,000 characters), chat answers too.
MARKDOWN_LIMIT = 20_000
# Empty cells are added to short rows, so a few thousand characters could ask for half a megabyte of table.
TABLE_CELL_LIMIT = 10_000
# Per text, over all of its code blocks. Many of Pygments' lexers take quadratic time on hostile input, so the
# colouring also stops when its time is over: colour is decoration, the code itself is always shown.
HIGHLIGHT_LIMIT = 5_000
_HIGHLIGHT_SECONDS = 0.2

_TAGS = {
    *("a", "p", "br", "hr", "em", "strong", "s", "code", "pre", "span"),
    *("blockquote", "ul", "ol", "li"),
    *("h1", "h2", "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td"),
}
_ATTRIBUTES = {
    "a": {"href", "title", "class"},
    "ol": {"start"},
    "code": {"class"},
    "pre": {"class"},
    "span": {"class"},
    "th": {"class"},
    "td": {"class"},
}
_LINK = re.compile(r"(?:https?://|mailto:)[^\s]", re.IGNORECASE)

# What people name their code blocks, and the lexer that knows it. A short list: each lexer here was tried
# with hostile input, and most of Pygments' five hundred never will be.
_LEXERS = {
    alias: lexer
    for lexer, aliases in {
        "bash": "bash sh shell zsh console",
        "c": "c h",
        "cpp": "cpp c++",
        "csharp": "csharp cs c#",
        "css": "css",
        "diff": "diff patch",
        "docker": "docker dockerfile",
        "go": "go golang",
        "haskell": "haskell hs",
        "html": "html",
        "java": "java",
        "javascript": "javascript js",
        "json": "json",
        "kotlin": "kotlin kt",
        "lua": "lua",
        "make": "make makefile",
        "perl": "perl pl",
        "php": "php",
        "python": "python py python3",
        "r": "r",
        "ruby": "ruby rb",
        "rust": "rust rs",
        "scala": "scala",
        "sql": "sql",
        "swift": "swift",
        "toml": "toml",
        "typescript": "typescript ts",
        "xml": "xml",
        "yaml": "yaml yml",
    }.items()
    for alias in aliases.split()
}

_FORMATTER: HtmlFormatter[str] = HtmlFormatter(nowrap=True)


def render(text: str) -> SafeString:
    """The HTML of `text`, safe to stand in any page. The template puts it into an element of class
    `prose`.
    """
    if len(text) > MARKDOWN_LIMIT:
        return mark_safe(f'<pre class="plain">{html.escape(text)}</pre>')  # noqa: S308  (escaped just here)
    return _render(text)


@lru_cache(maxsize=512)  # the longest take a quarter of a second, and a page has many
def _render(text: str) -> SafeString:
    return mark_safe(_clean(_parser().render(text, {"colouring": _Colouring()})))  # noqa: S308  (cleaned just here)


def _clean(markup: str) -> str:
    return nh3.clean(
        markup,
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        url_schemes={"http", "https", "mailto"},
        link_rel="nofollow noopener noreferrer ugc",
        set_tag_attribute_values={"a": {"target": "_blank"}},
    )


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "linkify": True, "breaks": True})
    parser.enable(["table", "strikethrough", "linkify"])
    parser.disable(["html_block", "html_inline"])
    # One half of "linkify" looks back over all pending text at each colon: quadratic. The other half finds
    # the links.
    parser.inline.ruler.disable("linkify")
    parser.block.ruler.at("table", _bounded_table, {"alt": ["paragraph", "reference"]})
    # A link inside our own pages could dress up as a button of ours; people link to the world.
    parser.validateLink = lambda url: _LINK.match(url) is not None  # type: ignore[method-assign]
    parser.core.ruler.push("images_to_links", _images_to_links)
    parser.add_render_rule("fence", _fence)
    parser.add_render_rule("th_open", _aligned_cell)
    parser.add_render_rule("td_open", _aligned_cell)
    return parser


def _bounded_table(state: StateBlock, first: int, last: int, silent: bool) -> bool:
    columns = state.getLines(first, first + 1, 0, False).count("|") + 1
    return columns * (last - first) <= TABLE_CELL_LIMIT and table(state, first, last, silent)


def _images_to_links(state: StateCore) -> None:
    """An image becomes a link to it; inside a link, where a second link can not stand, its words."""
    for block in state.tokens:
        if block.type != "inline" or not block.children:
            continue
        children: list[Token] = []
        depth = 0
        for token in block.children:
            depth += {"link_open": 1, "link_close": -1}.get(token.type, 0)
            if token.type == "image":
                children += _blocked_image(token, linked=depth > 0)
            else:
                children.append(token)
        block.children = children


def _blocked_image(image: Token, *, linked: bool) -> list[Token]:
    words = Token("text", "", 0, content=(image.content or "").strip() or "Image")
    if linked:
        return [words]
    attrs: dict[str, str | int | float] = {"class": "blocked-image", "href": image.attrGet("src") or ""}
    return [Token("link_open", "a", 1, attrs=attrs), words, Token("link_close", "a", -1)]


class _Colouring:
    """What is left to spend on the code blocks of one text."""

    def __init__(self) -> None:
        self.characters = HIGHLIGHT_LIMIT
        self.seconds = _HIGHLIGHT_SECONDS

    def colour(self, code: str, lexer: Lexer) -> str | None:
        """The code in coloured spans, or None when that would cost too much."""
        self.characters -= len(code)
        if self.characters < 0 or self.seconds <= 0:
            return None
        started = time.perf_counter()
        tokens = []
        for token in lexer.get_tokens(code):
            tokens.append(token)
            if time.perf_counter() - started > self.seconds:
                self.seconds = 0
                return None
        self.seconds -= time.perf_counter() - started
        page = io.StringIO()
        _FORMATTER.format(tokens, page)
        return page.getvalue()


def _fence(self: RendererHTML, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
    code = tokens[idx].content
    language = (tokens[idx].info.split() or [""])[0].lower()
    lexer = _LEXERS.get(language)
    coloured = env["colouring"].colour(code, _lexer(lexer)) if lexer else None
    if coloured is None:
        return f"<pre><code>{escapeHtml(code)}</code></pre>\n"
    return f'<pre class="highlight"><code class="language-{lexer}">{coloured}</code></pre>\n'


def _aligned_cell(self: RendererHTML, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
    """A class instead of the style attribute, which our content security policy and the allow-list both
    refuse.
    """
    token = tokens[idx]
    side = str(token.attrGet("style") or "").removeprefix("text-align:")
    return f'<{token.tag} class="align-{side}">' if side in ("left", "center", "right") else f"<{token.tag}>"


@cache
def _lexer(name: str) -> Lexer:
    return get_lexer_by_name(name, stripnl=False)
