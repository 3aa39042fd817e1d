"""Rows from the database in batches that are bounded in number and in bytes, since a tree may have any size."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from django.db.models import F, Func, IntegerField, OuterRef, QuerySet, Subquery, Sum, TextField, Value
from django.db.models.functions import Cast, Coalesce

from trees.models import Message, MessageTree

BATCH = 200  # trees: a few statements each
BATCH_BYTES = 8_000_000
PER_MESSAGE = 2000  # bytes of its Python objects, about

Item = TypeVar("Item")


class OctetLength(Func):
    """The bytes of a text or of binary data. The database does not decompress them for it."""

    function = "octet_length"
    output_field = IntegerField()


def tree_batches(trees: QuerySet[MessageTree]) -> Iterator[list[MessageTree]]:
    """Yield the trees in order of arrival. Their messages take at most about BATCH_BYTES in a batch, or it is one tree.

    One statement for BATCH trees.
    """
    last, sized = -1, trees.order_by("number").annotate(bytes_of_messages=_bytes_of_messages())
    while found := list(sized.filter(number__gt=last)[:BATCH]):
        for batch in split_by_size(found, size=lambda tree: tree.bytes_of_messages or 0, limit=BATCH_BYTES):
            yield list[MessageTree](batch)
        last = found[-1].number


def split_by_size(items: Iterable[Item], *, size: Callable[[Item], int], limit: int) -> Iterator[list[Item]]:
    """Yield all items in lists of at most this size together. A larger item is alone."""
    batch: list[Item] = []
    total = 0
    for item in items:
        if batch and total + size(item) > limit:
            yield batch
            batch, total = [], 0
        batch.append(item)
        total += size(item)
    if batch:
        yield batch


def _bytes_of_messages() -> Subquery:
    """Return what messages of any size have: the text, and what a file said of them."""
    facts = [OctetLength(Cast(name, TextField())) for name in ("imported", "emojis")]
    each = OctetLength(F("text")) + Coalesce(facts[0], Value(0)) + facts[1] + Value(PER_MESSAGE)
    rows = Message.objects.filter(tree=OuterRef("pk")).order_by().values("tree").annotate(bytes=Sum(each))
    return Subquery(rows.values("bytes"))
