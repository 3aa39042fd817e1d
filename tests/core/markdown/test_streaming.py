"""Growing Markdown: in the end the same HTML as the whole text, and finished blocks never change."""

import html
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from unittest import mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from oasst.core.markdown import rendering
from oasst.core.markdown.streaming import MarkdownStream, close_marks, render_unfinished
from tests.core.markdown.test_rendering import HOSTILE, MIXED, assert_harmless
from tests.paths import SAMPLE

ANSWER = """# Bread

Some **bold flour** and *water*, `salt --fine`, ~~sugar~~ and [a link](https://example.org/a_b).
Another line of it.

1. **Mix**

   ```python
   def mix(flour):
       return flour
   ```
2. Wait
   - long
   - *very* long

```python
print("**not bold**")

class Oven:
    pass
```

| Step | Minutes |
|:-----|--------:|
| Knead | **10** |
| Bake | 40 |

Afterwards
==========

> Patience
> is all.

~~~~
```
a fence in a fence
```
~~~~

- [ ] eat
"""
SHORT = [
    "Heading\n---\n\ntext",
    "text\n- a\n- b\n\n- c\n\n  more\n\nend",
    "1. a\n\n\n2. b\n10. c",
    "a\n| b |\n|---|\n| c |\nd\n\ne",
    "    indented\n\n    code\n\ntext",
    "> a\nlazy\n\n> b\n\n1) c",
    "```\nnever closed\n\n# code",
    "  ```js\n  let a;\n  ```\nb",
    "````md\n```\ninner\n```\n````\nend",
    "~~~\na\r\nb\r\n~~~\r\nend\r\n",
    "- ```\n  code\n  ```\n\n  - ```py\n    x = 1\n",
    "***\n\n* * *\n_ _ _\n",
    "a  \nb\\\nc",
    "# a #\n## b\n\n\n\n",
    "\n\n \n first\n\n\t\ttabs",
    "a\0b\rc",
    MIXED,
    "So:\n\n$$\nx = a_1\n- b\n+ c\n$$\n\nand \\(y_1 * z\\).\n\n\\[\n1\n\\]\nend",
]
MARKS = st.text(alphabet="ab1.-*_`~#>|:[]() \n\t\\=!", max_size=60)
LINES = st.lists(
    st.sampled_from(
        ["- a", "  - b", "1. c", "> q", "|a|b|", "|-|-|", "```", "~~~", "text", "===", "---", "", "    code", "\t- x",
         "# h", "***", " ", "2) d", "  ```", "a\\"]
    ),
    max_size=14,
).map("\n".join)  # fmt: skip


class Shown:
    """A page that applies the patches."""

    def __init__(self) -> None:
        self.stream = MarkdownStream()
        self.blocks: list[str] = []
        self.code = ""
        self.final: list[str] = []

    def add(self, piece: str) -> None:
        self._apply(self.stream.add(piece))

    def finish(self, text: str) -> None:
        self._apply(self.stream.finish(text))

    def _apply(self, patch: Any) -> None:
        if patch is None:
            return
        if patch.code:
            assert not patch.html and patch.start == len(self.blocks)
            self.code += patch.code
            return
        self.blocks, self.code = self.blocks[: patch.start] + patch.html, ""
        assert self.blocks[: len(self.final)] == self.final, "a finished block changed"
        self.final = self.blocks[: patch.final]

    @property
    def html(self) -> str:
        return "".join(self.blocks)


def shown(pieces: Iterable[str]) -> Iterator[Shown]:
    """Yield the page after each chunk."""
    page = Shown()
    for piece in pieces:
        page.add(piece)
        yield page


def real_texts() -> list[str]:
    """The longest texts of people and assistants."""

    def walk(message: dict[str, Any]) -> Iterator[str]:
        yield message["text"]
        for reply in message.get("replies") or []:
            yield from walk(reply)

    lines = (SAMPLE).read_text().rstrip("\n").split("\n")
    texts = [text for line in lines for text in walk(json.loads(line)["prompt"])]
    return sorted(texts, key=len)[-60:-10]


