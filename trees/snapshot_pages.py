"""What the pages about published snapshots show. They read manifests, and neither files nor trees."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.conf import settings
from django.urls import reverse

from oasst.core.text.languages import name_of
from trees.interchange.card import words
from trees.interchange.card.published import Published
from trees.interchange.forms import FORMS
from trees.interchange.snapshots import citation
from trees.interchange.snapshots.published import PublishedFile, files_of, published_snapshots
from trees.interchange.tree_record import SPLITS
from trees.models import Snapshot

CARD, README, EXAMPLE = "card.html", "README.md", "data/messages/train.parquet"


@dataclass(frozen=True)
class Summary:
    """A snapshot in the list, and at the top of its page."""

    snapshot: Snapshot
    url: str
    """Of its page, with the host, as it is cited."""
    licenses: list[str]
    languages: list[tuple[str, int]]
    """Names, and numbers of messages; most first."""
    choices: list[str]
    """What was chosen for it, as parts of a sentence; empty for the whole data set."""

    @property
    def trees(self) -> int:
        return self._count("trees")

    @property
    def messages(self) -> int:
        return self._count("messages")

    @property
    def counted_reviews(self) -> int:
        """How many reviews decided about the messages, by their counts. Not all are in the data one by one."""
        return self._count("counted_reviews")

    @property
    def reviews(self) -> int:
        return self._count("reviews")

    @property
    def rankings(self) -> int:
        return self._count("rankings")

    @property
    def size(self) -> str:
        return words.size(self.snapshot.published_bytes)

    @property
    def title(self) -> str:
        return citation.title_of(self.snapshot)

    @property
    def citation(self) -> str:
        return citation.citation_text(self.snapshot, self.url, self.licenses)

    @property
    def bibtex(self) -> str:
        return citation.bibtex(self.snapshot)

    def _count(self, kind: str) -> int:
        number: int = self.snapshot.counts.get("has", {}).get(kind, 0)
        return number


@dataclass(frozen=True)
class FormRows:
    """How many rows a form of the data has."""

    name: str
    text: str
    rows: list[int]
    """By split, in the order of `SPLITS`."""


@dataclass(frozen=True)
class DataCard:
    summary: Summary
    forms: list[FormRows]
    topics: list[tuple[str, str, int]]
    """Language, name and number of prompts of each topic, largest first."""
    bases: list[tuple[str, int]]
    left_out: list[tuple[str, str, int]]
    """Kind, reason, number."""
    withdrawn: int
    """How many messages of earlier snapshots were withdrawn before this one."""
    files: list[PublishedFile]
    card_path: str
    """Of the data card with plots; "" if the snapshot has none."""
    example_url: str


def page_url(name: str) -> str:
    return f"{settings.PUBLIC_URL}{reverse('snapshot', args=[name])}"


def file_url(name: str, path: str) -> str:
    return f"{settings.PUBLIC_URL}{reverse('snapshot_file', args=[name, path])}"


def list_published() -> list[Summary]:
    """One statement."""
    return [summary_of(snapshot) for snapshot in published_snapshots()]


def summary_of(snapshot: Snapshot) -> Summary:
    counts: dict[str, int] = snapshot.counts.get("languages", {})
    most_first = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    licenses = list(dict.fromkeys(words.license_of(basis) for basis in snapshot.counts.get("bases", {})))
    return Summary(
        snapshot,
        page_url(snapshot.name),
        sorted(licenses or [words.OUR_LICENSE], key=lambda one: (one != words.OUR_LICENSE, one)),
        [(name_of(tag), number) for tag, number in most_first],
        words.choices_in_words(snapshot.filters),
    )


def data_card(snapshot: Snapshot) -> DataCard:
    """No statement."""
    manifest = snapshot.manifest
    rows = manifest["counts"]["rows"]
    files = list(files_of(manifest).values())
    paths = {file.path for file in files}
    return DataCard(
        summary_of(snapshot),
        [
            FormRows(form.name, form.description, [rows[form.name].get(split, 0) for split in SPLITS])
            for form in FORMS
            if form.name in rows
        ],
        [(name_of(lang), name, number) for lang, name, number in Published(manifest).topics],
        [(words.basis_in_words(basis), number) for basis, number in _most_first(manifest["bases"].items())],
        [
            (kind, words.reason_in_words(reason), number)
            for kind, reasons in manifest["left_out"].items()
            for reason, number in _most_first(reasons.items())
        ],
        manifest["counts"]["withdrawn"],
        sorted(files, key=_order),
        next((path for path in (CARD, README) if path in paths), ""),
        file_url(snapshot.name, EXAMPLE) if EXAMPLE in paths else "",
    )


def _most_first(counts: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    return sorted(counts, key=lambda item: (-item[1], item[0]))


def _order(file: PublishedFile) -> tuple[bool, bool, str]:
    """Order texts about the data before the data, and Parquet before JSON Lines."""
    return "/" in file.path, not file.path.endswith(".parquet"), file.path
