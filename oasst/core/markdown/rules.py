r"""How our Markdown differs from CommonMark: backslashes, formulas, links, images, text direction.

Each rule does a bounded amount of work for each position at which it is tried.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererHTML
from markdown_it.rules_block import StateBlock, table
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline, image, link
from markdown_it.token import Token

from oasst.core.markdown.foreign_links import address_of
from oasst.core.markdown.latex import FORMULA_LIMIT, FormulaBudget

# Short rows are filled with empty cells, so a few thousand characters could produce half a megabyte of table.
TABLE_CELL_LIMIT = 10_000

# Three characters can repeat a long link definition. Per text: the characters of all repeated URLs and titles, plus a
# charge for each element.
REFERENCE_LIMIT = 10_000
_REFERENCE_CHARGE = 50

_LINK = re.compile(r"(?:https?://|mailto:)[^\s]", re.IGNORECASE)


def install(parser: MarkdownIt) -> None:
    """Add our rules to a CommonMark parser."""
    parser.enable(["table", "strikethrough", "linkify"])
    parser.disable(["html_block", "html_inline"])
    _link_only_addresses(parser)
    parser.inline.ruler.at("link", _with_bounded_references(link))
    parser.inline.ruler.at("image", _with_bounded_references(image))
    parser.inline.ruler.at("escape", _backslash)
    parser.inline.ruler.before("escape", "formula", _formula)
    parser.block.ruler.before(
        "fence", "formula_block", _formula_block, {"alt": ["paragraph", "reference", "blockquote", "list"]}
    )
    parser.block.ruler.at("table", _bounded_table, {"alt": ["paragraph", "reference"]})
    parser.core.ruler.push("images_to_links", _images_to_links)
    parser.core.ruler.push("directions", _directions)
    parser.add_render_rule("link_open", _link_open)
    parser.add_render_rule("formula", _render_formula)
    parser.add_render_rule("formula_block", _render_formula_block)
    parser.add_render_rule("table_open", _table_open)
    parser.add_render_rule("table_close", _table_close)
    parser.add_render_rule("th_open", _aligned_cell)
    parser.add_render_rule("td_open", _aligned_cell)


# --- Links ---


def _link_only_addresses(parser: MarkdownIt) -> None:
    """Link only http(s):// and email addresses, but not "I was tired.So I slept" or main.py."""
    # The inline half of "linkify" looks back over all pending text at each colon, which is quadratic. The other half
    # finds the links without it.
    parser.inline.ruler.disable("linkify")
    assert parser.linkify is not None
    parser.linkify.set({"fuzzy_link": False, "fuzzy_ip": False, "fuzzy_email": True})
    for schema in ("ftp:", "//"):
        parser.linkify.add(schema, None)
    # Links into our own site are not allowed, because they could pose as our buttons.
    parser.validateLink = lambda url: _LINK.match(url) is not None  # type: ignore[method-assign]


