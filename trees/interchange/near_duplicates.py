"""Which messages of the data set are nearly the same as an earlier one in it. Decision 120.

Prompts are compared with prompts, replies with replies, within a language. Two messages are nearly the same if their
wording is, or if the site stored a pair of them (also by meaning, for prompts); not if a moderator called them
different enough, or one is a suggested edit of the other.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from uuid import UUID

from django.db.models import Q

from trees.enrichment.near_duplicates import SketchReader
from trees.interchange.wordings import Wordings, kind_of
from trees.models import Message, MessageReading, NearDuplicate, TextSketch, WaitingComparison

KINDS = ("prompts", "replies")


class NearDuplicates:
    """Told of all messages in order of arrival, a batch at a time. It remembers those that have pairs: 16 bytes each.

    With `wordings` the texts themselves are compared, whatever the site read of them. Without, only stored pairs count.
    """

    def __init__(self, wordings: Wordings | None = None) -> None:
        self._wordings = wordings
        self._kept: set[bytes] = set()
        self._alike: dict[UUID, set[UUID]] = {}
        self._different: dict[UUID, set[UUID]] = {}

    def begin(self, message_ids: Collection[UUID]) -> None:
        """Read the stored pairs of the next messages. One statement."""
        self._alike, self._different = defaultdict(set), defaultdict(set)
        pairs = NearDuplicate.objects.filter(Q(first__in=message_ids) | Q(second__in=message_ids))
        for first, second, status in pairs.values_list("first_id", "second_id", "status"):
            found = self._different if status == NearDuplicate.Status.DISMISSED else self._alike
            found[first].add(second)
            found[second].add(first)

    def repeats(self, message: Message) -> bool:
        """Return True if one of the messages that were asked about before is nearly the same and repeated none."""
        alike = self._alike.get(message.pk, set())
        if any(other.bytes in self._kept for other in alike) or self._repeats_wording(message):
            return True
        if alike:
            self._kept.add(message.pk.bytes)
        return False

    def _repeats_wording(self, message: Message) -> bool:
        if self._wordings is None:
            return False
        different = {str(other) for other in self._different.get(message.pk, ())}
        if message.correction_of_id is not None:
            different.add(str(message.correction_of_id))
        kind = kind_of(message.lang, is_prompt=message.parent_id is None)
        return self._wordings.earlier(message.text, kind=kind, key=str(message.pk), different=different) is not None


@contextmanager
def comparing(*, wordings: bool) -> Iterator[NearDuplicates]:
    """Yield the comparison of one export or snapshot, with the wordings or without."""
    if not wordings:
        yield NearDuplicates()
        return
    texts = Wordings()
    try:
        yield NearDuplicates(texts)
    finally:
        texts.close()


class SimilarityCounts:
    """How many messages of a snapshot are nearly the same as an earlier one in it, and of how many that is unknown."""

    def __init__(self) -> None:
        self._read: set[UUID] = set()
        self._counts = {kind: dict.fromkeys(("compared", "near_duplicates", "unknown"), 0) for kind in KINDS}

    def read(self, messages: Collection[Message]) -> None:
        """Read which of the next messages the site has compared with others. One statement."""
        about = {"message__in": [message.pk for message in messages]}
        waiting = WaitingComparison.objects.filter(score=WaitingComparison.Score.WORDING, **about)
        left_by_the_release_before = TextSketch.objects.filter(compared=False, **about)
        rows = MessageReading.objects.filter(
            revision__in=[message.revision_id for message in messages], kind=SketchReader.kind, result__isnull=False
        )
        rows = rows.exclude(revision__message__in=waiting.values("message"))
        rows = rows.exclude(revision__message__in=left_by_the_release_before.values("message"))
        self._read = set(rows.values_list("revision_id", flat=True))

    def add(self, message: Message, *, repeats: bool, is_compared: bool) -> None:
        """Count a message that is in the snapshot. `is_compared`: here, whatever the site read."""
        counts = self._counts[KINDS[message.parent_id is not None]]
        is_known = is_compared or repeats or message.revision_id in self._read
        counts["compared" if is_known else "unknown"] += 1
        counts["near_duplicates"] += repeats

    def as_json(self) -> dict[str, dict[str, int]]:
        return self._counts
