r"""LaTeX formulas made into MathML, which browsers set without script.

The converter is math-core (Rust). It recurses once per level of nesting, and a stack that is full ends the process. So
each formula is measured before it is converted: 2,000 characters need at most 2 MB of stack, whatever they say. What
comes out passes the allow-list of oasst.core.markdown.rendering like all other HTML.
"""

import html
import re
from functools import cache

from math_core import LatexError, LatexToMathML

FORMULA_LIMIT = 2_000
"""Characters of one formula."""
TEXT_LIMIT = 10_000
"""Characters of all formulas of one text."""
_LEAST = 20
"""Characters that a short formula counts as: a letter becomes two hundred characters of HTML."""
DEPTH_LIMIT = 64
"""Levels of nesting, in the source and in the MathML: browsers lay formulas out recursively."""
OUTPUT_LIMIT = 300_000
"""Characters of MathML of one text."""

_DEFINITION = re.compile(r"\\(?:(?:re)?new|provide|[gex]?def|let(?![a-z])|Declare)")
_GROUP = re.compile(r"\\.|[{}]", re.DOTALL)
_LEVEL = re.compile(r"<(/?)[a-z]+(?: [^<>]*?)?(/?)>")
_STYLED = re.compile(r'<[a-z]+ (?:[^<>]* )?style="[^<>]*>')
_STYLE = re.compile(r'(?<= )style="([^"]*)"')
# Inline styles are refused by our content security policy: the ones that carry meaning become classes of prose.css.
_CLASSES = {
    "text-align:left": "math-left",
    "text-align:right": "math-right",
    "padding-left:0": "math-close-left",
    "padding-right:0": "math-close-right",
    "padding-left:1em": "math-apart",
    "width:100%": "math-wide",
    "width:50%": "math-margin",
    "border-left:0.05em solid currentcolor": "math-line-left",
    "border-right:0.05em solid currentcolor": "math-line-right",
    "border-top:0.05em solid currentcolor": "math-line-top",
    "border-bottom:0.05em solid currentcolor": "math-line-bottom",
    "border-left:0.05em dashed currentcolor": "math-line-left",
    "border-right:0.05em dashed currentcolor": "math-line-right",
    "border-top:0.05em dashed currentcolor": "math-line-top",
}
# Equations are numbered by those who write them (\tag), never by us: a formula does not know the ones around it.
_NUMBERED = re.compile(r"\\(begin|end)\{(align|alignat|equation|flalign|gather|multline)\}")
_EQUATIONS = re.compile(r"\\(begin|end)\{eqnarray\*?\}")
_LABEL = re.compile(r"\\label\{[^{}]*\}|\\require\{[^{}]*\}")
_REFERENCE = re.compile(r"\\(?:eq)?ref\{([^{}]*)\}")
_LINK = re.compile(r"</?a(?: [^<>]*)?>")
_FORMULA_IN_TEXT = re.compile(r"\\text\{([^{}$]*)\$([^{}$]*)\$([^{}$]*)\}")


class Formulas:
    """What is left to spend on the formulas of one text."""

    def __init__(self) -> None:
        self.source = TEXT_LIMIT
        self.output = OUTPUT_LIMIT

    def convert(self, source: str, *, display: bool) -> str | None:
        """The MathML of a formula, or None when it has a mistake, is too deep, or the text has too many."""
        self.source -= max(len(source), _LEAST)
        if self.source < 0 or self.output <= 0:
            return None
        mathml = to_mathml(source, display=display)
        self.output -= len(mathml or "")
        return mathml if self.output >= 0 else None


def to_mathml(source: str, *, display: bool) -> str | None:
    """A `<math>` element with the source as its annotation; None for what is no formula or no bounded one."""
    if len(source) > FORMULA_LIMIT or _DEFINITION.search(source) or not _shallow(source):
        return None
    try:
        made = _converter().convert_with_local_state(_prepared(source), displaystyle=display)
    except (LatexError, UnicodeEncodeError):
        return None
    opening, _, content = made.removesuffix("</math>").partition(">")
    if not _shallow_markup(content):
        return None
    content = _LINK.sub("", _STYLED.sub(_with_classes, content))
    annotation = f'<annotation encoding="application/x-tex">{html.escape(source, quote=False)}</annotation>'
    return f"{opening}><semantics><mrow>{content}</mrow>{annotation}</semantics></math>"


@cache
def _converter() -> LatexToMathML:
    return LatexToMathML(
        fancy_error=False,
        allow_unreliable_rendering=True,
        max_expansions=100,
        macros={"substack": r"\begin{matrix}#1\end{matrix}", "mbox": r"\text{#1}"},
    )


def _shallow(source: str) -> bool:
    depth = 0
    for part in _GROUP.findall(source):
        depth += {"{": 1, "}": -1}.get(part, 0)
        if depth > DEPTH_LIMIT:
            return False
    return True


def _shallow_markup(markup: str) -> bool:
    depth = 0
    for closing, empty in _LEVEL.findall(markup):
        depth += -1 if closing else not empty
        if depth > DEPTH_LIMIT:
            return False
    return True


def _prepared(source: str) -> str:
    r"""What people write and the converter does not know, in words that it knows."""
    source = _REFERENCE.sub(r"\\text{(\1)}", _LABEL.sub("", source))
    source = _NUMBERED.sub(r"\\\1{\2*}", source)
    source = source.replace("{split}", "{aligned}")
    source = _EQUATIONS.sub(lambda found: r"\begin{array}{rcl}" if found[1] == "begin" else r"\end{array}", source)
    source = _FORMULA_IN_TEXT.sub(r"\\text{\1}{\2}\\text{\3}", source)
    if "\\\\" in source and "\\begin{" not in source and "\\substack" not in source:
        environment = "aligned" if "&" in source.replace("\\&", "") else "gathered"
        source = rf"\begin{{{environment}}}{source}\end{{{environment}}}"
    if "\\tag" in source and "*}" not in source:
        source = rf"\begin{{equation*}}{source}\end{{equation*}}"
    return source


def _with_classes(tag: re.Match[str]) -> str:
    return _STYLE.sub(_as_classes, tag[0])


def _as_classes(style: re.Match[str]) -> str:
    declarations = (re.sub(r"\s*:\s*", ":", one.strip()) for one in style[1].split(";"))
    return f'class="{" ".join(_CLASSES[one] for one in declarations if one in _CLASSES)}"'
