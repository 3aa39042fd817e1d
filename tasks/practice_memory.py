"""The practice reviews of somebody who is not signed in: some lines in a signed cookie, until they join.

So a visitor leaves no row in the database. After signing in (the signal `user_logged_in`) they are credited, each once:
the cookie may stay, because the ids in it are known by then.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse

from oasst.accounts.models import User
from trees.contributing import practice
from trees.contributing.practice import Practised
from trees.lifecycle.states import Work

COOKIE = "practice"
LIFETIME = 7 * 24 * 60 * 60
MOST = 12  # a cookie has room for 4 kB
_SALT = "tasks.practice"


def read(request: HttpRequest) -> list[Practised]:
    """Return what this browser practised, newest first; nothing if the cookie is not ours or too old."""
    if COOKIE not in request.COOKIES:
        return []
    try:
        rows = signing.loads(request.COOKIES[COOKIE], salt=_SALT, max_age=LIFETIME)
    except signing.BadSignature:
        return []
    return [_practised(row) for row in rows]


def remember(request: HttpRequest, response: HttpResponse, practised: Practised) -> None:
    """Add a practice review to the cookie. The first answer about a text stands."""
    known = read(request)
    if any(one.key == practised.key for one in known):
        return
    response.set_cookie(
        COOKIE,
        signing.dumps([_row(one) for one in [practised, *known][:MOST]], salt=_SALT, compress=True),
        max_age=LIFETIME,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def credit(request: HttpRequest | None, user: User, **kwargs: Any) -> None:
    """Handle Django's signal `user_logged_in`: credit to the person what this browser practised before."""
    if request is not None and (practised := read(request)):
        practice.record(user, practised)


def _row(one: Practised) -> Sequence[Any]:
    return [str(one.id), one.key, one.work.value, one.lang, one.compared, one.agreed, int(one.at.timestamp())]


def _practised(row: Sequence[Any]) -> Practised:
    pk, key, work, lang, compared, agreed, at = row
    return Practised(UUID(pk), key, Work(work), lang, compared, agreed, datetime.fromtimestamp(at, UTC))
