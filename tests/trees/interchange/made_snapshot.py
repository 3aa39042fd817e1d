"""A snapshot folder made by hand: rows as Parquet, a manifest, figures, and the data card. Also a program:
`python -m tests.trees.interchange.made_snapshot` prints the digest of the card.
"""

import json
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

import django
import pyarrow
from pyarrow import parquet

if __name__ == "__main__":
    django.setup()

from oasst.core.json_lines import read_lines
from tests.paths import SAMPLE
from tests.trees.interchange.made_trees import node, ranking, review, tree
from tests.trees.interchange.record_from_line import record_from_line
from trees.interchange.data_card import card_files
from trees.interchange.figures import Figures
from trees.interchange.flat import DETOXIFY, Type
from trees.interchange.forms import FORMS
from trees.interchange.tree_record import SPLITS, TreeRecord

MACHINE_READING: dict[str, Any] = {
    "topics": {
        "topics": [{"lang": "en", "name": "bread, oven", "prompts": 31}, {"lang": "de", "name": "other", "prompts": 4}],
        "unknown": 25,
    },
    "near_duplicates": {
        "prompts": {"compared": 50, "near_duplicates": 7, "unknown": 10},
        "replies": {"compared": 180, "near_duplicates": 0, "unknown": 0},
    },
}
"""What a manifest has where machines read the texts."""


def small_collection() -> list[TreeRecord]:
    """Judged trees in several languages and splits, with everything that a card can show."""
    records = []
    for number in range(60):
        lang = ["en", "de", "pt-BR"][number % 3]
        names = [f"{lang} {number} {reply}" for reply in "ABC"]
        facts: dict[str, Any] = {"lang": lang, "created_date": f"2026-0{1 + number % 4}-01T00:00:00.000000+00:00"}
        labels = {"name": ["quality", "spam"], "value": [number % 5 / 4, 0.0], "count": [2, 2]}
        scores = dict.fromkeys(DETOXIFY, number / 60)
        replies = [node(name, rank=rank, labels=labels, detoxify=scores, **facts) for rank, name in enumerate(names)]
        given = [
            review(name, person, quality=(number + place) % 5 / 4, spam=float(place + number % 7 == 0))
            for name in names
            for place, person in enumerate(("bob", "carol"))
        ]
        orders = [ranking(f"{number}", *names), ranking(f"{number}", names[1], names[0], names[2], person="Dan")]
        prompt = node(f"{number}", *replies, text=f"Prompt {number % 50}", **facts)
        basis = "license MIT" if number % 10 == 0 else "terms 2"
        prompt["basis"] = basis
        records.append(tree(prompt, rankings=orders, reviews=given))
    return sorted(records, key=lambda record: record.id)


def sample() -> list[TreeRecord]:
    lines = map(json.loads, read_lines(SAMPLE))
    return [record_from_line(line, basis="license Apache-2.0") for line in lines]


def figures_of(records: Iterable[TreeRecord]) -> dict[str, Any]:
    figures = Figures()
    for record in records:
        figures.add(record)
    result: dict[str, Any] = json.loads(json.dumps(figures.result(), sort_keys=True))  # as a program would store it
    return result


def manifest_of(records: Iterable[TreeRecord], folder: Path | None = None, **other: Any) -> dict[str, Any]:
    """Return a manifest, after writing the tables into `folder`."""
    rows = {form.name: {split: list[Any]() for split in SPLITS} for form in FORMS}
    for record in records:
        for form in FORMS:
            rows[form.name][record.split].extend(form.rows(record))
    files = {}
    for form in FORMS:
        for split in SPLITS:
            path = f"data/{form.name}/{split}.parquet"
            files[path] = {"bytes": 1234, "sha256": sha256(path.encode()).hexdigest()}
            if folder is not None:
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                table = pyarrow.Table.from_pylist(rows[form.name][split], schema=_schema(form.columns))
                parquet.write_table(table, folder / path)
                files[path]["sha256"] = sha256((folder / path).read_bytes()).hexdigest()
    for split in SPLITS:
        files[f"trees/{split}.jsonl.zst"] = {"bytes": 12, "sha256": sha256(split.encode()).hexdigest()}
    return {
        "name": "2026.1",
        "format_version": 1,
        "cutoff": "2026-06-30T12:00:00+00:00",
        "filters": {"state": "ready_for_export", "lang": None, "include_rejected": False, "include_synthetic": False},
        "source_sha256": sha256(b"trees").hexdigest(),
        "counts": {
            "rows": {name: {split: len(found) for split, found in splits.items()} for name, splits in rows.items()},
            "withdrawn": 3,
        },
        "left_out": {"trees": {"rejected": 4}, "messages": {"withdrawn": 2, "some_new_reason": 1}},
        "files": dict(sorted(files.items())),
        **other,
    }


def _schema(columns: dict[str, Type]) -> pyarrow.Schema:
    return pyarrow.schema([(name, _type(kind)) for name, kind in columns.items()])


def _type(kind: Type) -> Any:
    if isinstance(kind, dict):
        return pyarrow.struct([(name, _type(part)) for name, part in kind.items()])
    if isinstance(kind, list):
        return pyarrow.list_(_type(kind[0]))
    return {"string": pyarrow.string(), "bool": pyarrow.bool_(), "int32": pyarrow.int32()}.get(kind, pyarrow.float64())


def digest(files: dict[str, bytes]) -> str:
    return sha256(b"".join(path.encode() + sha256(content).digest() for path, content in files.items())).hexdigest()


if __name__ == "__main__":
    records = small_collection()
    print(digest(card_files(manifest_of(records, **MACHINE_READING), figures_of(records))))  # noqa: T201
