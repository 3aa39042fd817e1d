"""Begin, stop and undo a bulk act, and the job that does it row by row.

Each row is a transaction of its own: the service's act, its entry in the audit log and the row's new status are stored
together or not at all. So a job that is killed or runs twice does each row once. Lock order: what the service locks,
then the row.
"""

import math
from collections.abc import Callable, Iterator
from uuid import UUID

import structlog
from celery import shared_task
from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone
from django.utils.translation import gettext, gettext_lazy

from oasst.accounts.access import require_moderator
from oasst.accounts.models import User
from oasst.core.after_commit import enqueue
from oasst.core.audit.acts import Act
from oasst.core.audit.recording import followed_entries, record
from oasst.core.errors import Busy, Conflict, DomainError, NotAllowed, NotFound
from oasst.core.jobs import ROUND_SECONDS, JobTimeout, timed_rounds
from oasst.core.locks import timeouts_as_busy
from oasst.core.models import AuditEntry
from oasst.core.text.validation import clean_reason
from oasst.site.bulk import acts
from oasst.site.bulk.acts import kind_of
from oasst.site.desk.undoing import undo_entry
from oasst.site.models import BulkAct, BulkRow
from trees.moderation import acts as tree_acts

log = structlog.get_logger(__name__)

BATCH = 100
MAX_TRIES = 3
FAILED = gettext_lazy("It failed, for a reason that is not yours. The log of the server says more.")


class _Elsewhere(Exception):
    """The row was done by another worker, or the whole was stopped: the act is rolled back."""


# --- Decisions ---


def start(*, bulk_id: UUID, actor: User, reason: str) -> BulkAct:
    """Begin what was shown. Raise NotAllowed (`not_yours`), Invalid (no reason), NotFound, Conflict (`begun`)."""
    reason = clean_reason(reason)
    with transaction.atomic(durable=True):
        bulk = _lock(bulk_id, actor)
        if bulk.stage != BulkAct.Stage.DRAFT:
            raise Conflict(gettext("This was begun already."), code="begun")
        bulk.reason, bulk.started_at = reason, timezone.now()
        _move(bulk, BulkAct.Stage.RUNNING, acts.START, actor, reason)
    return bulk


def stop(*, bulk_id: UUID, actor: User, reason: str) -> BulkAct:
    """Stop it after the row of this moment: whoever began it may, and administrators. What was done stays, and can be
    undone. Raise NotAllowed, Invalid (no reason), NotFound, Conflict (`not_running`).
    """
    reason = clean_reason(reason)
    with transaction.atomic(durable=True):
        bulk = _lock(bulk_id, actor, or_administrator=True)
        if bulk.stage != BulkAct.Stage.RUNNING:
            raise Conflict(gettext("This is not under way."), code="not_running")
        bulk.stopped_by, bulk.stop_reason = actor, reason
        _move(bulk, BulkAct.Stage.STOPPED, acts.STOP, actor, reason)
    return bulk


def go_on(*, bulk_id: UUID, actor: User) -> BulkAct:
    """Let it go on where it was stopped. What somebody else stopped, administrators let go on, but not for themselves.

    Raise NotAllowed (`not_yours`, `stopped_by_another`), NotFound, Conflict (`not_stopped`).
    """
    with transaction.atomic(durable=True):
        bulk = _lock(bulk_id, actor, or_administrator=True)
        if bulk.stage != BulkAct.Stage.STOPPED:
            raise Conflict(gettext("This is not stopped."), code="not_stopped")
        if not may_go_on(bulk, actor):
            if bulk.was_stopped_by_another:
                message = gettext("Somebody else stopped this. An administrator lets it go on, not you.")
                raise NotAllowed(message, code="stopped_by_another")
            raise _not_yours()
        bulk.stopped_by, bulk.stop_reason = None, ""
        _move(bulk, BulkAct.Stage.RUNNING, acts.GO_ON, actor, bulk.reason)
    return bulk


def may_go_on(bulk: BulkAct, actor: User) -> bool:
    """Return True if this person may let it go on, once it is stopped."""
    is_own = bulk.moderator_id == actor.pk
    return actor.is_superuser and not is_own if bulk.was_stopped_by_another else is_own


