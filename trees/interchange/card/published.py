"""What the data card reads of a manifest. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from trees.interchange.forms import FORMS
from trees.interchange.tree_record import SPLITS

PARQUET = ".parquet"


@dataclass(frozen=True)
class DataFile:
    """A file with rows of one form and one split, or with trees (form "trees")."""

    path: str
    form: str
    split: str
    bytes: int
    sha256: str

    @property
    def is_table(self) -> bool:
        return self.path.endswith(PARQUET)


@dataclass(frozen=True)
class Published:
    """A snapshot as its manifest describes it."""

    manifest: Mapping[str, Any]

    @property
    def name(self) -> str:
        name: str = self.manifest["name"]
        return name

    @property
    def date(self) -> str:
        """The day of the cut-off, in the form 2026-01-31."""
        return str(self.manifest["cutoff"])[:10]

    @property
    def site(self) -> str:
        """The site that published it, by its host, which tells it from other sites of this software."""
        return urlsplit(self.url).hostname or "oasst"

    @property
    def url(self) -> str:
        """The address of the site, or "" if it has none that can be published."""
        return self.manifest.get("site_url") or ""

    @property
    def title(self) -> str:
        return f"{self.site} conversations {self.name}"

    def rows(self, form: str) -> dict[str, int]:
        """Return the number of rows by split."""
        rows = self.manifest["counts"]["rows"].get(form, {})
        return {split: rows.get(split, 0) for split in SPLITS}

    def left_out(self) -> Iterator[tuple[str, str, int]]:
        """Yield what was left out: kind of thing, reason, number."""
        for kind in ("trees", "messages", "reviews", "rankings"):
            for reason, number in sorted(self.manifest["left_out"].get(kind, {}).items()):
                if number:
                    yield kind, reason, number

    @property
    def topics(self) -> list[tuple[str, str, int]]:
        """Language, name and number of prompts of each topic, largest first; empty if none is known."""
        known = self.manifest.get("topics", {}).get("topics", ())
        return [(topic["lang"], topic["name"], topic["prompts"]) for topic in known]

    @property
    def prompts_without_topic(self) -> int:
        number: int = self.manifest.get("topics", {}).get("unknown", 0)
        return number

    @property
    def near_duplicates(self) -> dict[str, dict[str, int]]:
        """What is nearly the same as an earlier message, by kind (prompts, replies), where some were compared: numbers
        `compared`, `near_duplicates` and `unknown`.
        """
        found: dict[str, dict[str, int]] = self.manifest.get("near_duplicates", {})
        return {kind: counts for kind, counts in found.items() if counts["compared"]}

    def files(self) -> list[DataFile]:
        """Return the files of data, in the order of the forms and splits; tables first."""
        forms = [*(form.name for form in FORMS), "trees"]
        found = []
        for path, facts in self.manifest["files"].items():
            folder, _, name = path.rpartition("/")
            form, split = folder.rpartition("/")[2], name.partition(".")[0]
            if form in forms and split in SPLITS:
                found.append(DataFile(path, form, split, facts["bytes"], facts["sha256"]))
        return sorted(
            found, key=lambda file: (not file.is_table, forms.index(file.form), SPLITS.index(file.split), file.path)
        )

    def tables(self, form: str) -> list[DataFile]:
        """Return the tables with rows: `datasets` refuses a split without any."""
        rows = self.rows(form)
        return [file for file in self.files() if file.form == form and file.is_table and rows[file.split]]
