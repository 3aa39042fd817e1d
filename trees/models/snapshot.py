"""Snapshots of the data set: what was published under which name, and the frozen trees themselves."""

import re
from typing import Any

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone

from oasst.core.errors import Invalid

_NAME = re.compile(r"(?![-.])[A-Za-z0-9._-]{1,64}(?<!\.)")
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # Windows opens devices by these names
NAME_RULE = (
    "1 to 64 of these: letters A to Z, digits, dots, hyphens and underscores; it neither begins with a dot or hyphen "
    "nor ends with a dot"
)


def clean_name(name: str) -> str:
    """Return the name if every system takes it as the name of a folder. Raise Invalid."""
    if _NAME.fullmatch(name) is None or _DEVICES.fullmatch(name) is not None:
        raise Invalid(f"{name!r} cannot name a snapshot. A name such as 2026.1 has {NAME_RULE}.", code="snapshot_name")
    return name


class Snapshot(models.Model):
    """The data set as it was at one moment, to be cited by its name. Package: `trees.interchange.snapshots`."""

    class State(models.TextChoices):
        FROZEN = "frozen", "Frozen"
        RETRACTED = "retracted", "Retracted"

    name = models.CharField(max_length=64, unique=True, validators=[RegexValidator(_NAME)])
    state = models.CharField(max_length=16, choices=State.choices, default=State.FROZEN)
    format_version = models.PositiveIntegerField(help_text="Of the frozen trees and the folder.")
    cutoff = models.DateTimeField(help_text="Contributions from this moment on are left out.")
    filters = models.JSONField(default=dict, blank=True)
    counts = models.JSONField(default=dict, blank=True, help_text="What it has, and what was left out and why.")
    source_sha256 = models.CharField("source SHA-256", max_length=64, help_text="Of the frozen trees.")
    # JSON Lines compressed with zstd; on pages and in manifests only its length is shown.
    withdrawn = models.BinaryField(help_text="What earlier snapshots have and this one lacks because it was withdrawn.")
    # Another salt gives other pseudonyms: then neither withdrawn messages nor differences would be found.
    salt_digest = models.CharField(max_length=64, editable=False)
    # Frozen when it is written first, so that a later release does not change its words. JSON, compressed with zstd.
    card = models.BinaryField(default=bytes, blank=True, editable=False, help_text="The files about the data, by path.")
    site_url = models.CharField(max_length=500, blank=True, help_text="The site at that time, to be cited.")
    manifest = models.JSONField(default=dict, blank=True, help_text="Of the files, since they were written first.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    # Empty if it was made on the command line.
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    # Offered to everybody since then, unless it was retracted; empty if it is not.
    published_at = models.DateTimeField(null=True, blank=True)
    published_bytes = models.PositiveBigIntegerField(
        default=0, db_default=0, help_text="Of all files, when it was published last."
    )
    retracted_at = models.DateTimeField(null=True, blank=True)
    retract_reason = models.CharField(max_length=500, blank=True)

    class Meta:
        constraints = [
            # Some file systems ignore case.
            models.UniqueConstraint(Lower("name"), name="snapshot_name_once"),
            models.CheckConstraint(
                condition=models.Q(state="frozen", retracted_at=None)
                | models.Q(state="retracted", retracted_at__isnull=False),
                name="snapshot_retracted_whole",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_offered(self) -> bool:
        """True if everybody may download it."""
        return self.published_at is not None and self.state == self.State.FROZEN

    @property
    def libraries(self) -> dict[str, str]:
        """The versions of the libraries that wrote its files first; empty before."""
        found: dict[str, str] = self.manifest.get("libraries", {})
        return found

    @property
    def files(self) -> dict[str, dict[str, Any]]:
        """Size and SHA-256 of its files by path, since they were written first; empty before."""
        found: dict[str, dict[str, Any]] = self.manifest.get("files", {})
        return found


class SnapshotTree(models.Model):
    """One frozen tree (`TreeRecord`) with pseudonyms for all ids. Never changed, and read in the order of `tree_id`."""

    snapshot = models.ForeignKey(Snapshot, on_delete=models.CASCADE, related_name="trees", db_index=False)
    tree_id = models.UUIDField(help_text="The pseudonym.")
    content = models.BinaryField(help_text="Its canonical JSON, compressed with zstd.")
    sha256 = models.BinaryField(max_length=32, help_text="Of the canonical JSON.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["snapshot", "tree_id"], name="snapshot_tree_once"),
        ]
        indexes = [
            # Finds what earlier snapshots have of a tree.
            models.Index(fields=["tree_id"], name="snapshot_tree_by_id"),
        ]

    def __str__(self) -> str:
        return f"{self.tree_id} in {self.snapshot_id}"


class SnapshotChats(models.Model):
    """Some rows of what people prefer in chats, frozen with a snapshot. Never changed, and read in their order."""

    snapshot = models.ForeignKey(Snapshot, on_delete=models.CASCADE, related_name="chats", db_index=False)
    number = models.PositiveIntegerField()
    content = models.BinaryField(help_text="JSON Lines, compressed with zstd.")
    sha256 = models.BinaryField(max_length=32, help_text="Of the JSON Lines.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["snapshot", "number"], name="snapshot_chats_once")]

    def __str__(self) -> str:
        return f"chats {self.number} in {self.snapshot_id}"
