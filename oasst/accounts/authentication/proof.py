"""When the person of a browser last proved who they are: by signing in, or once more since."""

import time
from datetime import UTC, datetime
from typing import Any

from allauth.account.internal.flows.reauthentication import STATE_SESSION_KEY
from django.http import HttpRequest
from django.utils import timezone

from oasst.accounts.authentication import sessions

RECENTLY = 15 * 60
"""Seconds. For so long a person may do what can not be undone, or what would let somebody stay."""
_PROVED_AT = "signed_in_at"


def remember_sign_in(request: HttpRequest | None, **kwargs: Any) -> None:
    """Receives Django's `user_logged_in`, by whatever way the person came in."""
    if request is not None:
        request.session[_PROVED_AT] = time.time()
        sessions.describe(request)


def remember_proof(request: HttpRequest, reauthenticated: bool = False, **kwargs: Any) -> None:
    """Receives allauth's `authentication_step_completed`. Single steps of a sign-in that is not over do not count."""
    if reauthenticated:
        request.session[_PROVED_AT] = time.time()
        drop_what_waits(request)  # before the library goes on with it


def drop_what_waits(request: HttpRequest) -> None:
    """Forget what the library put aside to do after the next proof: whoever prepared it may not be who proves."""
    request.session.pop(STATE_SESSION_KEY, None)


def proved_at(request: HttpRequest) -> datetime:
    return datetime.fromtimestamp(float(request.session.get(_PROVED_AT, 0)), UTC)


def is_proved(request: HttpRequest, within: float = RECENTLY) -> bool:
    """Was it in the last `within` seconds?"""
    return (timezone.now() - proved_at(request)).total_seconds() < within
