"""Read a snapshot folder: the only data that a model is trained on."""

import hashlib
import io
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import zstandard

from inference.training.errors import TrainingError

Split = Literal["train", "validation", "test"]
Row = dict[str, Any]


@dataclass(frozen=True)
class SnapshotFolder:
    path: Path
    digest: str
    """SHA-256 of the manifest, which has the digests of all files."""
    manifest: dict[str, Any]

    def rows(self, form: str, split: Split, langs: Collection[str] = ()) -> Iterator[Row]:
        """Yield the rows of a form, of these languages or of all. Raise TrainingError (`changed`)."""
        name = f"data/{form}/{split}.jsonl.zst"
        with self._checked(name).open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
            for line in io.TextIOWrapper(stream, encoding="utf-8"):
                row = json.loads(line)
                if not langs or row["lang"] in langs:
                    yield row

    def has(self, form: str, split: Split) -> bool:
        """Return whether the snapshot has this form; those of earlier releases lack some."""
        return f"data/{form}/{split}.jsonl.zst" in self.manifest["files"]

    def _checked(self, name: str) -> Path:
        facts, path = self.manifest["files"].get(name), self.path / name
        if facts is None or not path.is_file():
            raise TrainingError(f"{path} is missing: write the snapshot again.", code="changed")
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != facts["sha256"]:
                raise TrainingError(f"{path} is not as the manifest says: write the snapshot again.", code="changed")
        return path


def open_snapshot(path: Path) -> SnapshotFolder:
    """Raise TrainingError (`no_snapshot`) if this is no folder that `./manage.py snapshot_create` made."""
    try:
        content = (path / "manifest.json").read_bytes()
        manifest = json.loads(content)
        manifest["files"].items()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TrainingError(f"{path} is no folder of a snapshot: {error}", code="no_snapshot") from error
    return SnapshotFolder(path, hashlib.sha256(content).hexdigest(), manifest)