def undo(*, bulk_id: UUID, actor: User, reason: str) -> BulkAct:
    """Begin to undo all that was done, the last first: whoever began it may, and administrators. Raise NotAllowed,
    Invalid (no reason), NotFound, Conflict (`nothing_to_undo`).
    """
    reason = clean_reason(reason)
    with transaction.atomic(durable=True):
        bulk = _lock(bulk_id, actor, or_administrator=True)
        if bulk.stage not in (BulkAct.Stage.RUNNING, BulkAct.Stage.STOPPED, BulkAct.Stage.DONE):
            raise Conflict(gettext("There is nothing to undo."), code="nothing_to_undo")
        bulk.undone_by, bulk.undo_reason = actor, reason
        _move(bulk, BulkAct.Stage.UNDOING, acts.UNDO, actor, reason)
    return bulk


def _lock(bulk_id: UUID, actor: User, *, or_administrator: bool = False) -> BulkAct:
    require_moderator(actor)
    bulk = BulkAct.objects.select_for_update(of=("self",), no_key=True).filter(pk=bulk_id).first()
    if bulk is None:
        raise NotFound(gettext("There is no such act."), code="act_not_found")
    if bulk.moderator_id != actor.pk and not (or_administrator and actor.is_superuser and bulk.started_at):
        raise _not_yours()
    return bulk


def _not_yours() -> NotAllowed:
    return NotAllowed(gettext("Only those who chose it can do this here."), code="not_yours")


def _move(bulk: BulkAct, stage: BulkAct.Stage, act: Act, actor: User, reason: str = "") -> None:
    bulk.stage = stage
    bulk.save()
    about = {"act": bulk.act, "rows": bulk.preview["rows"], "value": bulk.value}
    person_id = None if bulk.moderator_id == actor.pk else bulk.moderator_id
    record(act, bulk, actor=actor, person_id=person_id, reason=reason, after=about)
    if bulk.is_under_way:
        enqueue(go_on_with_bulk_act, str(bulk.pk))


# --- The job ---


@shared_task
def go_on_with_bulk_act(bulk_id: str) -> None:
    """Run `continue_bulk_act` for ROUND_SECONDS as a job. A new job does the rest: others have their turn."""
    bulk = continue_bulk_act(bulk_id=UUID(bulk_id), seconds=ROUND_SECONDS)
    if bulk.is_under_way:
        enqueue(go_on_with_bulk_act, bulk_id)


def continue_bulk_act(*, bulk_id: UUID, seconds: float = math.inf, rows: int | None = None) -> BulkAct:
    """Do or undo what is left, to the end, for `seconds` or for so many `rows`. Safe to run twice, concurrently and
    after a kill.
    """
    bulk = BulkAct.objects.get(pk=bulk_id)
    for number, _ in enumerate(zip(_steps(bulk), timed_rounds(seconds), strict=False), start=1):
        if number == rows:
            break
    bulk.refresh_from_db()
    return bulk


def _steps(bulk: BulkAct) -> Iterator[None]:
    """Do one row after the other, each in a short transaction."""
    while bulk.is_under_way:
        stage = bulk.stage
        batch = list(_left(bulk)[:BATCH])
        if not batch:
            ended = {BulkAct.Stage.RUNNING: BulkAct.Stage.DONE, BulkAct.Stage.UNDOING: BulkAct.Stage.UNDONE}[
                BulkAct.Stage(stage)
            ]
            BulkAct.objects.filter(pk=bulk.pk, stage=stage).update(stage=ended, ended_at=timezone.now())
            return
        for row in batch:
            (_do if stage == BulkAct.Stage.RUNNING else _undo)(row, _actor(bulk), bulk)
            yield
            bulk.refresh_from_db()
            if bulk.stage != stage:
                break


def _actor(bulk: BulkAct) -> User:
    """Return whose act the next row is, as they are now: they may have lost the right since the last row."""
    undone_by = bulk.undone_by_id if bulk.stage == BulkAct.Stage.UNDOING else None
    return User.objects.get(pk=undone_by or bulk.moderator_id)


