"""Why a job failed, in words, and what helps."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext_lazy as _

from oasst.core.models import JobRecord
from oasst.site.operation.descriptions import Description


@dataclass(frozen=True)
class Failure:
    """The last failure of a job."""

    words: Any
    """What happened, as one sentence."""
    error: str
    """The error as the program tells it; of a job with personal data only its type."""
    is_shortened: bool
    hint: Any
    """What to do; may be empty."""
    at: datetime
    in_row: int
    """Failed runs since the last that went well; 0 if the last run went well."""
    since: datetime | None


_DATABASE = (
    _("The database did not answer in time."),
    _("See above whether PostgreSQL answers. The job runs again by itself."),
)
_AWAY = (
    _("Another server did not answer."),
    _("It is Redis, the mail server, or the server that the error names. See whether it runs and can be reached."),
)
_MAIL = (
    _("The mail server refused."),
    _("Check EMAIL_URL; ./manage.py sendtestemail with your address says more."),
)
_OTHER_VERSION = (
    _("Database and program do not fit together."),
    _("Run ./manage.py migrate, and restart the workers if they are of an earlier release."),
)
_KINDS = {
    "JobTimeout": (
        _("It took longer than a job may."),
        _("What is left waits for the next run. If this goes on, look for locks and slow statements in PostgreSQL."),
    ),
    "PartialFailure": (
        _("Some items failed; the others are done."),
        _("The log of the worker has each of them as job_item_failed."),
    ),
    "OperationalError": _DATABASE,
    "InterfaceError": _DATABASE,
    "PoolTimeout": _DATABASE,
    "Busy": _DATABASE,
    "ProgrammingError": _OTHER_VERSION,
    "ConnectionError": _AWAY,
    "ConnectionRefusedError": _AWAY,
    "TimeoutError": _AWAY,
    "gaierror": _AWAY,
    "OSError": _AWAY,
    "MemoryError": (_("There was not enough memory."), _("Give the worker more, or set WORKER_THREADS lower.")),
}
_UNKNOWN = (_("It ended with an error of the program."), _("The log of the worker has the details. Please report it."))
_BY_JOB = {
    "oasst.site.schedules.check_invariants": _(
        "./manage.py check_invariants prints the differences; ./manage.py rebuild_scores mends scores."
    ),
    "oasst.site.schedules.verify_audit_log": _(
        "./manage.py audit_verify prints each fault. First find out who had access to the database."
    ),
}
"""For errors of which the job itself tells."""


def last_failure(record: JobRecord, about: Description) -> Failure | None:
    """Return why the job failed last, None if it never did."""
    if record.failed_at is None:
        return None
    kind, _separator, _message = record.last_error.partition(":")
    words, hint = _MAIL if kind.startswith("SMTP") else _KINDS.get(kind, _UNKNOWN)
    if kind == "AssertionError" and about.job in _BY_JOB:
        words, hint = _("It found what must not be."), _BY_JOB[about.job]
    return Failure(
        words=words,
        error=kind if about.is_personal else record.last_error,
        is_shortened=about.is_personal,
        hint=hint,
        at=record.failed_at,
        in_row=max(record.failures_in_row, int(is_failing(record))),
        since=(record.failing_since or record.failed_at) if is_failing(record) else None,
    )


def is_failing(record: JobRecord) -> bool:
    """Return True if the last run failed."""
    return record.failed_at is not None and (record.succeeded_at is None or record.failed_at > record.succeeded_at)
