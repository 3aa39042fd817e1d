"""Keep the content of a form that cannot be accepted yet: its sender must first sign in or agree to the terms, or the
form was open for too long.

The session keeps it for an hour, for one user, and the same form shows it again; nothing is sent automatically. Only
forms of views with `keep_until_accepted` are kept, so never those with passwords.
"""

import re
import time
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, QueryDict
from django.http.response import HttpResponseBase
from django.urls import Resolver404, resolve, reverse
from django.utils.functional import SimpleLazyObject

from oasst.core.errors import Busy, DomainError
from oasst.core.http.requests import client_address, previous_page
from oasst.core.ratelimit import KEPT_FORMS_FROM_ADDRESS, KEPT_FORMS_IN_ALL, count_use

LIFETIME = 3600
"""Seconds."""
MAX_LENGTH = 200_000
"""Characters of all fields and their names: more than any answer has, and small enough for a session."""
MAX_ANONYMOUS_LENGTH = 24_000
"""The same for signed-out visitors: enough for the longest question to the assistant."""
_OWN_EXPIRY = "_session_expiry"  # the key in which Django's `set_expiry` stores its value
MARK = "kept_as"
"""The field in which static/js/keep.js names the browser's own copy; a cookie with that name says it can go."""
_KEY = "kept_form"
_NEVER = frozenset({"csrfmiddlewaretoken", MARK})
_NAME = re.compile(r"[a-z0-9]{8,32}")
_View = TypeVar("_View", bound=Callable[..., HttpResponseBase])


class KeptForm:
    """The content of a form. `action` is the path that it is sent to, `error` why it was refused, if it was."""

    def __init__(self, action: str, fields: QueryDict, error: DomainError | None = None) -> None:
        self.action = action
        self.fields = fields
        self.error = error


def keep_until_accepted(page: str) -> Callable[[_View], _View]:
    """Decorate a view whose form is kept until it is accepted.

    `page` is the URL name of the page with the form, which takes the same arguments; empty if several pages have it.
    """

    def mark(view: _View) -> _View:
        @wraps(view)
        def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            response = view(request, *args, **kwargs)
            if request.method == "POST" and response.status_code == 302 and request.user.is_authenticated:
                _drop_accepted(request, response)
            return response

        wrapped.form_page_name = page  # type: ignore[attr-defined]
        return cast(_View, wrapped)

    return mark


def may_be_kept(request: HttpRequest) -> bool:
    """Return True for a sent form whose view has `keep_until_accepted`."""
    match = request.resolver_match
    return request.method == "POST" and match is not None and hasattr(match.func, "form_page_name")


def typed_texts(request: HttpRequest) -> tuple[str, ...]:
    """Return the texts that people typed into the form, recognized by a space in them."""
    return tuple(value for value in request.POST.dict().values() if any(c.isspace() for c in str(value).strip()))


def form_page(request: HttpRequest) -> str:
    """Return the page with the form that was sent."""
    previous = previous_page(request)
    if previous and not _takes_only_forms(previous):
        return previous
    match: Any = request.resolver_match
    page = getattr(match.func, "form_page_name", "")
    return reverse(page, args=match.args, kwargs=match.kwargs) if page else settings.LOGIN_REDIRECT_URL


def keep(request: HttpRequest) -> bool:
    """Keep this form for the signed-in user, or for the next sign-in of this browser's last user (`assign_to`).

    Return False if it is not kept.
    """
    user_id = str(request.user.pk) if request.user.is_authenticated else None
    fields = [(name, value) for name, values in request.POST.lists() if name not in _NEVER for value in values]
    length = sum(len(name) + len(value) for name, value in fields)
    if not may_be_kept(request) or not fields or length > (MAX_LENGTH if user_id else MAX_ANONYMOUS_LENGTH):
        return False
    try:
        count_use(KEPT_FORMS_FROM_ADDRESS, client_address(request))
        if user_id is None:
            count_use(KEPT_FORMS_IN_ALL)
    except Busy:
        return False
    if user_id is None:
        # Anybody can create such a session, so it expires together with its content.
        request.session.set_expiry(LIFETIME)
    request.session[_KEY] = {"action": request.path, "fields": fields, "at": time.time(), "person": user_id}
    return True


def assign_to(request: HttpRequest, user_id: str, last_user_id: str | None) -> None:
    """Give the kept form to a user who signs in, or delete it.

    It is theirs only if the same user was the last to sign in with this browser: such forms stand on pages for
    signed-in users.
    """
    if request.session.get(_OWN_EXPIRY) == LIFETIME:
        request.session.set_expiry(None)  # the usual lifetime of a signed-in session
    kept = request.session.get(_KEY)
    if kept is None or kept["person"] == user_id:
        return
    if kept["person"] is None and last_user_id == user_id:
        request.session[_KEY] = {**kept, "person": user_id}
    else:
        del request.session[_KEY]


def set_refused(request: HttpRequest, error: DomainError) -> None:
    """Let the page that responds to this form show its content again, with the error."""
    request.refused_form = KeptForm(request.path, request.POST, error)  # type: ignore[attr-defined]


def find_kept_form(request: HttpRequest, action: str | None = None) -> KeptForm | None:
    """Return the form that was just refused or is kept for this user, if its action is `action`."""
    form = getattr(request, "refused_form", None) or _in_session(request)
    return form if form and action in (None, form.action) else None


def _in_session(request: HttpRequest) -> KeptForm | None:
    if not hasattr(request, "session") or not request.user.is_authenticated:
        return None
    kept = request.session.get(_KEY)
    if kept is None or kept["person"] != str(request.user.pk) or kept["at"] < time.time() - LIFETIME:
        return None
    fields = QueryDict(mutable=True)
    for name, value in kept["fields"]:
        fields.appendlist(name, value)
    return KeptForm(kept["action"], fields)


def _drop_accepted(request: HttpRequest, response: HttpResponseBase) -> None:
    """Delete the accepted form from the session, and tell the browser to delete its copy."""
    if request.session.get(_KEY, {}).get("action") == request.path:
        del request.session[_KEY]
    name = request.POST.get(MARK, "")
    if _NAME.fullmatch(name):
        response.set_cookie(
            f"{MARK}_{name}", "1", max_age=300, secure=settings.SESSION_COOKIE_SECURE, samesite="Lax"
        )  # not httponly, because a script reads it


def drop_expired(request: HttpRequest) -> None:
    """Delete a kept form that has expired."""
    kept = request.session.get(_KEY)
    if kept is not None and kept["at"] < time.time() - LIFETIME:
        del request.session[_KEY]


def context(request: HttpRequest) -> dict[str, Any]:
    """Add `kept_form` to every template: the form that was just refused or is kept for this user, or None."""
    return {"kept_form": SimpleLazyObject(lambda: find_kept_form(request))}


def _takes_only_forms(address: str) -> bool:
    """Return True if the URL only accepts POST. A refused form is shown at its own URL, which may not be a page."""
    try:
        match = resolve(urlsplit(address).path)
    except Resolver404:
        return False
    return getattr(match.func, "form_page_name", match.url_name) != match.url_name
