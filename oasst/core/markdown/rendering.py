"""Markdown of people and models, made into HTML that can do no harm.

Three walls: raw HTML is text, links go to http(s) and mailto only, and what comes out passes an allow-list
once more. Nothing remote is loaded by looking at a page: images become links. Work is bounded by size before
it begins.
"""

import html
import io
import time
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from typing import Any

import nh3
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from pygments.formatters import HtmlFormatter
from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name

from oasst.core.markdown.rules import CODE, install

# Longer texts are shown as they were typed. Contributions are far below (2,000 characters), chat answers too.
MARKDOWN_LIMIT = 20_000
# Characters of HTML: what becomes larger is made again each time, so that hostile texts do not fill the memory.
KEPT_LIMIT = 200_000
# Per text, over all of its code blocks. Many of Pygments' lexers take quadratic time on hostile input, so the
# colouring also stops when its time is over: colour is decoration, the code itself is always shown.
HIGHLIGHT_LIMIT = 5_000
_HIGHLIGHT_SECONDS = 0.2

_TAGS = {
    *("a", "p", "br", "hr", "em", "strong", "s", "code", "pre", "span", "div"),
    *("blockquote", "ul", "ol", "li"),
    *("h1", "h2", "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td"),
}
# Of MathML what sets formulas: nothing that links, loads, or holds HTML (no annotation-xml, no maction, no mglyph).
_MATH = {
    *("math", "semantics", "annotation", "mrow", "mi", "mn", "mo", "mtext", "mspace", "mfrac", "msqrt", "mroot"),
    *("msub", "msup", "msubsup", "munder", "mover", "munderover", "mmultiscripts", "mprescripts", "mpadded"),
    *("mphantom", "menclose", "mtable", "mtr", "mtd"),
}
_BOX = {"class", "dir", "tabindex", "role", "aria-label"}
_ATTRIBUTES = {
    "a": {"href", "title", "class", "dir"},
    "p": {"dir"},
    "blockquote": {"dir"},
    "ul": {"dir"},
    "ol": {"dir", "start"},
    "li": {"dir"},
    **{f"h{level}": {"dir"} for level in range(1, 7)},
    "code": {"class", "dir"},
    "pre": _BOX,
    "div": _BOX | {"title"},
    "span": _BOX | {"title"},
    "th": {"class", "dir"},
    "td": {"class", "dir"},
    "math": {"display"},
    "annotation": {"encoding"},
    "mrow": {"class", "displaystyle", "scriptlevel"},
    "mi": {"mathvariant"},
    "mo": {"form", "lspace", "rspace", "stretchy", "symmetric", "movablelimits", "minsize", "maxsize"},
    "mspace": {"width"},
    "mfrac": {"displaystyle", "scriptlevel", "linethickness"},
    "mover": {"accent"},
    "munder": {"accentunder"},
    "mpadded": {"class", "width", "height", "voffset"},
    "menclose": {"notation"},
    "mtable": {"class", "displaystyle", "scriptlevel"},
    "mtd": {"class"},
}

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
        return mark_safe(f'<pre class="plain" dir="auto">{html.escape(text)}</pre>')  # noqa: S308  (escaped just here)
    return mark_safe("".join(render_blocks(text)))  # noqa: S308  (each block was cleaned)


def render_blocks(text: str) -> tuple[str, ...]:
    """What `render` makes of a text within `MARKDOWN_LIMIT`, by top-level blocks. The last ones are kept."""
    try:
        return _render(text)
    except _TooLargeToKeep as made:
        return made.blocks


class _TooLargeToKeep(Exception):
    def __init__(self, blocks: tuple[str, ...]) -> None:
        super().__init__()
        self.blocks = blocks


