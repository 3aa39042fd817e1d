"""The gate in front of every page: suspended people see why, others agree to the terms before they go on, and what must
not be done with a stolen session asks once more who is there.

It costs no statement of its own: both answers stand on the person's row, which the page loads anyway.
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.deprecation import MiddlewareMixin

from oasst.accounts.access import require_contributor, require_member
from oasst.accounts.authentication import reauthentication, sessions
from oasst.accounts.authentication.proof import is_proved
from oasst.core.errors import NotAllowed
from oasst.core.http import error_views, kept_forms
from oasst.core.http.api_paths import asks_no_person
from oasst.core.http.requests import is_fragment_request, wants_json

# Open without the terms: what explains them, the way out, and the way to be forgotten.
_OPEN_PAGES = frozenset({"terms", "terms_accept", "privacy", "suspended", "profile_delete", "sign_in_again"})
# Open to members who have not agreed to the present terms: what they gave under earlier ones they may withdraw.
_OPEN_WITHOUT_TERMS = frozenset({"contributions", "message_withdraw", "message_withdraw_undo"})
# Not pages of contributors: the wire answers for itself, moderators' tools ask for a role, the rest has no person.
_OPEN_PATHS = ("/accounts/", "/admin/")
# What a suspended person comes in with stays as it is: a ban is kept under these addresses and accounts.
_CLOSED_TO_SUSPENDED = frozenset({"account_email", "socialaccount_connections"})
_PAGE_FOR = {"suspended": "suspended", "terms_missing": "terms_accept"}


class Gate(MiddlewareMixin):
    def process_view(
        self, request: HttpRequest, view: Callable[..., HttpResponseBase], args: Any, kwargs: Any
    ) -> HttpResponse | None:
        match = request.resolver_match
        if (
            match
            and match.url_name in _CLOSED_TO_SUSPENDED
            and request.user.is_authenticated
            and not request.user.enabled
        ):
            return redirect("suspended")
        asks = match is not None and match.url_name in reauthentication.ASK_FIRST
        if asks and request.user.is_authenticated and not is_proved(request):
            return reauthentication.ask(request)
        if asks_no_person(request.path_info):
            return None
        if request.user.is_authenticated:
            sessions.note_visit(request)
        if match is None or match.url_name in _OPEN_PAGES or request.path_info.startswith(_OPEN_PATHS):
            return None
        if not request.user.is_authenticated:
            return None
        try:
            (require_member if match.url_name in _OPEN_WITHOUT_TERMS else require_contributor)(request.user)
        except NotAllowed as error:
            return _refuse(request, error)
        return None


def _refuse(request: HttpRequest, error: NotAllowed) -> HttpResponse:
    page = _PAGE_FOR.get(error.code)
    if page is None or wants_json(request):
        return error_views.answer(request, error)
    target = reverse(page)
    if page == "terms_accept":
        target += "?" + urlencode({"next": _page_to_go_on(request)})
    if is_fragment_request(request):
        response = HttpResponse(status=204)
        response["HX-Redirect"] = target
        return response
    return redirect(target)


def _page_to_go_on(request: HttpRequest) -> str:
    """After a refused form the page that held it, with what was written, not the address that took it."""
    if request.method in ("GET", "HEAD"):
        return request.get_full_path()
    if kept_forms.keep(request):
        messages.info(request, "What you wrote is kept, and stands in its form again afterwards.")
    return kept_forms.page_of_form(request)
