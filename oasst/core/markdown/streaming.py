"""Render Markdown that is still being written, in the same blocks as `rendering.render` returns for the whole text.

The text is split into top-level blocks (paragraph, list, code block, table). A block that further text cannot change is
rendered once. Only the last block is rendered again as it grows; an open code block is just appended to. The unfinished
end is only a preview: open emphasis is closed, and the first line of a table waits for the next one.

In rare cases a finished block changes after all: by a link definition below its use, or in a text so long that its
tables are no longer rendered. `finish` renders the whole text once and returns what differs.
"""

import re
from copy import copy
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from pygments.lexer import Lexer

from oasst.core.markdown import rendering
from oasst.core.markdown.latex import FORMULA_LIMIT
from oasst.core.markdown.rules import (
    AFTER_FORMULA,
    BLOCK_CLOSERS,
    BLOCK_OPENER,
    CLOSERS,
    is_formula,
    may_become_formula,
)

# Only an opening mark this close to the end is closed for display: an earlier lone star or backtick is no mark.
_CLOSED_WITHIN = 300

_OPEN_FENCE = re.compile(r"(?:(`{3,})[^`\n]*|(~{3,})[^\n]*)\n")
# The start of a line that may become a list, a heading, a rule, a table, a fence or a link definition. It is not shown
# until that is known.
_UNDECIDED_LINE = re.compile(
    r"[ \t>]*(?:[-+*=_~`#|:]*[ \t]*(?:\[[ xX]?)?|\d{1,9}[.)]?[ \t]*|(?:[-+*]|\d{1,9}[.)])[ \t]+[-+*=_~`#|:\d.)]*"
    r"|(?:`{3,}|~{3,})[^`]*|\[[^\]]{1,100}\]:.*)"
)
# Formulas on their own lines, which may contain lines that look like lists, and formulas inside a line.
_FORMULA = re.compile(rf"^[ \t>]{{0,12}}({BLOCK_OPENER.pattern})", re.MULTILINE)
_ENDS_LINE = re.compile(rf"{AFTER_FORMULA}(?:\n|\Z)")
_EMPTY_LINE = re.compile(r"\n[ \t]*\n")
_FORMULA_IN_LINE = re.compile(
    "|".join(rf"{re.escape(begin)}.{{0,{_CLOSED_WITHIN}}}?{re.escape(end)}" for begin, end in CLOSERS.items()),
    re.DOTALL,
)
_ENDED_BY_EMPTY_LINE = frozenset({"paragraph_open", "heading_open", "table_open", "hr"})
_LONGEST_UNDECIDED = 200
_MARKS = re.compile(r"\\.|(`+)|([*_~]+)", re.DOTALL)
_UNFINISHED_LINK = re.compile(r"!?\[([^\[\]\n]*)(?:\](?:\([^()\n]*)?)?\Z")


@dataclass(frozen=True)
class Patch:
    """A change to the page that shows the growing text."""

    start: int
    """The first block that changes."""
    html: list[str]
    """All blocks from `start` on, each one element. Empty if only `code` is appended."""
    final: int
    """Number of leading blocks that are complete."""
    code: str = ""
    """Plain text to append to the code of the last block."""


def render_unfinished(text: str) -> SafeString:
    """Return safe HTML of an unfinished text, for an element of class `prose`."""
    patch = MarkdownStream().add(text)
    return mark_safe("".join(patch.html) if patch else "")  # noqa: S308  (each block was cleaned)


def count_unchanged(shown: list[str], blocks: list[str]) -> int:
    """Return how many leading blocks are equal."""
    pairs = zip(shown, blocks, strict=False)
    return next((index for index, (old, new) in enumerate(pairs) if old != new), min(len(shown), len(blocks)))


