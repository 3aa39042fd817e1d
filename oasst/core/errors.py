"""The one error family of the domain.

Services raise these, and `as_domain_error` says which of them another error means. They never speak HTTP: each edge
(pages, DRF, sockets, commands) has a table of statuses and an envelope of its own. `code` is for machines and stays
stable, `message` is for the person and names the cause, `field` is the input that it belongs to, if there is one.
"""

from typing import Any

import psycopg_pool
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.db import OperationalError
from psycopg import errors


class DomainError(Exception):
    """Something the site refuses to do, for a reason that the person who asked can read."""

    default_code = "error"

    def __init__(
        self, message: str, *, code: str = "", field: str | None = None, hint: str = "", **details: Any
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.field = field
        self.hint = hint
        self.details = details


class Invalid(DomainError):
    """The input can not be taken as it is; the person can mend it."""

    default_code = "invalid"


class NotAllowed(DomainError):
    """This person may not do this (banned, not theirs, terms not accepted)."""

    default_code = "not_allowed"


def signed_out() -> NotAllowed:
    """What whoever must sign in first is told."""
    return NotAllowed("You are signed out. Sign in, then try again.", code="signed_out")


class NotFound(DomainError):
    """There is no such thing, or none that this person may see."""

    default_code = "not_found"


class Conflict(DomainError):
    """The world has moved on: already done, taken by somebody else, text changed meanwhile."""

    default_code = "conflict"


class Gone(DomainError):
    """It existed and is over (expired task, closed tree)."""

    default_code = "gone"


class Busy(DomainError):
    """Not now: a limit, a lock or a queue. `retry_after` says in how many seconds to try again."""

    default_code = "busy"

    def __init__(self, message: str, *, retry_after: int = 1, **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self.retry_after = retry_after


class Unreadable(DomainError):
    """What came cannot be read as a request: `too_large` or `bad_request`. No view decided it, so it is not counted."""

    default_code = "bad_request"


# Somebody else holds what we need; the same request will do a moment later.
_WAITS = (errors.LockNotAvailable, errors.QueryCanceled, errors.DeadlockDetected, errors.SerializationFailure)


def as_domain_error(error: BaseException) -> DomainError | None:
    """`error` itself if it is of the family, what it means for whoever asked if it is known, None if it is a bug.

    Waiting for the database that took too long is `Busy`; a body that is too large or garbled is `Unreadable`.
    """
    if isinstance(error, DomainError):
        return error
    if isinstance(error, RequestDataTooBig):
        return Unreadable("The body is too large.", code="too_large")
    if isinstance(error, SuspiciousOperation):
        return Unreadable("Something in the request was missing or garbled.")
    # Django wraps the driver's errors in its own, so the reason is the cause.
    cause = error.__cause__ if isinstance(error, OperationalError) else error
    if isinstance(cause, psycopg_pool.PoolTimeout):
        return Busy("More people are here than the site can serve right now.", code="no_connection", retry_after=5)
    if isinstance(cause, _WAITS):
        return Busy("Somebody else is changing the same thing right now.", code="locked", retry_after=1)
    return None
