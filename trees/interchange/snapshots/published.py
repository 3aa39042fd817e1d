"""What everybody may see of the snapshots: those that are published, and their files."""

from dataclasses import dataclass
from hashlib import sha256

from django.db.models import QuerySet

from oasst.core.errors import Gone, NotFound
from trees.interchange.card import words
from trees.interchange.snapshots.manifest import MANIFEST, SUMS, Manifest, manifest_bytes, sums_bytes
from trees.models import Snapshot

_TYPES = {
    ".cff": "application/yaml",
    ".css": "text/css",
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".jsonl": "application/x-ndjson",
    ".md": "text/markdown; charset=utf-8",
    ".parquet": "application/vnd.apache.parquet",
    ".svg": "image/svg+xml",
    ".zst": "application/zstd",
}
_TEXT = "text/plain; charset=utf-8"
_SHOWN = (".html", ".json", ".md", ".svg")


@dataclass(frozen=True)
class PublishedFile:
    path: str
    bytes: int
    sha256: str

    @property
    def size(self) -> str:
        return words.size(self.bytes)

    @property
    def content_type(self) -> str:
        return _TYPES.get(self._suffix, "application/octet-stream" if self._suffix else _TEXT)

    @property
    def is_shown(self) -> bool:
        """True if a browser shows it; it saves the others."""
        return self._suffix in _SHOWN or not self._suffix

    @property
    def _suffix(self) -> str:
        name = self.path.rpartition("/")[2]
        return name[name.rindex(".") :] if "." in name else ""

    def saved_as(self, snapshot: str) -> str:
        """Return a name that still tells what it is in a folder with downloads from elsewhere."""
        return f"{snapshot}-{self.path.replace('/', '-')}"


def files_of(manifest: Manifest) -> dict[str, PublishedFile]:
    """Return all files of a snapshot by path, the manifest last: where it is, the others are too."""
    files = {path: PublishedFile(path, facts["bytes"], facts["sha256"]) for path, facts in manifest["files"].items()}
    for path, content in ((SUMS, sums_bytes(manifest)), (MANIFEST, manifest_bytes(manifest))):
        files[path] = PublishedFile(path, len(content), sha256(content).hexdigest())
    return files


def published_snapshots() -> QuerySet[Snapshot]:
    """Return those that everybody may download, newest data first, without their lists of files. One statement."""
    rows = Snapshot.objects.filter(published_at__isnull=False, state=Snapshot.State.FROZEN)
    return rows.order_by("-cutoff", "-pk").defer("manifest", "withdrawn", "card")


def get_published(name: str) -> Snapshot:
    """Return what everybody may download. One statement.

    Raise NotFound, and Gone with the reason if it was published and then retracted.
    """
    snapshot = Snapshot.objects.filter(name=name, published_at__isnull=False).defer("withdrawn", "card").first()
    if snapshot is None:
        raise NotFound("No snapshot of this name is published.", code="no_snapshot")
    if not snapshot.is_offered:
        raise Gone(
            f"The snapshot {snapshot.name} was retracted on {snapshot.retracted_at:%Y-%m-%d}: "
            f"{snapshot.retract_reason}",
            code="snapshot_retracted",
            hint="Other snapshots are listed at /data/.",
        )
    return snapshot


def get_published_file(name: str, path: str) -> PublishedFile:
    """Return a file of a published snapshot. One statement. Raise NotFound, Gone."""
    file = files_of(get_published(name).manifest).get(path)
    if file is None:
        raise NotFound("This snapshot has no such file.", code="no_snapshot_file")
    return file
