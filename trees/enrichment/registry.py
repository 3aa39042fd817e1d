"""The readers of this site. A new kind of reading is one more entry of `READERS`."""

from django.conf import settings

from trees.enrichment.builtin import LanguageReader, PersonalDataReader, ToxicityReader
from trees.enrichment.embeddings import EmbeddingReader
from trees.enrichment.near_duplicates import SketchReader
from trees.enrichment.readers import Reader

READERS: tuple[Reader, ...] = (
    LanguageReader(),
    PersonalDataReader(),
    ToxicityReader(),
    SketchReader(),
    EmbeddingReader(),
)


def readers() -> dict[str, Reader]:
    """Return the enabled readers by kind; none while OASST_SCORING is off."""
    if not settings.OASST_SCORING:
        return {}
    return {reader.kind: reader for reader in READERS if reader.is_enabled()}
