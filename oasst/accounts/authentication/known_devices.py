"""Recognize browsers that signed in before by a signed cookie, so that strangers cannot lock out the owner there.

The cookie replaces no code or password, and gives no more attempts than others have. It is bound to the user and their
password: a new password, or ending all sessions, invalidates it.
"""

import secrets
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.core import signing
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.deprecation import MiddlewareMixin

from oasst.accounts import email_owners
from oasst.accounts.authentication.second_factor import has_second_factor
from oasst.accounts.models import User
from oasst.core.http import kept_forms

COOKIE = "known_device"
LIFETIME = 365 * 24 * 60 * 60
_SALT = "oasst.accounts.devices"  # never change it: all cookies depend on it
_MAX_USERS = 5  # who share a browser; the one who signed in longest ago is dropped
_SIGNED_IN = "_signed_in_on_this_device"


def known_device(request: HttpRequest, email: str) -> str | None:
    """Return the name of this browser if the owner of the address signed in with it before, else None.

    Queries the database only if somebody signed in with this browser.
    """
    entries = _entries(request)
    user = email_owners.find_owner(email) if entries and email else None
    if user is None:
        return None
    for user_id, device, at, fingerprint in entries:
        if user_id == str(user.pk) and _is_valid(user, at, fingerprint):
            return f"{device}:{user_id}"
    return None


def note_sign_in(request: HttpRequest | None, user: User, **kwargs: Any) -> None:
    """Handle Django's signal `user_logged_in`: let `KnownDeviceCookie` set the cookie."""
    if request is not None:
        setattr(request, _SIGNED_IN, user)


def give_kept_form(request: HttpRequest | None, user: User, **kwargs: Any) -> None:
    """Handle Django's signal `user_logged_in`: give a kept form to the user, but not to another one than before."""
    if request is not None:
        kept_forms.assign_to(request, str(user.pk), next((entry[0] for entry in _entries(request)), None))


def note_new_password(request: HttpRequest, user: User, **kwargs: Any) -> None:
    """Handle allauth's signals about a new password: the browser is known again.

    But not after a reset by mail if there is a second factor, because each reset would allow new attempts for it.
    """
    if request.user == user or not has_second_factor(user):
        note_sign_in(request, user)


class KnownDeviceCookie(MiddlewareMixin):
    """Sets the cookie after a sign-in or a new password."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        user = getattr(request, _SIGNED_IN, None)
        if user is not None:
            others = [entry for entry in _entries(request) if entry[0] != str(user.pk)]
            entry = (str(user.pk), secrets.token_urlsafe(12), time.time(), _fingerprint(user))
            response.set_cookie(
                COOKIE,
                signing.dumps([entry, *others][:_MAX_USERS], salt=_SALT),
                max_age=LIFETIME,
                path="/accounts/",
                secure=settings.SESSION_COOKIE_SECURE,
                httponly=True,
                samesite="Lax",
            )
        return response


def _entries(request: HttpRequest) -> Sequence[tuple[str, str, float, str]]:
    try:
        entries = signing.loads(request.COOKIES.get(COOKIE, ""), salt=_SALT, max_age=LIFETIME)
    except signing.BadSignature:
        return []
    return [(str(user_id), str(device), float(at), str(fingerprint)) for user_id, device, at, fingerprint in entries]


def _is_valid(user: User, at: float, fingerprint: str) -> bool:
    signed_in = datetime.fromtimestamp(at, UTC)
    since = user.devices_known_since
    return (since is None or signed_in > since) and constant_time_compare(fingerprint, _fingerprint(user))


def _fingerprint(user: User) -> str:
    return salted_hmac(_SALT, f"{user.pk}{user.password}", algorithm="sha256").hexdigest()[:32]