class MarkdownStream:
    """A text that arrives in chunks. A call may take a quarter of a second, so use a thread, one call at a time."""

    def __init__(self) -> None:
        self._text = ""
        self._carriage_return = ""  # "\r" at the end of a chunk, perhaps half of a line break
        self._pending = ""  # starts with the first block that may still change
        self._env: dict[str, Any] = {"highlighting": _CachingHighlightBudget()}
        self._final: list[str] = []
        self._shown: list[str] = []
        self._code: str | None = None  # the part of an open code block, or of a plain text, that is shown
        self._fence_searched = 0  # how far an open code block was searched for its end
        self._parsed = 0  # length of the complete lines that were parsed

    def add(self, chunk: str) -> Patch | None:
        """Append `chunk` and return what changes on the page, or None if nothing does."""
        chunk = self._carriage_return + chunk
        self._carriage_return = "\r" if chunk.endswith("\r") else ""
        chunk = chunk.removesuffix("\r")
        chunk = chunk.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")
        self._text += chunk
        if len(self._text) > rendering.MARKDOWN_LIMIT:
            return self._show_plain()
        self._pending += chunk
        self._render_final()
        if (fence := _OPEN_FENCE.match(self._pending)) is not None:
            return self._show_code(fence)
        self._code = None
        preview = _without_undecided_end(self._pending)
        return self._show(self._final + rendering.clean_blocks(preview, self._copied_env(), _unfinished_parser()))

    def finish(self, text: str) -> Patch | None:
        """Return what changes on the page so that it equals `rendering.render` of the whole text."""
        self._code = None
        if len(text) > rendering.MARKDOWN_LIMIT:
            self._final = [rendering.render(text)]
        else:
            self._final = list(rendering.render_blocks(text))
        return self._show(self._final)

    def _render_final(self) -> None:
        """Remove the blocks that cannot change any more from the pending text, and render them."""
        while end := self._end_of_final():
            self._final += rendering.clean_blocks(self._pending[:end], self._env, rendering.parser())
            self._pending = self._pending[end:]
            self._fence_searched = self._parsed = 0

    def _end_of_final(self) -> int:
        """Return how many characters of the pending text belong to blocks that no further line can change."""
        if (fence := _OPEN_FENCE.match(self._pending)) is not None:
            return self._end_of_fence(fence)
        lines = self._pending[: self._pending.rfind("\n") + 1]  # without the incomplete last line
        if len(lines) == self._parsed:
            return 0
        self._parsed = len(lines)
        tokens: list[Token] = []
        parser = rendering.parser()
        parser.block.parse(lines, parser, self._copied_env(), tokens)
        blocks = [token for token in tokens if token.level == 0 and token.nesting >= 0 and token.map]
        if not blocks:
            return 0
        first, end = blocks[-1].map or [0, 0]
        if (formula := _open_formula(lines, include_possible=True)) < len(lines):
            line = lines.count("\n", 0, formula)
            first = max((block.map[0] for block in blocks if block.map and block.map[0] <= line), default=0)
            end = first
        is_over = blocks[-1].type in _ENDED_BY_EMPTY_LINE and lines.count("\n") > end
        return sum(len(line) + 1 for line in lines.split("\n")[: end if is_over else first])

    def _end_of_fence(self, fence: re.Match[str]) -> int:
        """Return the end of the code block at the start of the pending text, or 0 while it is open."""
        mark = fence[1] or fence[2]
        closing = re.compile(rf"^ {{0,3}}{re.escape(mark)}{re.escape(mark[0])}*[ \t]*\n", re.MULTILINE)
        match = closing.search(self._pending, max(fence.end(), self._fence_searched))
        self._fence_searched = self._pending.rfind("\n") + 1
        return match.end() if match else 0

    def _show_code(self, fence: re.Match[str]) -> Patch | None:
        code = self._pending[fence.end() :]
        last = code.rfind("\n") + 1
        if not code[last:].strip(" \t" + (fence[1] or fence[2])[0]):
            code = code[:last]  # perhaps the end of the block
        if self._code is not None and code.startswith(self._code):
            more, self._code = code[len(self._code) :], code
            return Patch(len(self._shown), [], len(self._final), more) if more else None
        mark = fence[1] or fence[2]
        blocks = rendering.clean_blocks(f"{mark}\n{code}", self._copied_env(), rendering.parser())
        patch = self._show(self._final + blocks)
        self._code = code
        return patch

    def _show_plain(self) -> Patch | None:
        """Show a text that is too long for Markdown as typed."""
        self._final = []
        if self._code is not None and self._text.startswith(self._code) and len(self._code) > rendering.MARKDOWN_LIMIT:
            more, self._code = self._text[len(self._code) :], self._text
            return Patch(1, [], 0, more) if more else None
        self._code = self._text
        return self._show([rendering.render(self._text)])

    def _show(self, blocks: list[str]) -> Patch | None:
        same = count_unchanged(self._shown, blocks)
        changes = same < len(blocks) or same < len(self._shown)
        self._shown = blocks
        return Patch(same, blocks[same:], len(self._final)) if changes else None

    def _copied_env(self) -> dict[str, Any]:
        """Return a copy, which rendering may change, of the link definitions and the highlighting budget so far."""
        return {name: copy(value) for name, value in self._env.items()}


