"""Markdown that is still being written, as HTML that grows: the same blocks that `markdown.render` makes of the whole.

A text is cut into its top-level blocks (paragraph, list, code block, table). A block that further text cannot change is
rendered once; only the last one is rendered again as it grows, and an open code block is not even that: its text is
appended. How the unfinished end is shown (marks are closed, half a line of a table waits) is for the eye alone.

In rare cases a finished block changes after all: by a link definition below its use, or in a document so long that its
tables are no longer drawn. `finish` renders the whole text once and tells what differs.
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
    BEHIND_A_FORMULA,
    BLOCK_CLOSERS,
    BLOCK_OPENER,
    CLOSERS,
    is_formula,
    may_become_formula,
)

# An opening mark is closed for display only if it is so near to the end: a lone star or backtick is no mark.
_CLOSED_WITHIN = 300

_OPEN_FENCE = re.compile(r"(?:(`{3,})[^`\n]*|(~{3,})[^\n]*)\n")
# The beginning of a line that may become a list, a heading, a rule, a table, a fence or a link definition: until it
# is known which, it is not shown.
_UNDECIDED_LINE = re.compile(
    r"[ \t>]*(?:[-+*=_~`#|:]*[ \t]*(?:\[[ xX]?)?|\d{1,9}[.)]?[ \t]*|(?:[-+*]|\d{1,9}[.)])[ \t]+[-+*=_~`#|:\d.)]*"
    r"|(?:`{3,}|~{3,})[^`]*|\[[^\]]{1,100}\]:.*)"
)
# Formulas on lines of their own, which may hold lines that would be lists elsewhere, and those in a line.
_FORMULA = re.compile(rf"^[ \t>]{{0,12}}({BLOCK_OPENER.pattern})", re.MULTILINE)
_ENDS_LINE = re.compile(rf"{BEHIND_A_FORMULA}(?:\n|\Z)")
_EMPTY_LINE = re.compile(r"\n[ \t]*\n")
_FORMULA_IN_LINE = re.compile(
    "|".join(rf"{re.escape(begin)}.{{0,{_CLOSED_WITHIN}}}?{re.escape(end)}" for begin, end in CLOSERS.items()),
    re.DOTALL,
)
_ENDED_BY_AN_EMPTY_LINE = frozenset({"paragraph_open", "heading_open", "table_open", "hr"})
_LONGEST_UNDECIDED = 200
_MARKS = re.compile(r"\\.|(`+)|([*_~]+)", re.DOTALL)
_UNFINISHED_LINK = re.compile(r"!?\[([^\[\]\n]*)(?:\](?:\([^()\n]*)?)?\Z")


@dataclass(frozen=True)
class Patch:
    """What has to change on a page that shows a text so far."""

    start: int
    """The blocks before this one stay as they are."""
    html: list[str]
    """All blocks from `start` on, each one element. Empty if only `code` is to be appended."""
    final: int
    """So many blocks, from the first one on, are complete."""
    code: str = ""
    """Plain text to append to the code of the last block."""


def render_unfinished(text: str) -> SafeString:
    """The HTML of a text that is still being written. Safe in any page, in an element of class `prose`."""
    patch = MarkdownStream().add(text)
    return mark_safe("".join(patch.html) if patch else "")  # noqa: S308  (each block was cleaned)


def number_unchanged(shown: list[str], blocks: list[str]) -> int:
    """So many blocks, from the first one on, are the same in both."""
    pairs = zip(shown, blocks, strict=False)
    return next((place for place, (old, new) in enumerate(pairs) if old != new), min(len(shown), len(blocks)))


class MarkdownStream:
    """One text that comes in pieces. A call may take a quarter of a second: make it in a thread, one at a time."""

    def __init__(self) -> None:
        self._whole = ""
        self._held = ""  # "\r" at the end of a piece: half of a line break, perhaps
        self._pending = ""  # from the first block on that may still change
        self._env: dict[str, Any] = {"colouring": _RememberingColouring()}
        self._final: list[str] = []
        self._shown: list[str] = []
        self._code: str | None = None  # the part of an open code block, or of a plain text, that is shown
        self._seen_of_fence = 0  # how far it was looked at for its end
        self._looked_at = 0  # the same, for the next block

    def add(self, piece: str) -> Patch | None:
        """The text goes on with `piece`. Returns what changes on the page; None if nothing does."""
        piece = self._held + piece
        self._held = "\r" if piece.endswith("\r") else ""
        piece = piece.removesuffix("\r")
        piece = piece.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")
        self._whole += piece
        if len(self._whole) > rendering.MARKDOWN_LIMIT:
            return self._show_plain()
        self._pending += piece
        self._settle()
        if (fence := _OPEN_FENCE.match(self._pending)) is not None:
            return self._show_code(fence)
        self._code = None
        return self._show(
            self._final + rendering.clean_blocks(_shown_end(self._pending), self._copied_env(), _unfinished_parser())
        )

    def finish(self, text: str) -> Patch | None:
        """This is the whole text: the page should show exactly what `markdown.render` makes of it."""
        self._code = None
        if len(text) > rendering.MARKDOWN_LIMIT:
            self._final = [rendering.render(text)]
        else:
            self._final = list(rendering.render_blocks(text))
        return self._show(self._final)

    def _settle(self) -> None:
        """Take the blocks that cannot change any more from the pending text, and render them."""
        while end := self._end_of_settled():
            self._final += rendering.clean_blocks(self._pending[:end], self._env, rendering.parser())
            self._pending = self._pending[end:]
            self._seen_of_fence = self._looked_at = 0

    def _end_of_settled(self) -> int:
        """How many characters of the pending text belong to blocks that no further line can change."""
        if (fence := _OPEN_FENCE.match(self._pending)) is not None:
            return self._end_of_fence(fence)
        lines = self._pending[: self._pending.rfind("\n") + 1]  # half a line decides nothing
        if len(lines) == self._looked_at:
            return 0
        self._looked_at = len(lines)
        tokens: list[Token] = []
        parser = rendering.parser()
        parser.block.parse(lines, parser, self._copied_env(), tokens)
        blocks = [token for token in tokens if token.level == 0 and token.nesting >= 0 and token.map]
        if not blocks:
            return 0
        first, end = blocks[-1].map or [0, 0]
        if (formula := _open_formula(lines, perhaps=True)) < len(lines):
            line = lines.count("\n", 0, formula)
            first = max((block.map[0] for block in blocks if block.map and block.map[0] <= line), default=0)
            end = first
        is_over = blocks[-1].type in _ENDED_BY_AN_EMPTY_LINE and lines.count("\n") > end
        return sum(len(line) + 1 for line in lines.split("\n")[: end if is_over else first])

    def _end_of_fence(self, fence: re.Match[str]) -> int:
        """The end of the code block that the pending text begins with; 0 while it is open."""
        mark = fence[1] or fence[2]
        closing = re.compile(rf"^ {{0,3}}{re.escape(mark)}{re.escape(mark[0])}*[ \t]*\n", re.MULTILINE)
        found = closing.search(self._pending, max(fence.end(), self._seen_of_fence))
        self._seen_of_fence = self._pending.rfind("\n") + 1
        return found.end() if found else 0

    def _show_code(self, fence: re.Match[str]) -> Patch | None:
        code = self._pending[fence.end() :]
        last = code.rfind("\n") + 1
        if not code[last:].strip(" \t" + (fence[1] or fence[2])[0]):
            code = code[:last]  # perhaps the end of the block
        if self._code is not None and code.startswith(self._code):
            more, self._code = code[len(self._code) :], code
            return Patch(len(self._shown), [], len(self._final), more) if more else None
        mark = fence[1] or fence[2]
        patch = self._show(
            self._final + rendering.clean_blocks(f"{mark}\n{code}", self._copied_env(), rendering.parser())
        )
        self._code = code
        return patch

    def _show_plain(self) -> Patch | None:
        """A text that is too long for Markdown is shown as it was typed."""
        self._final = []
        if self._code is not None and self._whole.startswith(self._code) and len(self._code) > rendering.MARKDOWN_LIMIT:
            more, self._code = self._whole[len(self._code) :], self._whole
            return Patch(1, [], 0, more) if more else None
        self._code = self._whole
        return self._show([rendering.render(self._whole)])

    def _show(self, blocks: list[str]) -> Patch | None:
        same = number_unchanged(self._shown, blocks)
        changes = same < len(blocks) or same < len(self._shown)
        self._shown = blocks
        return Patch(same, blocks[same:], len(self._final)) if changes else None

    def _copied_env(self) -> dict[str, Any]:
        """What the finished part says about the rest (link definitions, what may still be colored), to be changed."""
        return {name: copy(value) for name, value in self._env.items()}


def _shown_end(text: str) -> str:
    """The text without what would be shown as one thing now and as another in a moment."""
    text = text[: _open_formula(text)]
    last = text.rfind("\n") + 1
    if len(text) - last <= _LONGEST_UNDECIDED and _is_undecided(text[last:]):
        text = text[:last]
    lines = text.rstrip("\n").split("\n")
    header = len(lines) - 1
    if header > 0 and not lines[header].strip(" \t:|-") and not text.endswith("\n"):
        header -= 1
    begins_here = header == 0 or not lines[header - 1].lstrip().startswith("|")
    if begins_here and lines[header].lstrip().startswith("|") and not text.endswith("\n\n"):
        text = "".join(f"{line}\n" for line in lines[:header])  # a table, once its second line says so
    return text


def _is_undecided(line: str) -> bool:
    words = line.lstrip(" \t>")
    return _UNDECIDED_LINE.fullmatch(line) is not None or any(opener.startswith(words) for opener in BLOCK_CLOSERS)


def _open_formula(text: str, *, perhaps: bool = False) -> int:
    """Where a formula begins that has no end yet; the length of the text if there is none.

    Words so far are none, but may still become one, and what seems to end one may begin another: `perhaps` finds these
    too.
    """
    place = text.rfind("\n\n") + 1
    while (found := _FORMULA.search(text, place)) is not None:
        place = found.end()
        opener, closer = found[1], BLOCK_CLOSERS[found[1]]
        end = text.find(closer, place, place + FORMULA_LIMIT + len(closer))
        source = text[place:end] if end >= 0 else text[place:]
        if _EMPTY_LINE.search(source) or (opener != closer and opener in source):
            continue
        if end < 0:
            if len(source) <= FORMULA_LIMIT and (perhaps or may_become_formula(source)):
                return found.start()
        elif not perhaps and is_formula(source) and _ENDS_LINE.match(text, end + len(closer)):
            place = end + len(closer)
    return len(text)


@cache
def _unfinished_parser() -> MarkdownIt:
    parser: MarkdownIt = rendering.new_parser()
    parser.core.ruler.after("block", "unfinished_end", _close_the_end)
    return parser


def _close_the_end(state: StateCore) -> None:
    """The last words of an unfinished text: marks are closed that are still open, open code has no color yet."""
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


def close_marks(words: str) -> str:
    """Inline Markdown that breaks off, with the marks closed that are open at its end.

    "some **bol" is shown as "some **bol**", "see [this pa" and "see [this page](http://exa" as "see this page".
    """
    words = words[: _open_formula_in_line(words)]
    last = words.rfind("[")
    link = _UNFINISHED_LINK.match(words, last) if last >= 0 and words[last - 1 : last] != "\\" else None
    if link and len(words) - last <= _CLOSED_WITHIN * 4:
        last -= last > 0 and words[last - 1] == "!"
        words = words[:last] + link[1]
    # Marks at the very end open nothing yet, or are half of what closes; what they would close is closed below.
    bare = words.rstrip("*_~`")
    if bare.endswith("\\"):
        bare = words[: len(bare) + 1] if bare != words else words[:-1]
    open_marks = [mark for mark in _open_marks(bare) if len(bare) - mark[1] <= _CLOSED_WITHIN]
    if not open_marks:
        return bare
    bare = bare.rstrip()
    return bare + "".join(kind for kind, _ in reversed(open_marks))


def _open_formula_in_line(words: str) -> int:
    for opener, closer in CLOSERS.items():
        place = words.rfind(opener)
        is_open = words.count(opener) % 2 if opener == closer else closer not in words[place + 2 :]
        if place >= 0 and is_open and len(words) - place <= _CLOSED_WITHIN and may_become_formula(words[place + 2 :]):
            return place
    return len(words)


def _open_marks(words: str) -> list[tuple[str, int]]:
    """The marks that nothing closes: (mark, place), in their order. At most one of them is of code, the last one."""
    words = _FORMULA_IN_LINE.sub(lambda found: "x" * len(found[0]) if is_formula(found[0][2:-2]) else found[0], words)
    code_ends: dict[int, list[int]] = {}
    for run in re.finditer(r"`+", words):
        code_ends.setdefault(len(run[0]), []).append(run.start())
    opened: list[tuple[str, int]] = []
    place = 0
    while (found := _MARKS.search(words, place)) is not None:
        place = found.end()
        if found[1]:
            ends = code_ends.get(len(found[1]), [])
            while ends and ends[0] <= found.start():
                ends.pop(0)
            if ends:
                place = ends[0] + len(found[1])
            elif len(words) - place <= _CLOSED_WITHIN:
                return [*opened, (found[1], found.start())]
        elif found[2]:
            _open_or_close(opened, found, words)
    return opened


def _open_or_close(opened: list[tuple[str, int]], found: re.Match[str], words: str) -> None:
    run, kind = found[2], found[2][0]
    if run.strip(kind) or (kind == "~" and len(run) != 2):
        return
    before, behind = words[: found.start()][-1:], words[found.end() :][:1]
    inside_a_word = kind == "_" and before.isalnum() and behind.isalnum()
    if before.strip() and not inside_a_word:
        while run and opened and opened[-1][0][0] == kind:
            mark, place = opened.pop()
            if len(mark) > len(run):
                opened.append((mark[len(run) :], place))
                return
            run = run[len(mark) :]
    if run and behind.strip() and not inside_a_word and not (kind == "_" and before.isalnum()):
        opened.append((run, found.start()))


class _RememberingColouring(rendering.Colouring):
    """Colors each code block once, however often the list around it is rendered. Its copies share what it made."""

    def __init__(self) -> None:
        super().__init__()
        self._made: dict[tuple[str, str], str | None] = {}

    def colour(self, code: str, lexer: Lexer) -> str | None:
        key = (lexer.name, code)
        if key in self._made:
            self.characters -= len(code)
        else:
            self._made[key] = super().colour(code, lexer)
        return self._made[key]