def _link_open(self: RendererHTML, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
    """Lead to foreign sites by a page that says where the link goes. Without an address, `[a]()`, it is no link."""
    attrs = {
        name: address_of(str(value)) if name == "href" else value
        for name, value in tokens[idx].attrs.items()
        if value or name != "href"
    }
    return f"<a{self.renderAttrs(Token('link_open', 'a', 1, attrs=attrs))}>"


def _with_bounded_references(rule: Callable[[StateInline, bool], bool]) -> Callable[[StateInline, bool], bool]:
    """Wrap a rule so that it finds no definitions once the text has repeated too many: then `[a]` is text."""

    def bounded(state: StateInline, silent: bool) -> bool:
        if state.env.get("repeated", 0) >= REFERENCE_LIMIT and "references" in state.env:
            references = state.env.pop("references")
            try:
                return rule(state, silent)
            finally:
                state.env["references"] = references
        before = len(state.tokens)
        if not rule(state, silent):
            return False
        if not silent and state.src[state.pos - 1] == "]":  # it ends with a label, not with its own URL
            new = next(token for token in state.tokens[before:] if token.type in ("link_open", "image"))
            repeated = sum(len(str(new.attrGet(name) or "")) for name in ("href", "src", "title"))
            state.env["repeated"] = state.env.get("repeated", 0) + repeated + _REFERENCE_CHARGE
        return True

    return bounded


def _images_to_links(state: StateCore) -> None:
    """Replace each image by a link to it or, inside a link, by its text."""
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
    text = Token("text", "", 0, content=(image.content or "").strip() or "Image")
    if linked:
        return [text]
    attrs: dict[str, str | int | float] = {"class": "blocked-image", "href": image.attrGet("src") or ""}
    return [Token("link_open", "a", 1, attrs=attrs), text, Token("link_close", "a", -1)]


# --- Backslashes ---

# Characters with a meaning everywhere.
_ACTIVE = frozenset("*_`~[]<>$")
# Characters with a meaning at the start of a line. Also "." and ")" after the number of a list, and "!" before "[".
_LINE_START = frozenset("#-+=")
_NUMBER = re.compile(r"(?:^|\n)[ \t]*\d{1,9}\Z")
# The start of a path, a LaTeX command or a regular expression: C:\, \\server, \alpha, \d+.
_TECHNICAL = re.compile(r"\\[^\W_]|^[(\"'`*_]*(?:\\\\|[A-Za-z]:\Z)")
_LOOK_BACK = 100


def _backslash(state: StateInline, silent: bool) -> bool:
    """Hide a backslash only if it escapes Markdown, and show it as typed everywhere else."""
    if state.src[state.pos] != "\\":
        return False
    following = state.src[state.pos + 1 : min(state.pos + 2, state.posMax)]
    if following == "\\":
        _push_special(state, silent, shown="\\\\", typed="\\\\")
    elif following in _ACTIVE and following and _in_technical_word(state):
        _push_special(state, silent, shown="\\" + following, typed="\\" + following)
    elif following and _stops_markdown(state, following):
        _push_special(state, silent, shown=following, typed="\\" + following)
    else:
        _push_special(state, silent, shown="\\", typed="\\")
    return True


def _push_special(state: StateInline, silent: bool, *, shown: str, typed: str) -> None:
    if not silent:
        token = state.push("text_special", "", 0)
        token.content, token.markup, token.info = shown, typed, "escape"
    state.pos += len(typed)


def _in_technical_word(state: StateInline) -> bool:
    before = state.src[max(0, state.pos - _LOOK_BACK) : state.pos]
    return not before[-1:].isspace() and _TECHNICAL.search(before.split()[-1] if before else "") is not None


def _stops_markdown(state: StateInline, following: str) -> bool:
    if following in _ACTIVE:
        return True
    if following == "!":
        return state.src.startswith("[", state.pos + 2)
    before = state.src[max(0, state.pos - 20) : state.pos]
    if following in _LINE_START:
        return not before.rpartition("\n")[2].strip()
    return following in ".)" and _NUMBER.search(before) is not None


# --- Formulas ---

# Delimiters of formulas, inside a line and on their own lines. `streaming` uses them too.
CLOSERS = {"\\(": "\\)", "\\[": "\\]", "$$": "$$"}
_ENVIRONMENTS = ("align", "alignat", "equation", "gather", "multline", "eqnarray")
BLOCK_CLOSERS = {
    "\\[": "\\]",
    "$$": "$$",
    **{f"\\begin{{{name}{star}}}": f"\\end{{{name}{star}}}" for name in _ENVIRONMENTS for star in ("", "*")},
}
BLOCK_OPENER = re.compile("|".join(map(re.escape, BLOCK_CLOSERS)))
# Escaped brackets around plain words are no formula: \[citation needed\].
_WORDS = re.compile(r"[\w\s.,;:!?'’\"-]*\Z")
_WORD = re.compile(r"[^\W\d_A-Z]{4}|[^\W\d_A-Z]{2,}\s+[^\W\d_]{2,}")
_DOLLARS = re.compile(r"\s*[^\W\d_A-Z]{3,}\s*\Z")
AFTER_FORMULA = r"[ \t]*[.,;:!?]?[ \t]*"
_END = re.compile(rf"{AFTER_FORMULA}\Z")


def is_formula(source: str) -> bool:
    """Return True if the text between two delimiters is a formula."""
    return bool(source.strip()) and may_become_formula(source)


def may_become_formula(source: str) -> bool:
    """Return True if the text after an opening delimiter may still become a formula."""
    if len(source) > FORMULA_LIMIT:
        return False
    return "_" in source or not (_WORDS.match(source) and _WORD.search(source))


def _formula(state: StateInline, silent: bool) -> bool:
    r"""\(…\), and \[…\] or $$…$$ inside a paragraph."""
    opener = state.src[state.pos : state.pos + 2]
    closer = CLOSERS.get(opener)
    if closer is None:
        return False
    start = state.pos + 2
    end = state.src.find(closer, start, min(start + FORMULA_LIMIT + 2, state.posMax))
    if end < 0 or not is_formula(state.src[start:end]):
        return False
    if opener == "\\[" and state.src.startswith("(", end + 2):
        return False  # the escaped brackets of a link
    if opener == "$$" and (_DOLLARS.match(state.src, start, end) or state.src.startswith("$", end + 2)):
        return False  # "costs $$ and $$$"
    if not silent:
        token = state.push("formula", "math", 0)
        token.content, token.markup = state.src[start:end].strip(), opener
        token.meta["typed"] = state.src[state.pos : end + 2]
    state.pos = end + 2
    return True


def _formula_block(state: StateBlock, first: int, last: int, silent: bool) -> bool:
    r"""\[…\], $$…$$ and \begin{align}…\end{align} on lines of their own."""
    if state.is_code_block(first):
        return False
    start = state.bMarks[first] + state.tShift[first]
    begin = BLOCK_OPENER.match(state.src, start)
    if begin is None:
        return False
    opener, closer = begin[0], BLOCK_CLOSERS[begin[0]]
    line = _closing_line(state, first, last, opener, closer)
    if line is None:
        return False
    typed = state.getLines(first, line + 1, state.sCount[first], False).strip()
    end = typed.rindex(closer)
    source = typed[len(opener) : end]
    if not is_formula(source):
        return False
    if not silent:
        state.line = line + 1
        token = state.push("formula_block", "math", 0)
        token.content = source.strip() if opener in CLOSERS else typed[: end + len(closer)]
        token.meta["typed"] = typed
        token.map = [first, line + 1]
    return True


def _closing_line(state: StateBlock, first: int, last: int, opener: str, closer: str) -> int | None:
    """Return the last line of the formula. A second opener ends the search, which keeps the total work linear."""
    begin = state.bMarks[first] + state.tShift[first]
    for line in range(first, last):
        start = state.bMarks[line] + state.tShift[line]
        text = state.src[start : state.eMarks[line]]
        if line == first:
            text = text[len(opener) :]
        elif state.isEmpty(line) or state.sCount[line] < state.blkIndent:
            return None
        _, found, after = text.partition(closer)
        if found:
            return line if _END.match(after) else None
        if opener in text or state.eMarks[line] - begin > FORMULA_LIMIT:
            return None
    return None


def _render_formula(self: RendererHTML, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
    token = tokens[idx]
    display = token.markup != "\\("
    mathml = env.setdefault("formulas", FormulaBudget()).convert(token.content, display=display)
    typed = escapeHtml(token.meta["typed"])
    if mathml is None:
        return f'<code class="formula-source" dir="ltr">{typed}</code>'
    scrolls = _SCROLLS if display or len(token.content) > _SHORT or _WIDE.search(token.content) else ""
    block = " formula--block" if display else ""
    return f'<span class="formula{block}" dir="ltr" title="{typed}"{scrolls}>{mathml}</span>'


def _render_formula_block(self: RendererHTML, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
    token = tokens[idx]
    mathml = env.setdefault("formulas", FormulaBudget()).convert(token.content, display=True)
    typed = escapeHtml(token.meta["typed"])
    if mathml is None:
        return f'<pre class="formula-source"{CODE}><code>{typed}</code></pre>\n'
    return f'<div class="formula formula--block" dir="ltr" title="{typed}"{_SCROLLS}>{mathml}</div>\n'


# --- Boxes that scroll, and direction ---

# Content wider than a phone scrolls in its own box, focusable by keyboard. The role "group" adds no landmark.
CODE = ' dir="ltr" tabindex="0" role="group" aria-label="Code"'
_SCROLLS = ' tabindex="0" role="group" aria-label="Formula"'
_TABLE = ' tabindex="0" role="group" aria-label="Table"'
_SHORT = 16
"""Characters of a formula that fit the narrowest column, unless `_WIDE` matches."""
_WIDE = re.compile(r"space|kern|skip|arrow|quad")


def _bounded_table(state: StateBlock, first: int, last: int, silent: bool) -> bool:
    columns = state.getLines(first, first + 1, 0, False).count("|") + 1
    return columns * (last - first) <= TABLE_CELL_LIMIT and table(state, first, last, silent)


def _table_open(self: RendererHTML, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
    return f'<div class="wide-table"{self.renderAttrs(tokens[idx])}{_TABLE}><table>\n'


def _table_close(self: RendererHTML, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
    return "</table></div>\n"


def _aligned_cell(self: RendererHTML, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
    """Use a class instead of the style attribute, which our content security policy and the allow-list refuse."""
    token = tokens[idx]
    side = str(token.attrGet("style") or "").removeprefix("text-align:")
    aligned = f' class="align-{side}"' if side in ("left", "center", "right") else ""
    return f'<{token.tag}{aligned} dir="auto">'


_CONTAINERS = {"blockquote_open", "bullet_list_open", "ordered_list_open", "list_item_open", "table_open"}
_CONTAINER_ENDS = {"blockquote_close", "bullet_list_close", "ordered_list_close", "list_item_close", "table_close"}


def _directions(state: StateCore) -> None:
    """Give each paragraph, heading, list item and cell the direction of its own text, and code and URLs left-to-right.

    Lists and quotations get the direction of their first words, because "auto" ignores children with a direction. No
    block depends on another one, so finished blocks of a growing text do not change.
    """
    open_blocks: list[Token] = []
    for index, token in enumerate(state.tokens):
        if token.type in _CONTAINERS:
            token.attrSet("dir", "ltr")
            open_blocks.append(token)
        elif token.type in _CONTAINER_ENDS:
            open_blocks.pop()
        elif token.type == "inline":
            _mark_left_to_right(token)
            leaf = state.tokens[index - 1]
            if not leaf.hidden:
                leaf.attrSet("dir", "auto")
            if open_blocks:
                _set_direction(open_blocks, token)


def _set_direction(open_blocks: list[Token], inline: Token) -> None:
    waiting = [block for block in open_blocks if "direction" not in block.meta]
    if not waiting:
        return
    direction = _direction_of(inline)
    if direction:
        for block in waiting:
            block.meta["direction"] = direction
            block.attrSet("dir", direction)


def _direction_of(inline: Token) -> str:
    text = "".join(child.content for child in inline.children or () if child.type in ("text", "text_special"))
    for character in text:
        kind = unicodedata.bidirectional(character)
        if kind in ("L", "R", "AL"):
            return "ltr" if kind == "L" else "rtl"
    return ""


def _mark_left_to_right(inline: Token) -> None:
    for child in inline.children or ():
        if child.type == "code_inline" or (child.info == "auto" and child.type == "link_open"):
            child.attrSet("dir", "ltr")