def _without_undecided_end(text: str) -> str:
    """Return the text without an end that the next characters may turn into something else."""
    text = text[: _open_formula(text)]
    last = text.rfind("\n") + 1
    if len(text) - last <= _LONGEST_UNDECIDED and _is_undecided(text[last:]):
        text = text[:last]
    lines = text.rstrip("\n").split("\n")
    header = len(lines) - 1
    if header > 0 and not lines[header].strip(" \t:|-") and not text.endswith("\n"):
        header -= 1
    starts_here = header == 0 or not lines[header - 1].lstrip().startswith("|")
    if starts_here and lines[header].lstrip().startswith("|") and not text.endswith("\n\n"):
        text = "".join(f"{line}\n" for line in lines[:header])  # a table, if its second line says so
    return text


def _is_undecided(line: str) -> bool:
    content = line.lstrip(" \t>")
    return _UNDECIDED_LINE.fullmatch(line) is not None or any(opener.startswith(content) for opener in BLOCK_CLOSERS)


def _open_formula(text: str, *, include_possible: bool = False) -> int:
    """Return the start of a formula without an end, or the length of the text if there is none.

    With `include_possible`, also find plain words that may still become a formula, and a closing delimiter that may
    open another one.
    """
    position = text.rfind("\n\n") + 1
    while (match := _FORMULA.search(text, position)) is not None:
        position = match.end()
        opener, closer = match[1], BLOCK_CLOSERS[match[1]]
        end = text.find(closer, position, position + FORMULA_LIMIT + len(closer))
        source = text[position:end] if end >= 0 else text[position:]
        if _EMPTY_LINE.search(source) or (opener != closer and opener in source):
            continue
        if end < 0:
            if len(source) <= FORMULA_LIMIT and (include_possible or may_become_formula(source)):
                return match.start()
        elif not include_possible and is_formula(source) and _ENDS_LINE.match(text, end + len(closer)):
            position = end + len(closer)
    return len(text)


@cache
def _unfinished_parser() -> MarkdownIt:
    parser: MarkdownIt = rendering.new_parser()
    parser.core.ruler.after("block", "unfinished_end", _close_the_end)
    return parser


def _close_the_end(state: StateCore) -> None:
    """Close open marks at the end of an unfinished text, and do not highlight an open code block."""
    for token in reversed(state.tokens):
        if token.type == "fence":
            if not _is_closed(token, state.src):
                token.info = ""
            return
        if token.type == "inline" and token.content:
            token.content = close_marks(token.content)
            return
        if token.nesting >= 0 and token.type not in ("inline", "th_open", "td_open"):
            return


