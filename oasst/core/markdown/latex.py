r"""Convert LaTeX formulas to MathML, which browsers render without scripts.

The converter is math-core (Rust). It recurses once per level of nesting, and a stack overflow ends the process, so each
formula is checked before conversion: 2,000 characters need at most 2 MB of stack. The result passes the allow-list of
oasst.core.markdown.rendering like all other HTML.
"""

import html
import re
from collections.abc import Iterable
from functools import cache
from itertools import accumulate

from math_core import LatexError, LatexToMathML

FORMULA_LIMIT = 2_000
"""Characters of one formula."""
TEXT_LIMIT = 10_000
"""Characters of all formulas of one text."""
_MIN_CHARGE = 20
"""Characters that a short formula counts as, because one letter becomes two hundred characters of HTML."""
DEPTH_LIMIT = 64
"""Levels of nesting in source and MathML, because browsers lay out formulas recursively."""
OUTPUT_LIMIT = 300_000
"""Characters of MathML of one text."""

_DEFINITION = re.compile(r"\\(?:(?:re)?new|provide|[gex]?def|let(?![a-z])|Declare)")
_GROUP = re.compile(r"\\.|[{}]", re.DOTALL)
_LEVEL = re.compile(r"<(/?)[a-z]+(?: [^<>]*?)?(/?)>")
_STYLED = re.compile(r'<[a-z]+ (?:[^<>]* )?style="[^<>]*>')
_STYLE = re.compile(r'(?<= )style="([^"]*)"')
# Our content security policy refuses inline styles, so the meaningful ones become classes of prose.css.
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
# Equations are numbered only by authors (\tag), because formulas are converted one by one.
_NUMBERED = re.compile(r"\\(begin|end)\{(align|alignat|equation|flalign|gather|multline)\}")
_EQUATIONS = re.compile(r"\\(begin|end)\{eqnarray\*?\}")
_LABEL = re.compile(r"\\label\{[^{}]*\}|\\require\{[^{}]*\}")
_REFERENCE = re.compile(r"\\(?:eq)?ref\{([^{}]*)\}")
_LINK = re.compile(r"</?a(?: [^<>]*)?>")
_FORMULA_IN_TEXT = re.compile(r"\\text\{([^{}$]*)\$([^{}$]*)\$([^{}$]*)\}")


class FormulaBudget:
    """The remaining budget for the formulas of one text."""

    def __init__(self) -> None:
        self.source = TEXT_LIMIT
        self.output = OUTPUT_LIMIT

    def convert(self, source: str, *, display: bool) -> str | None:
        """Return the MathML of a formula, or None if it is invalid, too deep, or the text has too many."""
        self.source -= max(len(source), _MIN_CHARGE)
        if self.source < 0 or self.output <= 0:
            return None
        mathml = to_mathml(source, display=display)
        self.output -= len(mathml or "")
        return mathml if self.output >= 0 else None


def to_mathml(source: str, *, display: bool) -> str | None:
    """Return a `<math>` element with its source as annotation, or None if it is invalid or exceeds a limit."""
    if len(source) > FORMULA_LIMIT or _DEFINITION.search(source):
        return None
    if not _is_shallow({"{": 1, "}": -1}.get(part, 0) for part in _GROUP.findall(source)):
        return None
    try:
        mathml = _converter().convert_with_local_state(_prepared(source), displaystyle=display)
    except (LatexError, UnicodeEncodeError):
        return None
    start_tag, _, content = mathml.removesuffix("</math>").partition(">")
    if not _is_shallow(-1 if closing else not empty for closing, empty in _LEVEL.findall(content)):
        return None
    content = _LINK.sub("", _STYLED.sub(_with_classes, content))
    annotation = f'<annotation encoding="application/x-tex">{html.escape(source, quote=False)}</annotation>'
    return f"{start_tag}><semantics><mrow>{content}</mrow>{annotation}</semantics></math>"


@cache
def _converter() -> LatexToMathML:
    return LatexToMathML(
        fancy_error=False,
        allow_unreliable_rendering=True,
        max_expansions=100,
        macros={"substack": r"\begin{matrix}#1\end{matrix}", "mbox": r"\text{#1}"},
    )


def _is_shallow(steps: Iterable[int]) -> bool:
    """`steps` are 1 for a level that opens and -1 for one that closes."""
    return all(depth <= DEPTH_LIMIT for depth in accumulate(steps))


def _prepared(source: str) -> str:
    r"""Replace commands that the converter does not know."""
    source = _REFERENCE.sub(r"\\text{(\1)}", _LABEL.sub("", source))
    source = _NUMBERED.sub(r"\\\1{\2*}", source)
    source = source.replace("{split}", "{aligned}")
    source = _EQUATIONS.sub(lambda match: r"\begin{array}{rcl}" if match[1] == "begin" else r"\end{array}", source)
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
    declarations = (re.sub(r"\s*:\s*", ":", declaration.strip()) for declaration in style[1].split(";"))
    return f'class="{" ".join(_CLASSES[d] for d in declarations if d in _CLASSES)}"'