class TestTheEnd:
    @pytest.mark.parametrize("text", [ANSWER, *SHORT])
    def test_it_is_the_html_of_the_whole_and_no_finished_block_changes(self, text: str) -> None:
        *_, page = shown(text)
        before = list(page.final)
        page.finish(text)
        assert page.html == rendering.render(text)
        assert page.blocks[: len(before)] == before

    def test_real_texts_in_pieces_as_models_send_them(self) -> None:
        for text in real_texts():
            *_, page = shown(text[at : at + 37] for at in range(0, len(text), 37))
            before = list(page.final)
            page.finish(text)
            assert page.html == rendering.render(text)
            assert page.blocks[: len(before)] == before

    @given(MARKS | LINES)
    @settings(max_examples=150, deadline=None, derandomize=True)
    @example("\\``1")
    def test_any_text_by_its_characters(self, text: str) -> None:
        page = Shown()
        for piece in text:
            page.add(piece)
        if "]:" in text:  # a definition may change earlier blocks
            page.final = []
        page.finish(text)
        assert page.html == rendering.render(text)

    def test_a_link_definition_at_the_end_reaches_what_stands_above(self) -> None:
        text = "See [the docs].\n\nMore.\n\n[the docs]: https://example.org/\n"
        *_, page = shown(text)
        assert "href" not in page.blocks[0]
        page.final.clear()  # only this changes a finished block
        page.finish(text)
        assert 'href="/leaving/?to=https://example.org/"' in page.blocks[0] and page.html == rendering.render(text)

    def test_definitions_are_known_to_what_comes_behind(self) -> None:
        text = "[a]: https://example.org/\n\nFirst.\n\nSee [a], and that is it."
        *_, page = shown(text)
        assert 'href="/leaving/?to=https://example.org/"' in page.html

    def test_a_text_that_is_too_long_is_shown_as_it_was_typed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(rendering, "MARKDOWN_LIMIT", 100)
        text = "a **b**\n\n" * 30
        page = Shown()
        for at in range(0, len(text), 10):
            page.final.clear()
            page.add(text[at : at + 10])
        assert len(page.blocks) == 1 and page.blocks[0].startswith('<pre class="plain"')
        assert page.blocks[0].removesuffix("</pre>") + page.code + "</pre>" == rendering.render(text)
        page.finish(text)
        assert page.html == rendering.render(text)


class TestOnTheWay:
    def test_no_marks_are_seen(self) -> None:
        prose = ANSWER.replace('print("**not bold**")\n', "")
        for page in shown(prose):
            visible = page.html + page.code
            assert not any(mark in visible for mark in ("**", "~~", "[a", "](", "`salt", "|:", "| Step", "==")), visible

    @pytest.mark.parametrize(
        ("words", "seen"),
        [
            ("some **bol", "some **bol**"),
            ("some **bold*", "some **bold**"),
            ("some **bold**", "some **bold**"),
            ("some **", "some "),
            ("***a** b", "***a** b*"),
            ("**a *b", "**a *b***"),
            ("*a `b*", "*a `b`*"),
            ("run `ls -", "run `ls -`"),
            ("``a ` b", "``a ` b``"),
            ("~~gon", "~~gon~~"),
            ("2 * 3", "2 * 3"),
            ("snake_case_name", "snake_case_name"),
            ("see [this pa", "see this pa"),
            ("see [this page](http://exa", "see this page"),
            ("a ![pictu", "a pictu"),
            ("[x](http://y) and", "[x](http://y) and"),
            ("\\*\\*not", "\\*\\*not"),
            ("no \\*", "no \\*"),
            ("so \\(a_n * b", "so "),
            ("so \\(a*b\\) is $$x*y$$ **go", "so \\(a*b\\) is $$x*y$$ **go**"),
            ("done **a** and `b` so", "done **a** and `b` so"),
            ("a lone ` stays" + " so" * 200, "a lone ` stays" + " so" * 200),
        ],
    )
    def test_marks_that_are_open_are_closed(self, words: str, seen: str) -> None:
        assert close_marks(words) == seen

    @pytest.mark.parametrize(
        "half",
        ["-", "1", "1.", "##", "> ", "```pyt", "| a | b", "| a |\n|--", "[x]: http://e", "$$\nx = a_1\n- b\n", "\\[ x",
         "\\begin{align}\n"],
    )  # fmt: skip
    def test_what_may_become_something_else_waits(self, half: str) -> None:
        assert render_unfinished(f"A line.\n\n{half}") == rendering.render("A line.")

    @pytest.mark.parametrize(
        ("line", "seen"),
        [
            ("$$ and more words", "$$ and more words"),
            ("\\begin{tikzpicture}", "\\begin{tikzpicture}"),
            ("\\[citation needed", "[citation needed"),
            ("\\(see the other page", "\\(see the other page"),
            ("\\item and more", "\\item and more"),
            ("It costs $$ and $$$", "It costs $$ and $$$"),
        ],
    )
    def test_what_is_no_formula_is_shown_as_it_comes(self, line: str, seen: str) -> None:
        assert seen in html.unescape(render_unfinished(f"A line.\n\n{line}"))
        typed = f"A line.\n\n{line}\n- of a list\nand so on"
        assert "of a list" in render_unfinished(typed) and "and so on" in render_unfinished(typed)
        *_, page = shown(typed)
        page.finish(typed)
        assert page.html == rendering.render(typed)

    def test_a_dash_below_a_line_makes_no_heading_of_it(self) -> None:
        assert "<h2>" not in render_unfinished("A line.\n-")

    def test_a_code_block_gets_its_color_when_it_closes(self) -> None:
        *_, page = shown(["```python\nprint(1)\n"])
        plain = rendering.render("```\nprint(1)\n```")
        assert page.html == plain and page.final == []
        page.add("``")
        assert page.html + page.code == plain
        page.add("`\n")
        assert page.final == [rendering.render("```python\nprint(1)\n```")]

    def test_an_open_code_block_is_appended_to(self) -> None:
        stream = MarkdownStream()
        stream.add("Look:\n\n```python\na = 1\n")
        patch = stream.add("b = '<b>'\n")
        assert patch is not None and (patch.html, patch.code, patch.start) == ([], "b = '<b>'\n", 2)
        assert stream.add("``") is None

    def test_code_in_a_list_is_colored_once(self) -> None:
        list_of_code = "- a\n  ```python\n  print(1)\n  ```\n"
        with mock.patch.object(rendering, "_lexer", wraps=rendering._lexer) as found:
            lexer = mock.Mock(wraps=rendering._lexer("python"))
            lexer.name = "Python"
            found.side_effect = lambda name: lexer
            for _ in shown([list_of_code, *"- some more words about it"]):
                pass
        assert lexer.get_tokens.call_count == 1


