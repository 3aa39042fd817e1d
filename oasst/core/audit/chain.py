"""Put the entries of the audit log into a chain of hashes, and verify it.

Each link has the SHA-256 of the hash before it and of its entry (Haber and Stornetta, 1991). An act does not wait for
its link: a job makes the links, in the order in which it finds the entries. Whoever can change the database could also
compute the chain anew, so its head is to be kept elsewhere: the job logs it, exports end with it, and
`audit_verify --head` compares one.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from oasst.core.audit.erasing import ERASED
from oasst.core.audit.recording import digest_of_words
from oasst.core.locks import advisory_lock
from oasst.core.models import AuditEntry, AuditLink, AuditText

log = structlog.get_logger(__name__)

START = "0" * 64
"""The hash before the first link."""
BATCH = 1_000
LOOKS_BACK = 10_000
"""Links behind which an entry is not looked for each minute, only by `link_all`: ids appear out of order, but not by
much, since a transaction that is late by so many acts is one that hangs."""
LATE = timedelta(minutes=15)
"""An entry that has no link for so long is a fault."""


@dataclass(frozen=True)
class Head:
    position: int
    hash: str

    def __str__(self) -> str:
        return f"{self.position}:{self.hash}"

    @classmethod
    def parse(cls, text: str) -> "Head":
        """Read a head as it is printed. Raise ValueError."""
        position, _, digest = text.strip().partition(":")
        if not position.isdecimal() or len(digest) != 64:
            raise ValueError("A head is a number, a colon and 64 hexadecimal digits.")
        return cls(int(position), digest.lower())


@dataclass(frozen=True)
class Fault:
    position: int | None
    entry_id: int | None
    what: str

    def __str__(self) -> str:
        place = "" if self.position is None else f"link {self.position}"
        entry = "" if self.entry_id is None else f"entry {self.entry_id}"
        return f"{', '.join(part for part in (place, entry) if part) or 'chain'}: {self.what}"


# --- Linking ---


def link_new() -> int:
    """Append recent entries that have no link; return how many."""
    return _link(LOOKS_BACK)


def link_all() -> int:
    """Append all entries that have no link, however old; return how many."""
    return _link(None)


def head() -> Head:
    """Return the end of the chain; position 0 before the first link. One statement."""
    last = AuditLink.objects.order_by("-position").first()
    return Head(last.position, last.hash) if last else Head(0, START)


def _link(looks_back: int | None) -> int:
    total = 0
    while number := _link_batch(looks_back):
        total += number
        if number < BATCH:
            break
    if total:
        end = head()
        log.info("audit_chain", position=end.position, hash=end.hash)
    return total


def _link_batch(looks_back: int | None) -> int:
    with transaction.atomic(durable=True):
        advisory_lock("audit-chain")
        end = head()
        entries = AuditEntry.objects.filter(~Exists(AuditLink.objects.filter(entry=OuterRef("pk")))).order_by("pk")
        if looks_back is not None and end.position > looks_back:
            entries = entries.filter(pk__gt=AuditLink.objects.get(position=end.position - looks_back).entry_id)
        links = []
        position, digest = end.position, end.hash
        for entry in entries[:BATCH]:
            position, digest = position + 1, link_hash(digest, entry)
            links.append(AuditLink(position=position, entry=entry, hash=digest))
        AuditLink.objects.bulk_create(links)
        return len(links)


def link_hash(before: str, entry: AuditEntry) -> str:
    """Return the hash of the link of this entry after the hash `before`, as 64 hexadecimal digits."""
    facts = [
        *(before, entry.pk, entry.at.isoformat(timespec="microseconds"), entry.act),
        *(_text(entry.actor_id), _text(entry.program_id), entry.target_type, entry.target_id),
        *(_text(entry.person_id), entry.address_digest, entry.text_digest),
    ]
    return hashlib.sha256(json.dumps(facts, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()


def _text(value: object) -> str:
    return "" if value is None else str(value)


# --- Verifying ---


def verify(kept: Head | None = None) -> Iterator[Fault]:
    """Yield what is wrong with the log, in the order of the chain. Reads all of it, in batches.

    `kept` is a head that was written down before: the chain has to contain it.
    """
    yield from _verify_links(kept)
    yield from _verify_words()
    yield from _unlinked()


def _verify_links(kept: Head | None) -> Iterator[Fault]:
    expected, digest, found = 1, START, kept is None or kept.position == 0
    for link in AuditLink.objects.select_related("entry").order_by("position").iterator(BATCH):
        if link.position != expected:
            yield Fault(expected, None, f"{link.position - expected} links are missing")
        if link.hash != link_hash(digest, link.entry):
            yield Fault(link.position, link.entry_id, "the entry, or the link before it, is not what it was")
        if kept is not None and link.position == kept.position:
            found = True
            if link.hash != kept.hash:
                yield Fault(link.position, link.entry_id, "the hash is not the one that was kept")
        expected, digest = link.position + 1, link.hash  # so that one change is one fault
    if not found and kept is not None:
        yield Fault(kept.position, None, "the chain ends before it")


def _verify_words() -> Iterator[Fault]:
    # An erasure covers what was there before it: later words are not gone by it.
    erased = AuditEntry.objects.filter(act=ERASED.name).order_by("pk")
    erased_up_to: dict[UUID | None, int] = dict(erased.values_list("person_id", "pk"))
    for text in AuditText.objects.select_related("entry").order_by("pk").iterator(BATCH):
        if text.erased_at is not None:
            if text.entry_id > erased_up_to.get(text.entry.person_id, 0):
                yield Fault(None, text.entry_id, "the words were erased, and no act says so")
        elif digest_of_words(text.salt, text.reason, text.before, text.after) != text.entry.text_digest:
            yield Fault(None, text.entry_id, "the words are not what they were")
    for entry_id in AuditEntry.objects.filter(text=None).order_by("pk").values_list("pk", flat=True):
        yield Fault(None, entry_id, "the words are missing")


def _unlinked() -> Iterator[Fault]:
    entries = AuditEntry.objects.filter(link=None, at__lt=timezone.now() - LATE).order_by("pk")
    for entry_id in entries.values_list("pk", flat=True):
        yield Fault(None, entry_id, "the job that links entries has not come to it")