def _left(bulk: BulkAct) -> QuerySet[BulkRow]:
    if bulk.stage == BulkAct.Stage.RUNNING:
        return bulk.rows.filter(status=BulkRow.Status.WAITING).order_by("tries", "id")
    return bulk.rows.filter(status=BulkRow.Status.DONE).order_by("tries", "-id")


def _do(row: BulkRow, actor: User, bulk: BulkAct) -> None:
    kind = kind_of(bulk.act)
    _attempt(row, BulkRow.Status.REFUSED, lambda: kind.do(row.subject_id, actor, bulk), _landing(row))


def _landing(row: BulkRow) -> Callable[[AuditEntry], None]:
    """Return what marks the row as done in the transaction of its act, of which the first entry decides."""

    def land(entry: AuditEntry) -> None:
        if not row.entries and not _open(row, BulkRow.Status.WAITING, BulkAct.Stage.RUNNING).update(
            status=BulkRow.Status.DONE
        ):
            raise _Elsewhere
        row.entries.append(entry.pk)
        BulkRow.objects.filter(pk=row.pk).update(entries=row.entries)

    return land


def _undo(row: BulkRow, actor: User, bulk: BulkAct) -> None:
    """Undo the acts of a row, the last first. Each is a transaction, which takes its entry from the row.

    What undoes an act may record more than that it is undone, such as a warning that is taken back.
    """

    def land(entry: AuditEntry) -> None:
        if entry.act != tree_acts.UNDO.name:
            return
        rest = row.entries[:-1]
        status = BulkRow.Status.DONE if rest else BulkRow.Status.UNDONE
        if (
            not _open(row, BulkRow.Status.DONE, BulkAct.Stage.UNDOING)
            .filter(entries=row.entries)
            .update(status=status, entries=rest)
        ):
            raise _Elsewhere

    if not row.entries:  # the act changed nothing
        BulkRow.objects.filter(pk=row.pk, status=BulkRow.Status.DONE).update(status=BulkRow.Status.UNDONE)
    of_another = actor.pk != bulk.moderator_id

    def undo_last() -> None:
        undo_entry(row.entries[-1], actor=actor, reason=bulk.undo_reason, of_another=of_another)

    while row.entries and row.status == BulkRow.Status.DONE:
        _attempt(row, BulkRow.Status.STAYS, undo_last, land)
        before = len(row.entries)
        row.refresh_from_db()
        if len(row.entries) == before:
            break


def _attempt(
    row: BulkRow, refused: BulkRow.Status, act: Callable[[], object], land: Callable[[AuditEntry], None]
) -> None:
    """Run the act. A refusal is kept with the row; a lock that was not free, or a failure, is tried again later."""
    before = row.status
    try:
        with timeouts_as_busy(), followed_entries(land):
            act()
    except _Elsewhere:
        return
    except Busy as error:
        _try_later(row, before, refused, error.message)
    except DomainError as error:
        if refused == BulkRow.Status.STAYS and error.code == "already_undone":  # they undid this one by itself
            BulkRow.objects.filter(pk=row.pk, status=before).update(status=BulkRow.Status.UNDONE)
        else:
            BulkRow.objects.filter(pk=row.pk, status=before).update(status=refused, refusal=error.message[:500])
    except JobTimeout:
        raise
    except Exception:
        log.exception("bulk_row_failed", bulk=str(row.bulk_id), subject=str(row.subject_id))
        _try_later(row, before, refused, str(FAILED))
    else:
        # An act without an entry changed nothing, or says nothing of itself.
        done = BulkRow.Status.DONE if refused == BulkRow.Status.REFUSED else BulkRow.Status.UNDONE
        BulkRow.objects.filter(pk=row.pk, status=before, entries=[]).update(status=done)


def _try_later(row: BulkRow, before: str, refused: BulkRow.Status, why: str) -> None:
    rows = BulkRow.objects.filter(pk=row.pk, status=before)
    if row.tries + 1 < MAX_TRIES:
        rows.update(tries=F("tries") + 1)
    else:
        rows.update(status=refused, refusal=why[:500])


def _open(row: BulkRow, status: BulkRow.Status, stage: BulkAct.Stage) -> QuerySet[BulkRow]:
    return BulkRow.objects.filter(pk=row.pk, status=status, bulk__stage=stage)
