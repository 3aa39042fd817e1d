"""How a published snapshot is cited, with the words of its data card."""

from collections.abc import Sequence

from trees.interchange.card.metadata import authors
from trees.interchange.card.metadata import bibtex as bibtex_of
from trees.interchange.card.published import Published
from trees.models import Snapshot


def _published(snapshot: Snapshot) -> Published:
    """Return what a citation names, without the manifest, which lists of snapshots do not read."""
    return Published(
        {
            "name": snapshot.name,
            "cutoff": snapshot.cutoff.isoformat(),
            "site_url": snapshot.site_url,
            "source_sha256": snapshot.source_sha256,
        }
    )


def title_of(snapshot: Snapshot) -> str:
    return _published(snapshot).title


def bibtex(snapshot: Snapshot) -> str:
    return bibtex_of(_published(snapshot))


def citation_text(snapshot: Snapshot, url: str, licenses: Sequence[str]) -> str:
    """Return one line for a list of references. `url` is the address of its page."""
    cited = _published(snapshot)
    return (
        f"{authors(cited)} ({cited.date[:4]}). {cited.title} [Data set]. {', '.join(licenses)}. {url} "
        f"(SHA-256 {snapshot.source_sha256})"
    )
