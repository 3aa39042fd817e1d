"""The manifest of a snapshot folder, and the digests of its files. No database.

A manifest has nothing that differs when the snapshot is written again: no clock, host or path.
"""

import hashlib
import json
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from trees.interchange.forms import FORMS
from trees.interchange.tree_record import SPLITS

Manifest = dict[str, Any]

MANIFEST, SUMS, WITHDRAWN = "manifest.json", "SHA256SUMS", "withdrawn.jsonl"
REMOVED = "removed"
"""The reason in withdrawn.jsonl of what moderators removed."""
LIBRARIES = ("arro3-core", "arro3-io", "orjson", "zstandard")
"""What decides the bytes of the files, besides the code of the site."""


@dataclass(frozen=True)
class Part:
    """Rows of one form and one split, which two files hold."""

    form: str
    split: str

    @property
    def lines(self) -> str:
        return f"data/{self.form}/{self.split}.jsonl.zst"

    @property
    def table(self) -> str:
        return f"data/{self.form}/{self.split}.parquet"


PARTS = tuple(Part(form.name, split) for form in FORMS for split in SPLITS)


def trees_file(split: str) -> str:
    """Return the path of the frozen trees of a split."""
    return f"trees/{split}.jsonl.zst"


def library_versions() -> dict[str, str]:
    return {name: version(name) for name in LIBRARIES}


def file_facts(path: Path) -> dict[str, Any]:
    """Return size and SHA-256 of a file. Raise OSError."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}


def facts_of_files(folder: Path) -> dict[str, dict[str, Any]]:
    """Return size and SHA-256 of all files below, by path. Raise OSError."""
    files = sorted(path for path in folder.rglob("*") if not path.is_dir())
    return {path.relative_to(folder).as_posix(): file_facts(path) for path in files}


def manifest_bytes(manifest: Manifest) -> bytes:
    return (json.dumps(manifest, ensure_ascii=False, allow_nan=False, indent=2, sort_keys=True) + "\n").encode()


def sums_bytes(manifest: Manifest) -> bytes:
    """Return the digests of all files, in the format of `sha256sum --check`."""
    digests = {path: facts["sha256"] for path, facts in manifest["files"].items()}
    digests[MANIFEST] = hashlib.sha256(manifest_bytes(manifest)).hexdigest()
    return "".join(f"{digest}  {path}\n" for path, digest in sorted(digests.items())).encode()
