"""Go over all messages and let readers read what they have not read."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from uuid import UUID

from trees.enrichment import queue, reading
from trees.enrichment.readers import Reader
from trees.models import Message

_SECONDS_PER_BATCH = 3600.0


class Sweep:
    """One walk over the messages in order of their ids, BATCH at a time, so memory does not grow with their number.

    With `read_before` also what was read before that time is read. What is read needs no further mention, so a sweep
    that ends early is continued by another with the same arguments.
    """

    def __init__(self, readers: Sequence[Reader], *, lang: str | None, read_before: datetime | None) -> None:
        self.readers, self.read_before = list(readers), read_before
        self.messages = Message.objects.filter(deleted=False, withdrawn=False).order_by("pk")
        if lang is not None:
            self.messages = self.messages.filter(lang=lang)
        self.seen = 0
        self.counts: Counter[str] = Counter()
        self.unavailable: dict[str, str] = {}
        """Why a reader reads nothing more in this sweep, by kind."""

    def batches(self) -> Iterator[None]:
        """Queue and read batch by batch; yield after each."""
        last: UUID | None = None
        kinds = [reader.kind for reader in self.readers]
        while ids := self._next_ids(last):
            last = ids[-1]
            self.counts["queued"] += queue.queue_messages(ids, kinds, read_before=self.read_before)
            for reader in self.readers:
                self._read(reader)
            self.seen += len(ids)
            yield

    def _next_ids(self, last: UUID | None) -> list[UUID]:
        messages = self.messages if last is None else self.messages.filter(pk__gt=last)
        return list(messages.values_list("pk", flat=True)[: queue.BATCH])

    def _read(self, reader: Reader) -> None:
        if reader.kind in self.unavailable:
            return
        progress = reading.read_due(reader, seconds=_SECONDS_PER_BATCH)
        self.counts.update(read=progress.read, failed=progress.failed)
        if progress.unavailable:
            self.unavailable[reader.kind] = progress.unavailable

    def progress(self) -> str:
        failed = f", {self.counts['failed']} attempts failed" if self.counts["failed"] else ""
        return f"{self.seen} messages: {self.counts['queued']} readings asked for, {self.counts['read']} made{failed}."
