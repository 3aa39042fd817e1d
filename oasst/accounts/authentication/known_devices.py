"""Browsers that signed in before, known by a signed cookie: strangers who use up the tries for an account do not shut
its owner out of those.

The cookie proves nothing but that: whoever has it still needs the code or the password, and has as few tries as
anybody. It is bound to the person and to their password; a new password, or ending all sessions, makes it worthless.
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
_SALT = "oasst.accounts.devices"  # in every cookie: it does not follow the name of this module
_MOST_PEOPLE = 5  # who share a browser; the one who came in longest ago is forgotten
_SIGNED_IN = "_signed_in_on_this_device"


def known_device(request: HttpRequest, email: str) -> str | None:
    """The name of this browser, if the owner of the address signed in with it before; None for all others.

    Costs a statement only where somebody signed in with this browser.
    """
    entries = _entries(request)
    person = email_owners.find_owner(email) if entries and email else None
    if person is None:
        return None
    for user_id, device, at, fingerprint in entries:
        if user_id == str(person.pk) and _is_good(person, at, fingerprint):
            return f"{device}:{user_id}"
    return None


def note_sign_in(request: HttpRequest | None, user: User, **kwargs: Any) -> None:
    """Receives Django's `user_logged_in`, by whatever way the person came in, and allauth's signals about a new
    password; the answer gets the cookie.
    """
    if request is not None:
        setattr(request, _SIGNED_IN, user)


def give_kept_form(request: HttpRequest | None, user: User, **kwargs: Any) -> None:
    """Receives Django's `user_logged_in`. What somebody wrote before they had to sign in is not for the next person who
    does so with this browser.
    """
    if request is not None:
        kept_forms.give_to(request, str(user.pk), next((entry[0] for entry in _entries(request)), None))


def note_new_password(request: HttpRequest, user: User, **kwargs: Any) -> None:
    """Receives allauth's signals about a new password. A link from the mailbox is no second factor: each reset would
    bring new tries for it.
    """
    if request.user == user or not has_second_factor(user):
        note_sign_in(request, user)


class RememberDevice(MiddlewareMixin):
    """Gives the cookie to browsers in which somebody signed in, or set a new password, with this request."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        user = getattr(request, _SIGNED_IN, None)
        if user is not None:
            others = [entry for entry in _entries(request) if entry[0] != str(user.pk)]
            entry = (str(user.pk), secrets.token_urlsafe(12), time.time(), _fingerprint(user))
            response.set_cookie(
                COOKIE,
                signing.dumps([entry, *others][:_MOST_PEOPLE], salt=_SALT),
                max_age=LIFETIME,
                path="/accounts/",
                secure=settings.SESSION_COOKIE_SECURE,
                httponly=True,
                samesite="Lax",
            )
        return response


def _entries(request: HttpRequest) -> Sequence[tuple[str, str, float, str]]:
    try:
        found = signing.loads(request.COOKIES.get(COOKIE, ""), salt=_SALT, max_age=LIFETIME)
    except signing.BadSignature:
        return []
    return [(str(user_id), str(device), float(at), str(fingerprint)) for user_id, device, at, fingerprint in found]


def _is_good(person: User, at: float, fingerprint: str) -> bool:
    signed_in = datetime.fromtimestamp(at, UTC)
    since = person.devices_known_since
    return (since is None or signed_in > since) and constant_time_compare(fingerprint, _fingerprint(person))


def _fingerprint(person: User) -> str:
    return salted_hmac(_SALT, f"{person.pk}{person.password}", algorithm="sha256").hexdigest()[:32]
