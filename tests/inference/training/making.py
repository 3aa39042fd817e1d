"""Snapshot folders with a few conversations about colors, in which the better answer is always the same word."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import zstandard

from inference.training.snapshot import SnapshotFolder, open_snapshot

COLORS = ("red", "blue", "green", "black", "white", "brown")
GOOD, BAD = "Yes, it is fine.", "no no no no"
Row = dict[str, Any]


def chat(*texts: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[number % 2], "content": text} for number, text in enumerate(texts)]


def ask(number: int) -> str:
    return f"Is {COLORS[number % len(COLORS)]} number {number} fine?"


def thread(number: int, *texts: str, lang: str = "en", top_k: int | None = 1) -> Row:
    texts = texts or (ask(number), GOOD)
    ids = [f"{number}-{place}" for place in range(len(texts))]
    return {"message_tree_id": str(number), "lang": lang, "messages": chat(*texts), "message_ids": ids, "top_k": top_k}


def pair(number: int, *, share: float | None = None, near_tie: bool = False, lang: str = "en") -> Row:
    return {
        "message_tree_id": str(number),
        "lang": lang,
        "prompt": chat(ask(number)),
        "chosen": [{"role": "assistant", "content": GOOD}],
        "rejected": [{"role": "assistant", "content": BAD}],
        "preference_share": share,
        "near_tie": near_tie,
    }


def ranking(number: int, *answers: str, lang: str = "en") -> Row:
    replies = [{"content": text, "rank": rank} for rank, text in enumerate(answers or (GOOD, "Maybe.", BAD))]
    return {"message_tree_id": str(number), "lang": lang, "prompt": chat(ask(number)), "replies": replies}


def judged(number: int, *, good: bool, lang: str = "en") -> Row:
    answer = [{"role": "assistant", "content": GOOD if good else BAD}]
    return {"lang": lang, "prompt": chat(ask(number)), "completion": answer, "label": good}


def prompt(number: int, lang: str = "en") -> Row:
    return {"message_tree_id": str(number), "lang": lang, "prompt": chat(ask(number))}


def rows_of_all_forms(train: int = 24, validation: int = 4) -> dict[str, dict[str, list[Row]]]:
    parts = {"train": range(train), "validation": range(train, train + validation)}
    return {
        "threads": {split: [thread(one) for one in numbers] for split, numbers in parts.items()},
        "pairs": {split: [pair(one) for one in numbers] for split, numbers in parts.items()},
        "rankings": {split: [ranking(one) for one in numbers] for split, numbers in parts.items()},
        "kto": {split: [judged(one, good=one % 2 == 0) for one in numbers] for split, numbers in parts.items()},
        "prompts": {split: [prompt(one) for one in numbers] for split, numbers in parts.items()},
    }


def write_snapshot(folder: Path, rows: Mapping[str, Mapping[str, Iterable[Row]]]) -> SnapshotFolder:
    """Write a folder with rows by form and part; all others are empty."""
    files = {}
    for form in ("threads", "pairs", "rankings", "kto", "prompts"):
        for split in ("train", "validation", "test"):
            name = f"data/{form}/{split}.jsonl.zst"
            lines = "".join(json.dumps(row) + "\n" for row in rows.get(form, {}).get(split, ()))
            content = zstandard.compress(lines.encode())
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
            files[name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (folder / "manifest.json").write_text(json.dumps({"files": files}))
    return open_snapshot(folder)
