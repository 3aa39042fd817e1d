"""What stood in a form that could not be taken: its sender has to sign in or to agree to the terms first, or the form
was open for too long.

Kept in the session for an hour, for one person, and shown in the same form again; nothing is sent by itself. A view
says with `keeps_words` that what its form holds is worth it; other forms, above all those of passwords, are never kept.
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
from oasst.core.http.requests import client_address, page_before
from oasst.core.ratelimit import FORMS_KEPT_FROM_ADDRESS, FORMS_KEPT_OF_NOBODY, spend

LIFETIME = 3600
"""Seconds."""
LARGEST = 200_000
"""Characters of all fields and their names: more than any answer has, and no burden for a session."""
LARGEST_OF_NOBODY = 24_000
"""The same for whoever is not signed in: the longest question to the assistant, and no more than has to be."""
_OWN_EXPIRY = "_session_expiry"  # where Django keeps what `set_expiry` was told
MARK = "kept_as"
"""The field by which static/js/keep.js names what it keeps; a cookie of that name says that it was taken."""
_KEY = "kept_form"
_NEVER = frozenset({"csrfmiddlewaretoken", MARK})
_NAME = re.compile(r"[a-z0-9]{8,32}")
_View = TypeVar("_View", bound=Callable[..., HttpResponseBase])


class KeptForm:
    """What one form held. `action` is the address that it is sent to, `error` why it was refused, if it was."""

    def __init__(self, action: str, fields: QueryDict, error: DomainError | None = None) -> None:
        self.action = action
        self.fields = fields
        self.error = error


def keeps_words(page: str) -> Callable[[_View], _View]:
    """For a view whose form is kept until it was taken. `page` is the name of the page that the form stands on, with
    the same arguments; empty where only the browser knows it.
    """

    def mark(view: _View) -> _View:
        @wraps(view)
        def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            response = view(request, *args, **kwargs)
            if request.method == "POST" and response.status_code == 302 and request.user.is_authenticated:
                _note_taken(request, response)
            return response

        wrapped.words_stand_at = page  # type: ignore[attr-defined]
        return cast(_View, wrapped)

    return mark


def takes_words(request: HttpRequest) -> bool:
    """Whether this is a form that people wrote something into."""
    match = request.resolver_match
    return request.method == "POST" and match is not None and hasattr(match.func, "words_stand_at")


def words_of(request: HttpRequest) -> tuple[str, ...]:
    """What people wrote themselves in the form, as far as it can be told from what they chose."""
    return tuple(one for one in request.POST.dict().values() if any(sign.isspace() for sign in str(one).strip()))


def page_of_form(request: HttpRequest) -> str:
    """The page on which a form was sent that could not be taken."""
    before = page_before(request)
    if before and not _takes_only_forms(before):
        return before
    match: Any = request.resolver_match
    page = getattr(match.func, "words_stand_at", "")
    return reverse(page, args=match.args, kwargs=match.kwargs) if page else settings.LOGIN_REDIRECT_URL


def keep(request: HttpRequest) -> bool:
    """Keep what this form holds for whoever is signed in, or comes in next and was the last who did so with this
    browser (`give_to`). False where it is not kept.
    """
    person = str(request.user.pk) if request.user.is_authenticated else None
    fields = [(name, value) for name, values in request.POST.lists() if name not in _NEVER for value in values]
    length = sum(len(name) + len(value) for name, value in fields)
    if not takes_words(request) or not fields or length > (LARGEST if person else LARGEST_OF_NOBODY):
        return False
    try:
        spend(FORMS_KEPT_FROM_ADDRESS, client_address(request))
        if person is None:
            spend(FORMS_KEPT_OF_NOBODY)
    except Busy:
        return False
    if person is None:
        # Anybody can have such a session made, so it lives no longer than what it holds.
        request.session.set_expiry(LIFETIME)
    request.session[_KEY] = {"action": request.path, "fields": fields, "at": time.time(), "person": person}
    return True


def give_to(request: HttpRequest, person: str, before: str | None) -> None:
    """Somebody came in. What was kept is theirs if they were the last to sign in with this browser before, which
    `before` names: forms that keep words stand on pages for people who are signed in. Where nobody is known it goes.
    """
    if request.session.get(_OWN_EXPIRY) == LIFETIME:
        request.session.set_expiry(None)  # from now on as long as every session of somebody
    kept = request.session.get(_KEY)
    if kept is None or kept["person"] == person:
        return
    if kept["person"] is None and before == person:
        request.session[_KEY] = {**kept, "person": person}
    else:
        del request.session[_KEY]


def show_refused(request: HttpRequest, error: DomainError) -> None:
    """The page that answers this form shows it again with all that it held, and with the reason."""
    request.refused_form = KeptForm(request.path, request.POST, error)  # type: ignore[attr-defined]


def find(request: HttpRequest, action: str | None = None) -> KeptForm | None:
    """What was just refused or is kept for this person, of the form that is sent to `action` or of any."""
    found = getattr(request, "refused_form", None) or _in_session(request)
    return found if found and action in (None, found.action) else None


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


def _note_taken(request: HttpRequest, response: HttpResponseBase) -> None:
    """The form need not be kept any more, here and in the browser."""
    if request.session.get(_KEY, {}).get("action") == request.path:
        del request.session[_KEY]
    name = request.POST.get(MARK, "")
    if _NAME.fullmatch(name):
        response.set_cookie(
            f"{MARK}_{name}", "1", max_age=300, secure=settings.SESSION_COOKIE_SECURE, samesite="Lax"
        )  # read by the script, so not httponly


def drop_old(request: HttpRequest) -> None:
    """What was kept and not asked for is forgotten."""
    kept = request.session.get(_KEY)
    if kept is not None and kept["at"] < time.time() - LIFETIME:
        del request.session[_KEY]


def context(request: HttpRequest) -> dict[str, Any]:
    """`kept_form`, for every template: what was just refused or is kept for this person, or nothing."""
    return {"kept_form": SimpleLazyObject(lambda: find(request))}


def _takes_only_forms(address: str) -> bool:
    """A form that was refused is shown at the address that it was sent to, and that may be no page."""
    try:
        match = resolve(urlsplit(address).path)
    except Resolver404:
        return False
    return getattr(match.func, "words_stand_at", match.url_name) != match.url_name
