r"""Formulas: rendered on the server within limits, else shown as source."""

import re
import subprocess
import sys

import pytest

from oasst.core.markdown import latex
from oasst.core.markdown.latex import FormulaBudget, to_mathml
from oasst.core.markdown.rendering import render

# Each runs in a thread with 2 MB of stack, a quarter of that of a server thread.
_IN_A_SMALL_STACK = """
import sys, threading
from oasst.core.markdown import latex
latex.DEPTH_LIMIT = 10**6  # only the length stands between a text and the stack
def convert():
    for before, after in eval(sys.stdin.read()):
        number = latex.FORMULA_LIMIT // len(before + after)
        latex.to_mathml(before * number + "x" + after * number, display=True)
    print("done")
threading.stack_size(2 * 1024 * 1024 + 64 * 1024)
thread = threading.Thread(target=convert)
thread.start()
thread.join()
"""
NESTED = [
    *(("{", "}"), ("{", ""), (r"\hat ", ""), (r"\sqrt ", ""), (r"\frac1 ", ""), (r"\frac{}", ""), ("x^{", "}")),
    *((r"\left(", r"\right)"), (r"\begin{matrix}", r"\end{matrix}"), (r"\mathop{", "}"), (r"\phantom{", "}")),
    *(
        (r"\mathbf{", "}"),
        (r"\not", ""),
        (r"\cancel{", "}"),
        (r"\sin ", ""),
        ("'", ""),
        (r"\text{", "}"),
        (r"\over", ""),
    ),
]


class TestSyntax:
    @pytest.mark.parametrize(
        "text", [r"so \(a_n\) is", r"so \( a_n \) is", r"**\(a_n\)**", "- \\(a_n\\)", "# \\(a_n\\)"]
    )
    def test_in_a_line(self, text: str) -> None:
        html = render(text)
        assert "<math><semantics><mrow><msub><mi>a</mi><mi>n</mi></msub></mrow>" in html
        assert '<annotation encoding="application/x-tex">a_n</annotation>' in html

    @pytest.mark.parametrize(
        "text",
        [
            *(
                r"\[x\]",
                "$$x$$",
                "\\[\nx\n\\]",
                "$$\nx\n$$",
                "before\n\\[\nx\n\\]\nafter",
                "> $$\n> x\n> $$",
                "1. \\[\n   x\n   \\]",
            ),
            *("so $$x$$ and", r"so \[x\] and", "| \\[x\\] |\n|---|"),
        ],
    )
    def test_displayed(self, text: str) -> None:
        assert '<math display="block"><semantics><mrow><mi>x</mi></mrow>' in render(text)

    def test_over_several_lines_nothing_of_it_is_markdown(self) -> None:
        html = render("\\[\na_1 * b_1 \\\\\n- c * d_2\n+ e\n> f\n\\]")
        assert html.count("<math") == 1
        assert not re.search("<em|<li|<h1|<br", html)
        assert "a_1 * b_1 \\\\\n- c * d_2\n+ e\n&gt; f</annotation>" in html

    def test_lines_of_a_formula_stay_lines(self) -> None:
        assert render(r"\[a \\ b\]").count("<mtr>") == 2
        assert render("\\begin{align}\na &= b \\\\\n&= c\n\\end{align}").count("<mtr>") == 2

    def test_a_displayed_formula_scrolls_in_its_own_box_and_can_be_copied(self) -> None:
        html = render("$$x$$")
        assert '<div class="formula formula--block" dir="ltr" title="$$x$$" tabindex="0" role="group"' in html

    @pytest.mark.parametrize(
        "text",
        [
            *(
                r"`\(x\)`",
                "```\n\\[x\\]\n$$x$$\n```",
                "    $$x$$",
                "costs $5 or $10",
                "costs $$ and $$$",
                "$x$",
                "$$ $$",
            ),
            *(
                r"\[citation needed\]",
                r"\[text\](https://example.org)",
                r"\( unclosed",
                "$$\nx\n\ny\n$$",
                r"echo $$ done",
            ),
        ],
    )
    def test_what_is_none(self, text: str) -> None:
        assert "<math" not in render(text)
        assert "formula" not in render(text)


