"""Which exceptions are domain errors, and which are bugs."""

import pytest
from django.core.exceptions import (
    DisallowedHost,
    RequestDataTooBig,
    SuspiciousOperation,
    TooManyFieldsSent,
    TooManyFilesSent,
)
from django.db import IntegrityError, OperationalError
from psycopg import errors as pg
from psycopg_pool import PoolTimeout

from oasst.core.errors import Busy, Gone, Unreadable, as_domain_error


def from_the_driver(cause: Exception) -> OperationalError:
    error = OperationalError()
    error.__cause__ = cause
    return error


def test_one_of_the_family_stays_itself() -> None:
    gone = Gone("This task is over.")
    assert as_domain_error(gone) is gone


@pytest.mark.parametrize("cause", [pg.LockNotAvailable, pg.QueryCanceled, pg.DeadlockDetected, pg.SerializationFailure])
def test_waiting_for_others_that_took_too_long(cause: type[Exception]) -> None:
    busy = as_domain_error(from_the_driver(cause()))
    assert isinstance(busy, Busy) and (busy.code, busy.retry_after) == ("locked", 1)


def test_waiting_for_a_connection() -> None:
    for error in (PoolTimeout(), from_the_driver(PoolTimeout())):
        busy = as_domain_error(error)
        assert isinstance(busy, Busy) and (busy.code, busy.retry_after) == ("no_connection", 5)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RequestDataTooBig(), "too_large"),
        (TooManyFieldsSent(), "bad_request"),
        (TooManyFilesSent(), "bad_request"),
        (DisallowedHost(), "bad_request"),
        (SuspiciousOperation(), "bad_request"),
    ],
)
def test_a_request_that_cannot_be_read(error: Exception, code: str) -> None:
    refused = as_domain_error(error)
    assert isinstance(refused, Unreadable) and refused.code == code


@pytest.mark.parametrize("error", [ValueError(), IntegrityError(), OperationalError("the server is gone"), KeyError()])
def test_a_bug_is_none(error: Exception) -> None:
    assert as_domain_error(error) is None
