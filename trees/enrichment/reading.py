"""Let a reader read what waits for it, batch by batch."""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from django.core.cache import cache
from django.db import DatabaseError, InterfaceError, OperationalError, transaction

from inference.scoring.base import NotScorable, Unavailable
from oasst.core.jobs import JobTimeout, timed_rounds
from trees.enrichment import queue
from trees.enrichment.queue import Claim
from trees.enrichment.readers import Outcome, Reader, Result

log = structlog.get_logger(__name__)

ROUND = 30  # seconds
_LONGEST_BATCH = queue.LEASE.total_seconds() / 2


@dataclass
class Progress:
    """What became of the texts that a reader was given."""

    read: int = 0
    failed: int = 0
    unavailable: str = ""
    """Why the reader stopped before the queue was empty."""

    def summary(self) -> str:
        failed = f", {self.failed} failed" if self.failed else ""
        return f"{self.read} read{failed}{f'; unavailable: {self.unavailable}' if self.unavailable else ''}"


def run(reader: Reader) -> Progress:
    """Read what waits, for ROUND seconds, unless another worker does already: a slow reader takes one thread only.

    Losing that mark is harmless, because texts are claimed. A killed worker's mark ends by itself.
    """
    mark, total = f"trees.enrichment.{reader.kind}", Progress()
    for _ in timed_rounds(ROUND):
        if not queue.kinds_due([reader.kind]) or not cache.add(mark, True, timeout=ROUND + _LONGEST_BATCH):
            break
        try:
            progress = read_due(reader, seconds=ROUND)
        finally:
            cache.delete(mark)
        total.read += progress.read
        total.failed += progress.failed
        total.unavailable = progress.unavailable
        if progress.unavailable:
            break
    return total


def read_due(reader: Reader, *, seconds: float) -> Progress:
    """Read what is due until nothing is, the time is over, or the reader is unavailable."""
    progress = Progress()
    for _ in timed_rounds(seconds):
        claims = queue.claim(reader.kind, reader.batch_size)
        if not claims:
            break
        try:
            outcomes = _outcomes(reader, claims)
        except Unavailable as reason:
            queue.put_back(claims, seconds=reason.retry_after)
            progress.unavailable = str(reason)
            log.warning("reader_unavailable", kind=reader.kind, reason=str(reason))
            break
        _settle(reader, claims, outcomes, progress)
        if progress.unavailable:
            break
    return progress


def _outcomes(reader: Reader, claims: Sequence[Claim]) -> Sequence[Outcome]:
    """Return an outcome for each claim. If a batch fails, its texts are read one by one. Raise Unavailable."""
    try:
        outcomes = reader.read([claim.text for claim in claims])
        if len(outcomes) != len(claims):
            raise ValueError(f"{len(outcomes)} outcomes for {len(claims)} texts")
        return outcomes
    except (Unavailable, JobTimeout, DatabaseError):
        raise
    except Exception as error:
        if len(claims) == 1:
            return [error]
        return [outcome for claim in claims for outcome in _outcomes(reader, [claim])]


def _settle(reader: Reader, claims: Sequence[Claim], outcomes: Sequence[Outcome], progress: Progress) -> None:
    pairs = list(zip(claims, outcomes, strict=True))
    results = [(claim, outcome) for claim, outcome in pairs if isinstance(outcome, Result)]
    progress.read += _store(reader, results, progress)
    for claim, outcome in pairs:
        if isinstance(outcome, NotScorable):
            queue.give_up(claim, outcome)
        elif isinstance(outcome, Unavailable):
            queue.put_back([claim], seconds=outcome.retry_after)
            progress.unavailable = str(outcome)
        elif isinstance(outcome, Exception):
            _retry_later(reader, claim, outcome, progress)


def _store(reader: Reader, results: Sequence[tuple[Claim, Result]], progress: Progress) -> int:
    """Store results and return how many. If the database refuses a batch, its results are stored one by one."""
    if not results:
        return 0
    try:
        with transaction.atomic(durable=True):
            stored = queue.store(results)
            reader.keep([(claim.text, result) for claim, result in results if claim.row_id in stored])
        return len(stored)
    except (JobTimeout, OperationalError, InterfaceError):  # not the fault of a text
        raise
    except Exception as error:
        if len(results) == 1:
            _retry_later(reader, results[0][0], error, progress)
            return 0
        return sum(_store(reader, [one], progress) for one in results)


def _retry_later(reader: Reader, claim: Claim, error: Exception, progress: Progress) -> None:
    queue.retry_later(claim, error)
    progress.failed += 1
    revision, name = str(claim.text.revision_id), type(error).__name__
    log.warning("reading_failed", kind=reader.kind, revision=revision, error=name)
