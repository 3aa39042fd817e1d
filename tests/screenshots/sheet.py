"""The contact sheet: index.html beside the pictures, which opens from the disk."""

from collections.abc import Sequence
from html import escape
from itertools import groupby
from pathlib import Path

from tests.screenshots.walk import Shot

_STYLE = """
body { margin: 2rem; font: 1rem/1.5 system-ui, sans-serif; color-scheme: light dark; }
section { margin-block: 2rem; border-block-start: 1px solid #8886; }
.row { display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-start; }
figure { margin: 0; } img { border: 1px solid #8886; max-height: 24rem; max-width: 22rem; object-fit: contain; }
.fault { color: light-dark(#a3241b, #ffb0a6); }
"""


def write(folder: Path, shots: Sequence[Shot], none: Sequence[str]) -> Path:
    """Write the sheet and return its path."""
    by_page = [(stop, list(group)) for stop, group in groupby(shots, key=lambda shot: shot.stop)]
    faulty = sum(bool(shot.serious) for shot in shots)
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><title>Screenshots</title>",
        f"<style>{_STYLE}</style><h1>Screenshots</h1>",
        f"<p>{len(by_page)} pages, {len(shots)} pictures, {faulty} of them with faults.</p>",
        *(_section(stop.path, stop.role, group) for stop, group in by_page),
        f"<details><summary>{len(none)} addresses without a page</summary><ul>",
        *(f"<li>{escape(one)}</li>" for one in none),
        "</ul></details></html>",
    ]
    index = folder / "index.html"
    index.write_text("\n".join(parts))
    return index


def _section(path: str, role: str, shots: Sequence[Shot]) -> str:
    figures = "".join(
        f'<figure><a href="{shot.file}"><img loading="lazy" src="{shot.file}" alt=""></a>'
        f"<figcaption>{shot.width} px, {shot.theme}"
        + "".join(f'<div class="fault">{escape(fault)}</div>' for fault in shot.faults)
        + "</figcaption></figure>"
        for shot in shots
    )
    return f'<section><h2>{escape(path)} <small>({role})</small></h2><div class="row">{figures}</div></section>'
