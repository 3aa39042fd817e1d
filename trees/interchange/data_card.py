"""The files that explain a snapshot: data card, page, plots, license, citation, Croissant metadata. Pure.

Everything follows from the manifest and the figures: the same input gives the same bytes, on every machine.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from trees.interchange.card.croissant import croissant
from trees.interchange.card.metadata import abstract, citation, front_matter, license_text, notice
from trees.interchange.card.page import page
from trees.interchange.card.plots import draw
from trees.interchange.card.published import Published
from trees.interchange.card.sections import Details, Section, sections
from trees.interchange.card.svg import Chart
from trees.interchange.card.words import plain


def card_files(manifest: Mapping[str, Any], figures: Mapping[str, Any]) -> dict[str, bytes]:
    """Return path → content of all files about the data, by their names.

    `manifest` is that of the snapshot with the files of data in it; `figures` is the result of `Figures`.
    """
    published = Published(manifest)
    plots = draw(published, figures)
    parts = sections(published, figures, plots)
    texts = {
        "README.md": front_matter(published, figures) + _markdown(published, figures, parts),
        "card.html": page(published, figures, parts),
        "CITATION.cff": citation(published, figures),
        "LICENSE": license_text(published, figures),
        "NOTICE": notice(figures),
        "croissant.json": json.dumps(croissant(published, figures), ensure_ascii=False, indent=2) + "\n",
    }
    files = {path: text.encode() for path, text in texts.items() if text is not None}
    files |= {f"plots/{name}.svg": chart.file() for name, chart in plots.items()}
    return dict(sorted(files.items()))


def _markdown(published: Published, figures: Mapping[str, Any], parts: Sequence[Section]) -> str:
    """Return the data card below its front matter."""
    lines = [f"# {plain(published.title)}", "", plain(abstract(published, figures)), ""]
    for part in parts:
        lines += [f"## {part.title}", ""]
        for block in part.blocks:
            lines += [_block(block), ""]
    return "\n".join(lines)


def _block(block: str | Chart | Details) -> str:
    if isinstance(block, Chart):
        return f"![{plain(f'{block.title}: {block.summary}')}](plots/{block.name}.svg)"
    if isinstance(block, Details):
        about = f"{block.about}\n\n" if block.about else ""
        return f"### {block.title}\n\n{about}{block.markdown}"
    return block