class TestMistakes:
    @pytest.mark.parametrize(
        "source", [r"\foo", r"\frac{1", "a & b", r"\begin{nothing}x\end{nothing}", "x" * 2001, "{" * 99 + "}" * 99]
    )
    def test_they_are_shown_as_source(self, source: str) -> None:
        assert to_mathml(source, display=True) is None
        html = render(f"$$\n{source}\n$$")
        assert "<math" not in html
        assert source.replace("&", "&amp;") in html

    def test_in_a_line_too(self) -> None:
        assert (
            render(r"so \(\foo<b>\)")
            == '<p dir="auto">so <code class="formula-source" dir="ltr">\\(\\foo&lt;b&gt;\\)</code></p>\n'
        )


class TestRealFormulas:
    @pytest.mark.parametrize(
        "source",
        [
            *(r"E=mc^2", r"\frac{-b \pm \sqrt{b^2-4ac}}{2a}", r"\sum_{n=1}^{\infty} \frac{1}{n^2}=\frac{\pi^2}{6}"),
            *(r"\int_0^1 x^2\,dx", r"\begin{pmatrix} a & b \\ c & d \end{pmatrix}", r"E=mc^2 \tag{1}"),
            *(r"\begin{cases} x & x>0 \\ -x & \text{otherwise}\end{cases}", r"\sum_{\substack{i<n \\ j<m}} x"),
            *(r"\nabla\times\mathbf{E}=-\frac{\partial \mathbf{B}}{\partial t}", r"\widetilde{x} + \widehat{y}"),
            *(
                r"\text{if $x>0$ then } y",
                r"\operatorname{softmax}(x)_i",
                r"\mbox{Größe } \alpha",
                r"\begin{split}a&=b\end{split}",
            ),
            *(r"\lim_{x\to 0}\frac{\sin x}{x}", r"\left\lVert x \right\rVert", r"\begin{eqnarray}a&=&b\end{eqnarray}"),
            *(
                r"\begin{array}{c|c} a & b \\ \hline c & d\end{array}",
                r"\underbrace{a+b}_{n}",
                r"x \in \mathbb{R}, π ≈ 3",
            ),
            *(r"\boxed{42}", r"P(A\mid B)", r"\binom{n}{k}", r"90^\circ", r"\label{eq:a} a = b"),
        ],
    )
    def test_it_is_typeset(self, source: str) -> None:
        mathml = to_mathml(source, display=True)
        assert mathml is not None
        assert "merror" not in mathml
        assert "style=" not in re.sub("<annotation.*", "", mathml).replace("displaystyle=", "")

    def test_equations_get_no_numbers_that_nobody_wrote(self) -> None:
        assert "(1)" not in (to_mathml(r"\begin{align}a&=b\end{align}", display=True) or "")


class TestBounds:
    def test_no_formula_fills_the_stack(self) -> None:
        done = subprocess.run(
            [sys.executable, "-c", _IN_A_SMALL_STACK], input=repr(NESTED), capture_output=True, text=True, timeout=60
        )
        assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr

    @pytest.mark.parametrize(
        "source",
        [
            *(r"\newcommand{\a}{\a\a}\a", r"\def\a#1{#1#1}\a{x}", r"\let\a\b", r"\DeclareMathOperator{\a}{a}"),
            *(
                "{" * 70 + "}" * 70,
                r"\hat" * 80 + " x",
                r"\hat" * 300 + " x",
                r"\begin{matrix}" * 70 + r"\end{matrix}" * 70,
            ),
        ],
    )
    def test_definitions_and_deep_ones_are_left_as_source(self, source: str) -> None:
        assert to_mathml(source, display=True) is None

    def test_a_text_has_a_budget_for_all_of_its_formulas(self) -> None:
        formulas = FormulaBudget()
        made = [formulas.convert("x" * 1000, display=False) for _ in range(12)]
        assert [bool(one) for one in made] == [True] * 10 + [False] * 2

    def test_the_number_of_formulas_is_bounded(self) -> None:
        assert render(r"\(x\) " * 2000).count("<math") == 500

    def test_the_output_of_a_text_is_bounded(self) -> None:
        assert len(render("\n\n".join(["$$" + "'" * 1990 + "$$"] * 9))) < latex.OUTPUT_LIMIT + 50_000
