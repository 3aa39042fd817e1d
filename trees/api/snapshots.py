"""Published snapshots of the data set: what they hold, and where their files are."""

from typing import Any

from rest_framework import serializers

from oasst.api.fields import DateTimeField, IntegerField, Schema, TextField
from oasst.api.operations import Access, Call, Operation, operation
from trees.interchange.snapshots.published import files_of, get_published, published_snapshots
from trees.models import Snapshot
from trees.snapshot_pages import file_url, page_url, summary_of

OPERATIONS: list[Operation] = []


class PublishedSnapshot(Schema):
    name = TextField()
    url = TextField(help_text="Of its page, as it is cited.")
    cutoff = DateTimeField(help_text="Contributions from this moment on are not in it.")
    published_at = DateTimeField()
    licenses = serializers.ListField(child=TextField(), help_text="SPDX names.")
    trees = IntegerField()
    messages = IntegerField()
    reviews = IntegerField(help_text="Those that it has one by one; a file may bring only their number.")
    rankings = IntegerField(help_text="Those that it has one by one.")
    languages = serializers.DictField(child=IntegerField(), help_text="Messages by language tag.")
    bytes = IntegerField(help_text="Of all files.")
    source_sha256 = TextField(help_text="Of the frozen trees.")


class SnapshotFile(Schema):
    path = TextField()
    bytes = IntegerField()
    sha256 = TextField(help_text="Also the ETag of the download.")
    url = TextField(help_text="Open to everybody, also for parts (`Range`). May redirect.")


class PublishedSnapshotWithFiles(PublishedSnapshot):
    citation = TextField()
    bibtex = TextField()
    files = SnapshotFile(many=True)


@operation(OPERATIONS, "GET", "snapshots", Access.KEY, answer=[PublishedSnapshot])
def list_snapshots(call: Call) -> Any:
    """The snapshots that everybody may download, newest data first."""
    return [_facts(snapshot) for snapshot in published_snapshots()]


@operation(
    OPERATIONS,
    "GET",
    "snapshots/<name>",
    Access.KEY,
    answer=PublishedSnapshotWithFiles,
    unnumbered_statuses=(404, 410),
)
def get_snapshot(call: Call) -> Any:
    """A snapshot with its files and how to cite it."""
    snapshot = get_published(call.path["name"])
    summary = summary_of(snapshot)
    files = [
        {"path": file.path, "bytes": file.bytes, "sha256": file.sha256, "url": file_url(snapshot.name, file.path)}
        for file in files_of(snapshot.manifest).values()
    ]
    return {**_facts(snapshot), "citation": summary.citation, "bibtex": summary.bibtex, "files": files}


def _facts(snapshot: Snapshot) -> dict[str, Any]:
    summary = summary_of(snapshot)
    return {
        "name": snapshot.name,
        "url": page_url(snapshot.name),
        "cutoff": snapshot.cutoff,
        "published_at": snapshot.published_at,
        "licenses": summary.licenses,
        "trees": summary.trees,
        "messages": summary.messages,
        "reviews": summary.reviews,
        "rankings": summary.rankings,
        "languages": snapshot.counts.get("languages", {}),
        "bytes": snapshot.published_bytes,
        "source_sha256": snapshot.source_sha256,
    }
