"""When the user of a session last proved who they are, by signing in or by reauthentication."""

import time
from datetime import UTC, datetime
from typing import Any

from allauth.account.internal.flows.reauthentication import STATE_SESSION_KEY
from django.http import HttpRequest
from django.utils import timezone

from oasst.accounts.authentication import sessions

RECENT_SECONDS = 15 * 60
"""Seconds after which sensitive actions need a reauthentication."""
_PROVED_AT = "signed_in_at"


def remember_sign_in(request: HttpRequest | None, **kwargs: Any) -> None:
    """Handle Django's signal `user_logged_in`, for every way to sign in."""
    if request is not None:
        request.session[_PROVED_AT] = time.time()
        sessions.describe(request)


def remember_proof(request: HttpRequest, reauthenticated: bool = False, **kwargs: Any) -> None:
    """Handle allauth's `authentication_step_completed`. Steps of an unfinished sign-in do not count."""
    if reauthenticated:
        request.session[_PROVED_AT] = time.time()
        drop_pending_action(request)  # before allauth continues with it


def drop_pending_action(request: HttpRequest) -> None:
    """Drop the action that allauth would continue after the next proof: somebody else may have prepared it."""
    request.session.pop(STATE_SESSION_KEY, None)


def proved_at(request: HttpRequest) -> datetime:
    return datetime.fromtimestamp(float(request.session.get(_PROVED_AT, 0)), UTC)


def is_recently_proved(request: HttpRequest, within: float = RECENT_SECONDS) -> bool:
    """Return True if the proof is at most `within` seconds old."""
    return (timezone.now() - proved_at(request)).total_seconds() < within