def _is_closed(fence: Token, text: str) -> bool:
    first, end = fence.map or [0, 0]
    last = text.split("\n")[end - 1].strip(" \t>")
    return end - first > 1 and last.startswith(fence.markup) and not last.strip(fence.markup[0])


def close_marks(text: str) -> str:
    """Close the marks that are open at the end of incomplete inline Markdown.

    "some **bol" becomes "some **bol**", "see [this pa" and "see [this page](http://exa" become "see this page".
    """
    text = text[: _open_formula_in_line(text)]
    last = text.rfind("[")
    link = _UNFINISHED_LINK.match(text, last) if last >= 0 and text[last - 1 : last] != "\\" else None
    if link and len(text) - last <= _CLOSED_WITHIN * 4:
        last -= last > 0 and text[last - 1] == "!"
        text = text[:last] + link[1]
    # Drop marks at the very end: they open nothing yet, or are half of a closing mark, which is added below.
    bare = text.rstrip("*_~`")
    if bare.endswith("\\"):
        bare = text[: len(bare) + 1] if bare != text else text[:-1]
    open_marks = [mark for mark in _open_marks(bare) if len(bare) - mark[1] <= _CLOSED_WITHIN]
    if not open_marks:
        return bare
    bare = bare.rstrip()
    return bare + "".join(kind for kind, _ in reversed(open_marks))


def _open_formula_in_line(text: str) -> int:
    for opener, closer in CLOSERS.items():
        start = text.rfind(opener)
        is_open = text.count(opener) % 2 if opener == closer else closer not in text[start + 2 :]
        if start >= 0 and is_open and len(text) - start <= _CLOSED_WITHIN and may_become_formula(text[start + 2 :]):
            return start
    return len(text)


def _open_marks(text: str) -> list[tuple[str, int]]:
    """Return the unclosed marks in order, as (mark, position). Only the last one may be of code."""
    text = _FORMULA_IN_LINE.sub(lambda match: "x" * len(match[0]) if is_formula(match[0][2:-2]) else match[0], text)
    code_ends: dict[int, list[int]] = {}
    for run in re.finditer(r"`+", text):
        code_ends.setdefault(len(run[0]), []).append(run.start())
    open_marks: list[tuple[str, int]] = []
    position = 0
    while (match := _MARKS.search(text, position)) is not None:
        position = match.end()
        if match[1]:
            ends = code_ends.get(len(match[1]), [])
            while ends and ends[0] <= match.start():
                ends.pop(0)
            if ends:
                position = ends[0] + len(match[1])
            elif len(text) - position <= _CLOSED_WITHIN:
                return [*open_marks, (match[1], match.start())]
        elif match[2]:
            _open_or_close(open_marks, match, text)
    return open_marks


def _open_or_close(open_marks: list[tuple[str, int]], match: re.Match[str], text: str) -> None:
    run, kind = match[2], match[2][0]
    if run.strip(kind) or (kind == "~" and len(run) != 2):
        return
    before, after = text[: match.start()][-1:], text[match.end() :][:1]
    is_inside_word = kind == "_" and before.isalnum() and after.isalnum()
    if before.strip() and not is_inside_word:
        while run and open_marks and open_marks[-1][0][0] == kind:
            mark, position = open_marks.pop()
            if len(mark) > len(run):
                open_marks.append((mark[len(run) :], position))
                return
            run = run[len(mark) :]
    if run and after.strip() and not is_inside_word and not (kind == "_" and before.isalnum()):
        open_marks.append((run, match.start()))


class _CachingHighlightBudget(rendering.HighlightBudget):
    """Highlights each code block once, however often it is rendered. Copies share the cache."""

    def __init__(self) -> None:
        super().__init__()
        self._cache: dict[tuple[str, str], str | None] = {}

    def highlight(self, code: str, lexer: Lexer) -> str | None:
        key = (lexer.name, code)
        if key in self._cache:
            self.characters -= len(code)
        else:
            self._cache[key] = super().highlight(code, lexer)
        return self._cache[key]
