"""Middleware that lets suspended users see why, asks others for the terms, shows warnings, and protects pages by a
reauthentication.

It costs no query: the user's row, which the page loads anyway, has all that it needs.
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
from oasst.accounts.authentication.proof import is_recently_proved
from oasst.core.errors import NotAllowed
from oasst.core.http import error_views, kept_forms
from oasst.core.http.api_paths import has_no_session_user
from oasst.core.http.requests import is_fragment_request, wants_json

# Open to everybody: pages that explain the site, the terms or the suspension, those to sign out, to take one's data
# along and to delete the account, and what stops mails.
_OPEN_PAGES = frozenset(
    {
        *("terms", "terms_accept", "privacy", "suspended", "appeal", "sign_in_again"),
        *("own_data", "own_data_file", "profile_delete", "notices_stop"),
        *("about", "team", "report_fault", "project_ended", "announcement_dismiss"),
        # Mails tell suspended people of these, too.
        *("decision", "decision_appeal"),
    }
)
# A warning that is not confirmed yet is shown before these: where the next contribution begins. Forms are never refused
# for it, so nothing that somebody wrote is lost, and pages to read stay open.
_TASK_PAGES = frozenset({"task", "task_nothing", "practice"})
# Open without the current terms, because users may withdraw what they wrote under earlier ones.
_OPEN_WITHOUT_TERMS = frozenset({"contributions", "message_withdraw", "message_withdraw_undo"})
# Not for contributors: these pages check on their own.
_OPEN_PATHS = ("/accounts/", "/admin/")
# Suspended users may not change their addresses and linked accounts, because a ban is recorded under these.
_CLOSED_TO_SUSPENDED = frozenset({"account_email", "socialaccount_connections"})
_PAGE_FOR = {"suspended": "suspended", "terms_missing": "terms_accept"}


class AccessMiddleware(MiddlewareMixin):
    def process_view(
        self, request: HttpRequest, view: Callable[..., HttpResponseBase], args: Any, kwargs: Any
    ) -> HttpResponse | None:
        match = request.resolver_match
        name = match.url_name if match else None
        if name in _CLOSED_TO_SUSPENDED and request.user.is_authenticated and not request.user.enabled:
            return redirect("suspended")
        if (
            name in reauthentication.PROTECTED_PAGES
            and request.user.is_authenticated
            and not is_recently_proved(request)
        ):
            return reauthentication.redirect_to_proof(request)
        if has_no_session_user(request.path_info):
            return None
        if request.user.is_authenticated:
            sessions.note_visit(request)
        if match is None or name in _OPEN_PAGES or request.path_info.startswith(_OPEN_PATHS):
            return None
        if not request.user.is_authenticated:
            return None
        try:
            (require_member if name in _OPEN_WITHOUT_TERMS else require_contributor)(request.user)
        except NotAllowed as error:
            return _refuse(request, error)
        return _show_warning(request) if name in _TASK_PAGES else None


def _show_warning(request: HttpRequest) -> HttpResponse | None:
    user: Any = request.user
    is_page = request.method == "GET" and not is_fragment_request(request) and not wants_json(request)
    if user.warned_at is None or not is_page:
        return None
    return redirect(reverse("warning") + "?" + urlencode({"next": request.get_full_path()}))


def _refuse(request: HttpRequest, error: NotAllowed) -> HttpResponse:
    page = _PAGE_FOR.get(error.code)
    if page is None or wants_json(request):
        return error_views.error_response(request, error)
    target = reverse(page)
    if page == "terms_accept":
        target += "?" + urlencode({"next": _next_page(request)})
    if is_fragment_request(request):
        response = HttpResponse(status=204)
        response["HX-Redirect"] = target
        return response
    return redirect(target)


def _next_page(request: HttpRequest) -> str:
    """Return the page to continue with: for a refused form the page that contains it, which shows the kept text."""
    if request.method in ("GET", "HEAD"):
        return request.get_full_path()
    if kept_forms.keep(request):
        messages.info(request, "What you wrote is kept, and stands in its form again afterwards.")
    return kept_forms.form_page(request)
