"""Render untrusted Markdown of people and models as safe HTML.

Three defenses: raw HTML is text, links go only to http(s) and mailto, and the result passes an allow-list. Images
become links, so a page loads nothing remote. The size of the input limits the work.
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

# Longer texts are shown as typed. Contributions (2,000 characters) and chat answers are far below.
MARKDOWN_LIMIT = 20_000
# Characters of HTML. Larger results are not cached, so that hostile texts do not fill the memory.
CACHE_LIMIT = 200_000
# Characters of all code blocks of a text. Many of Pygments' lexers take quadratic time on hostile input, so
# highlighting also has a time limit; beyond it the code is shown without colors.
HIGHLIGHT_LIMIT = 5_000
_HIGHLIGHT_SECONDS = 0.2

_TAGS = {
    *("a", "p", "br", "hr", "em", "strong", "s", "code", "pre", "span", "div"),
    *("blockquote", "ul", "ol", "li"),
    *("h1", "h2", "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td"),
}
# Presentation MathML, without elements that link, load, or contain HTML (annotation-xml, maction, mglyph).
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

# Pygments lexers by the names that people give code blocks. Only lexers that were tested with hostile input.
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
    """Return safe HTML, which the template puts into an element of class `prose`."""
    if len(text) > MARKDOWN_LIMIT:
        return mark_safe(f'<pre class="plain" dir="auto">{html.escape(text)}</pre>')  # noqa: S308  (escaped here)
    return mark_safe("".join(render_blocks(text)))  # noqa: S308  (each block was cleaned)


def render_blocks(text: str) -> tuple[str, ...]:
    """Return the top-level blocks of `render`, for a text within `MARKDOWN_LIMIT`. Recent results are cached."""
    try:
        return _render(text)
    except _TooLargeToCache as result:
        return result.blocks


class _TooLargeToCache(Exception):
    def __init__(self, blocks: tuple[str, ...]) -> None:
        super().__init__()
        self.blocks = blocks


@lru_cache(maxsize=512)  # the longest texts take a quarter of a second, and a page has many
def _render(text: str) -> tuple[str, ...]:
    blocks = tuple(clean_blocks(text, {"highlighting": HighlightBudget()}, parser()))
    if sum(map(len, blocks)) > CACHE_LIMIT:
        raise _TooLargeToCache(blocks)  # lru_cache does not store exceptions
    return blocks


def clean_blocks(text: str, env: dict[str, Any], parser: MarkdownIt) -> list[str]:
    """Return the clean HTML of each top-level block. `env` collects link definitions for later blocks."""
    tokens = parser.parse(text, env)
    blocks, start = [], 0
    for index, token in enumerate(tokens, start=1):
        if token.level == 0 and token.nesting <= 0:
            blocks.append(clean(parser.renderer.render(tokens[start:index], parser.options, env)))
            start = index
    return blocks


def clean(markup: str) -> str:
    """Return rendered HTML without everything that is not on the allow-list."""
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
    """Return the shared parser, which nobody may change."""
    return new_parser()


def new_parser() -> MarkdownIt:
    """Return a parser to which the caller may add rules. Rendering needs `env["highlighting"]`, a `HighlightBudget`."""
    parser = MarkdownIt("commonmark", {"html": False, "linkify": True, "breaks": True})
    install(parser)
    parser.add_render_rule("fence", _fence)
    parser.add_render_rule("code_block", _fence)
    return parser


def plain_line(text: str, limit: int) -> str:
    """Return the first non-empty line without Markdown, for titles. Prose comes before code."""
    return _cut(next(_lines(text, limit), ""), limit)


def plain_excerpt(text: str, limit: int) -> str:
    """Return the start of a text on one line without Markdown, for lists."""
    return _cut(" ".join(_lines(text, limit)), limit)


def _cut(line: str, limit: int) -> str:
    """Shorten a line, at the end of a word if there is one in the second half."""
    if len(line) <= limit:
        return line
    at_word = line[:limit].rpartition(" ")[0]
    return f"{(at_word if len(at_word) > limit // 2 else line[: limit - 1]).rstrip(' ,.;:')}…"


def _lines(text: str, limit: int) -> Iterator[str]:
    """Yield lines of plain text from the start of a text: prose, then code and formulas. A table row is one line."""
    code: list[str] = []
    row: list[str] | None = None
    for token in parser().parse(text[: 4 * limit + 200]):
        if token.type == "tr_open":
            row = []
        elif token.type == "tr_close":
            yield from _non_empty(" ".join(row or ()))
            row = None
        elif token.type == "inline":
            content = "".join(map(_plain, token.children or ()))
            if row is None:
                yield from _non_empty(content)
            else:
                row.append(content)
        elif token.type == "formula_block":
            code.append(_formula_source(token))
        elif token.type in ("fence", "code_block"):
            code += _non_empty(token.content)
    yield from code


def _non_empty(text: str) -> Iterator[str]:
    return (squeezed for line in text.splitlines() if (squeezed := " ".join(line.split())))


def _plain(token: Token) -> str:
    if token.type == "formula":
        return _formula_source(token)
    return "\n" if token.type in ("softbreak", "hardbreak") else token.content


def _formula_source(formula: Token) -> str:
    """Return the source on one line, with the delimiters that mark it as LaTeX."""
    return " ".join(formula.meta["typed"].split())


class HighlightBudget:
    """The remaining budget for highlighting the code blocks of one text."""

    def __init__(self) -> None:
        self.characters = HIGHLIGHT_LIMIT
        self.seconds = _HIGHLIGHT_SECONDS

    def highlight(self, code: str, lexer: Lexer) -> str | None:
        """Return the code with colored spans, or None if that would cost too much."""
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
        output = io.StringIO()
        _FORMATTER.format(tokens, output)
        return output.getvalue()


def _fence(self: RendererHTML, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
    code = tokens[idx].content
    language = (tokens[idx].info.split() or [""])[0].lower()
    lexer = _LEXERS.get(language)
    highlighted = env["highlighting"].highlight(code, _lexer(lexer)) if lexer else None
    if highlighted is None:
        return f"<pre{CODE}><code>{escapeHtml(code)}</code></pre>\n"
    return f'<pre class="highlight"{CODE}><code class="language-{lexer}">{highlighted}</code></pre>\n'


@cache
def _lexer(name: str) -> Lexer:
    return get_lexer_by_name(name, stripnl=False)
