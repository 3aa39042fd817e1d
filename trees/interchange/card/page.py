"""The data card as one page that needs nothing else: no script, no font, no image from elsewhere. Pure.

It follows the system into light or dark, works with a keyboard and on a phone, and prints.
"""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

from trees.interchange.card.emblem import emblem
from trees.interchange.card.metadata import abstract, licenses
from trees.interchange.card.published import Published
from trees.interchange.card.sections import Block, Details, Section
from trees.interchange.card.svg import STYLE, Chart
from trees.interchange.card.words import day_in_words, number
from trees.interchange.figures_of_people import UNKNOWN

PAGE_STYLE = Path(__file__).with_name("page.css").read_text(encoding="utf-8")

_markdown = MarkdownIt("commonmark", {"html": False}).enable("table")


def page(published: Published, figures: Mapping[str, Any], parts: Sequence[Section]) -> str:
    title = escape(published.title)
    links = "\n".join(f'<li><a href="#{part.id}">{escape(part.title)}</a></li>' for part in parts)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="description" content="{escape(abstract(published, figures))}">
<title>{title}</title>
<style>
{PAGE_STYLE}{STYLE}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<header>
<div class="inside">
{emblem(published.manifest["source_sha256"])}
<p class="kind">Data set · snapshot {escape(published.name)} · frozen {day_in_words(published.date)}</p>
<h1>{title}</h1>
<p class="lead">{escape(abstract(published, figures))}</p>
<dl class="numbers">
{_numbers(figures)}
</dl>
<p class="terms">License: {escape(", ".join(licenses(figures)))}</p>
</div>
</header>
<div class="inside columns">
<nav aria-label="Sections"><ul>
{links}
</ul></nav>
<main id="main">
{"".join(_section(part) for part in parts)}</main>
</div>
<footer><div class="inside">
<p>SHA-256 of the frozen trees: <code>{escape(published.manifest["source_sha256"])}</code></p>
</div></footer>
</body>
</html>
"""


def _numbers(figures: Mapping[str, Any]) -> str:
    trees, messages, people = figures["trees"], figures["messages"], figures["contributors"]["people"]
    languages = len(messages["by_lang"].keys() - {UNKNOWN})
    shown = [
        ("Trees", trees["total"]),
        ("Messages", messages["total"]),
        ("Languages", languages),
        ("People", people or None),
        # A file may have ranks without the rankings that they come from, and counts without the reviews.
        ("Reviews that decided", messages["reviews"]),
        ("Single reviews", trees["reviews"]),
        ("Single rankings", trees["rankings"]),
    ]
    return "\n".join(f"<div><dt>{name}</dt><dd>{number(value)}</dd></div>" for name, value in shown)


def _section(part: Section) -> str:
    blocks = "".join(_blocks(part))
    return f'<section aria-labelledby="{part.id}">\n<h2 id="{part.id}">{escape(part.title)}</h2>\n{blocks}</section>\n'


def _blocks(part: Section) -> Iterator[str]:
    """Yield the blocks; plots that follow each other share a grid."""
    for kind, group in groupby(part.blocks, key=type):
        if kind is Chart:
            figures = "".join(_figure(block) for block in group if isinstance(block, Chart))
            yield f'<div class="plots">\n{figures}</div>\n'
        else:
            yield from (_block(block, part) for block in group)


def _figure(chart: Chart) -> str:
    return f"<figure>\n<figcaption>{escape(chart.title)}</figcaption>\n{chart.inline()}\n</figure>\n"


def _block(block: Block, part: Section) -> str:
    if isinstance(block, Details):
        about = f" <span>{escape(block.about)}</span>" if block.about else ""
        summary = f"<summary>{escape(block.title)}{about}</summary>"
        return f"<details>\n{summary}\n{_html(block.markdown, block.title)}</details>\n"
    return _html(str(block), part.title)


def _html(markdown: str, name: str) -> str:
    """Return safe HTML. What may be wider than a phone scrolls by itself, also by keyboard."""
    html: str = _markdown.render(markdown)
    start = f'<div class="scroll" tabindex="0" role="group" aria-label="{escape(name)}, {{}}">'
    html = html.replace("<table>", start.format("table") + "<table>").replace("</table>", "</table></div>")
    return html.replace("<pre>", start.format("code") + "<pre>").replace("</pre>", "</pre></div>")
