"""The errors that services raise.

They know nothing of HTTP: each edge (pages, DRF, WebSockets, commands) has its own table of statuses and its own
envelope. `code` is for machines and stays stable, `message` is for people and names the cause, `field` is the input
field, if there is one.
"""

from typing import Any

import psycopg_pool
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.db import OperationalError
from psycopg import errors


class DomainError(Exception):
    """The site refuses to do something, and `message` tells the user why."""

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
    """The input is not valid; the user can correct it."""

    default_code = "invalid"


class NotAllowed(DomainError):
    """This user may not do this (banned, not theirs, terms not accepted)."""

    default_code = "not_allowed"


def signed_out_error() -> NotAllowed:
    """Return the error for a visitor who must sign in first."""
    return NotAllowed("You are signed out. Sign in, then try again.", code="signed_out")


class NotFound(DomainError):
    """It does not exist, or this user may not see it."""

    default_code = "not_found"


class Conflict(DomainError):
    """The state has changed meanwhile: already done, taken by somebody else, text edited."""

    default_code = "conflict"


class Gone(DomainError):
    """It existed and is over (expired task, closed tree)."""

    default_code = "gone"


class Busy(DomainError):
    """A limit, a lock or a queue prevents this now. `retry_after` is in seconds."""

    default_code = "busy"

    def __init__(self, message: str, *, retry_after: int = 1, **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self.retry_after = retry_after


class Unreadable(DomainError):
    """The request cannot be read: `too_large` or `bad_request`. Not counted, because no view decided it."""

    default_code = "bad_request"


# Another transaction is in the way; a retry succeeds.
_RETRYABLE = (errors.LockNotAvailable, errors.QueryCanceled, errors.DeadlockDetected, errors.SerializationFailure)


def as_domain_error(error: BaseException) -> DomainError | None:
    """Return the error as a `DomainError`, or None if it is a bug.

    Database timeouts and deadlocks are `Busy`; a body that is too large or garbled is `Unreadable`.
    """
    if isinstance(error, DomainError):
        return error
    if isinstance(error, RequestDataTooBig):
        return Unreadable("The body is too large.", code="too_large")
    if isinstance(error, SuspiciousOperation):
        return Unreadable("Something in the request was missing or garbled.")
    # Django wraps the driver's error in its own.
    cause = error.__cause__ if isinstance(error, OperationalError) else error
    if isinstance(cause, psycopg_pool.PoolTimeout):
        return Busy("More people are here than the site can serve right now.", code="no_connection", retry_after=5)
    if isinstance(cause, _RETRYABLE):
        return Busy("Somebody else is changing the same thing right now.", code="locked", retry_after=1)
    return None