@lru_cache(maxsize=512)  # the longest take a quarter of a second, and a page has many
def _render(text: str) -> tuple[str, ...]:
    blocks = tuple(clean_blocks(text, {"colouring": Colouring()}, parser()))
    if sum(map(len, blocks)) > KEPT_LIMIT:
        raise _TooLargeToKeep(blocks)  # which the cache does not take
    return blocks


def clean_blocks(text: str, env: dict[str, Any], parser: MarkdownIt) -> list[str]:
    """The clean HTML of each top-level block. `env` learns what these blocks say about the next ones."""
    tokens = parser.parse(text, env)
    blocks, first = [], 0
    for number, token in enumerate(tokens):
        if token.level == 0 and token.nesting <= 0:
            blocks.append(clean(parser.renderer.render(tokens[first : number + 1], parser.options, env)))
            first = number + 1
    return blocks


def clean(markup: str) -> str:
    """What the allow-list leaves of HTML that was rendered."""
    return _cleaner().clean(markup)


@cache
def _cleaner() -> nh3.Cleaner:
    return nh3.Cleaner(
        tags=_TAGS | _MATH,
        attributes=_ATTRIBUTES,
        url_schemes={"http", "https", "mailto"},
        link_rel="nofollow noopener noreferrer ugc",
        set_tag_attribute_values={"a": {"target": "_blank"}},
    )


@cache
def parser() -> MarkdownIt:
    """The one that all texts are read with. Nobody may change it."""
    return new_parser()


def new_parser() -> MarkdownIt:
    """One of the caller's own, to give it more rules. Rendering wants a `Colouring` in the environment."""
    parser = MarkdownIt("commonmark", {"html": False, "linkify": True, "breaks": True})
    install(parser)
    parser.add_render_rule("fence", _fence)
    parser.add_render_rule("code_block", _fence)
    return parser


def plain_line(text: str, limit: int) -> str:
    """The first line that says something, without Markdown, for titles. Prose goes before code."""
    return _cut(next(_lines(text, limit), ""), limit)


def plain_excerpt(text: str, limit: int) -> str:
    """The words of a text in one line, without Markdown, for rows of lists."""
    return _cut(" ".join(_lines(text, limit)), limit)


def _cut(line: str, limit: int) -> str:
    """At a word, where one ends in the second half."""
    if len(line) <= limit:
        return line
    at_word = line[:limit].rpartition(" ")[0]
    return f"{(at_word if len(at_word) > limit // 2 else line[: limit - 1]).rstrip(' ,.;:')}…"


def _lines(text: str, limit: int) -> Iterator[str]:
    """The lines of the beginning of a text as plain text: those of prose, then those of code and formulas. Each row of
    a table is a line.
    """
    code: list[str] = []
    row: list[str] | None = None
    for token in parser().parse(text[: 4 * limit + 200]):
        if token.type == "tr_open":
            row = []
        elif token.type == "tr_close":
            yield from _said(" ".join(row or ()))
            row = None
        elif token.type == "inline":
            words = "".join(map(_words, token.children or ()))
            if row is None:
                yield from _said(words)
            else:
                row.append(words)
        elif token.type == "formula_block":
            code.append(_typed(token))
        elif token.type in ("fence", "code_block"):
            code += _said(token.content)
    yield from code


def _said(text: str) -> Iterator[str]:
    return (words for line in text.splitlines() if (words := " ".join(line.split())))


def _words(token: Token) -> str:
    if token.type == "formula":
        return _typed(token)
    return "\n" if token.type in ("softbreak", "hardbreak") else token.content


def _typed(formula: Token) -> str:
    """With its delimiters, which say that it is LaTeX, in one line."""
    return " ".join(formula.meta["typed"].split())


class Colouring:
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
        return f"<pre{CODE}><code>{escapeHtml(code)}</code></pre>\n"
    return f'<pre class="highlight"{CODE}><code class="language-{lexer}">{coloured}</code></pre>\n'


@cache
def _lexer(name: str) -> Lexer:
    return get_lexer_by_name(name, stripnl=False)