class TestCost:
    def test_finished_blocks_are_not_rendered_again(self) -> None:
        stream = MarkdownStream()
        seen = []
        render = rendering.clean
        with mock.patch.object(rendering, "clean", side_effect=lambda made: seen.append(len(made)) or render(made)):
            for number in range(100):
                stream.add(f"Paragraph {number} of an answer that is long.\n\n")
        assert sum(seen) < 100 * 60 * 3  # linear: each block is parsed when it arrives and when the next one does

    def test_long_code_is_not_read_again_with_each_line(self) -> None:
        with mock.patch.object(rendering, "clean", side_effect=rendering.clean) as clean:
            *_, page = shown(["```python\n", *["x = [1, 2, 3]\n"] * 700])
        assert clean.call_count == 1 and len(page.code) > 9_000

    @pytest.mark.parametrize(
        "text",
        ["`" * 9_000, "[" * 9_000, "*a " * 2_000, "> " * 4_000, " " * 9_000 + "x", "`a" * 4_000, "[a](" * 2_000,
         "[a]: b\n" * 1_000, "|a|\n" * 1_000, "```\n" * 2_000, "- a\n" * 1_000],
        ids=lambda text: text[:6].strip() or "spaces",
    )  # fmt: skip
    def test_a_hostile_text_costs_little_more_than_to_show_it_once(self, text: str) -> None:
        stream = MarkdownStream()
        stream.add(text[:-50])
        once = calls_of(lambda: rendering._render.__wrapped__(text))
        assert calls_of(lambda: stream.add(text[-50:])) < once * 3 + 2_000


def calls_of(work: Callable[[], object]) -> int:
    """Return how many functions `work` calls, a cost that is the same on every machine."""
    count = 0

    def tell(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += 1

    sys.setprofile(tell)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


class TestHarmless:
    @pytest.mark.parametrize("text", HOSTILE)
    def test_at_every_character(self, text: str) -> None:
        for page in shown(text):
            assert_harmless(page.html)
        page.finish(text)
        assert_harmless(page.html)
        assert page.html == rendering.render(text)

    def test_hostile_info_of_an_open_fence(self) -> None:
        assert_harmless(render_unfinished('```"><script>alert(1)</script>\n<script>alert(2)</script>'))

    def test_each_block_is_one_element(self) -> None:
        *_, page = shown([ANSWER])
        page.finish(ANSWER)
        for block in page.blocks:
            tag = block[1:].replace(">", " ").split()[0]
            assert block.rstrip().endswith((f"</{tag}>", f"<{tag}>"))
