"""Middleware for maintenance, the end of the project, and parts of the site that are switched off.

Health checks, metrics and static files always answer, and so do the pages to sign in, because staff may come in. Jobs
go on. It costs no statement (`reading.current`).
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.deprecation import MiddlewareMixin
from django.utils.translation import gettext as _

from oasst.accounts.site_settings.reading import CurrentSettings, current
from oasst.core.errors import Busy, DomainError, Gone, NotAllowed, NotFound
from oasst.core.http import error_views
from oasst.core.http.api_paths import MONITORING_PATHS, is_api_path, is_chat_path
from oasst.core.http.requests import is_fragment_request, wants_json

MAINTENANCE_RETRY_SECONDS = 60
_ALWAYS = ("/static/", *MONITORING_PATHS)
_TO_SIGN_IN = ("/accounts/", "/admin/")
_CODE_PAGES = frozenset({"account_request_login_code", "account_confirm_login_code", "mailed_sign_in"})
_LEAD_TO_THE_END = frozenset({"landing", "dashboard"})
_TASKS = "/tasks/"
_API_TASKS = "/api/v1/tasks"


class SiteModes(MiddlewareMixin):
    def process_view(
        self, request: HttpRequest, view: Callable[..., HttpResponseBase], args: Any, kwargs: Any
    ) -> HttpResponseBase | None:
        path = request.path_info
        if path.startswith(_ALWAYS):
            return None
        site = current()
        if site.maintenance and not _may_enter(request):
            return error_views.error_response(request, maintenance_error(site), keep_form=True)
        if site.ended and (refusal := _ended(request)):
            return refusal
        if error := _switched_off(request, site):
            return error_views.error_response(request, error, keep_form=True)
        return None

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Answer unknown addresses during maintenance with 503 too: a 404 would make search engines drop the page."""
        if response.status_code != HTTPStatus.NOT_FOUND or request.resolver_match is not None:
            return response
        site = current()
        if not site.maintenance or request.path_info.startswith(_ALWAYS) or _may_enter(request):
            return response
        return error_views.error_response(request, maintenance_error(site), keep_form=True)


def maintenance_error(site: CurrentSettings) -> Busy:
    """Return the error for everybody who is not staff during maintenance."""
    message = site.maintenance_message or _("The site is being looked after and will be back soon. Nothing is lost.")
    seconds = MAINTENANCE_RETRY_SECONDS
    if site.maintenance_until is not None:
        seconds = max(seconds, int((site.maintenance_until - timezone.now()).total_seconds()))
    return Busy(message, code="maintenance", retry_after=seconds)


def _may_enter(request: HttpRequest) -> bool:
    """Return True for staff, and for the pages where they sign in. Keys and tokens do not say who is staff."""
    if is_api_path(request.path_info):
        return False
    if request.user.is_authenticated:
        match = request.resolver_match
        return request.user.is_staff or (match is not None and match.url_name == "account_logout")
    return request.path_info.startswith(_TO_SIGN_IN)


def _ended(request: HttpRequest) -> HttpResponse | None:
    """Return the response of a project that has ended, or None for what stays: data, account, the admin."""
    match = request.resolver_match
    is_task = request.path_info.startswith((_TASKS, _API_TASKS))
    if not is_task and (match is None or match.url_name not in _LEAD_TO_THE_END):
        return None
    is_page = request.method in ("GET", "HEAD") and not wants_json(request) and not is_fragment_request(request)
    if is_page and not is_api_path(request.path_info):
        return redirect("project_ended")
    error = Gone(_("The project has ended and takes no more work."), code="project_ended")
    return error_views.error_response(request, error, keep_form=True)


def _switched_off(request: HttpRequest, site: CurrentSettings) -> DomainError | None:
    path, match = request.path_info, request.resolver_match
    if not site.chat and (path.startswith("/chat/") or is_chat_path(path)):
        return NotFound(_("The chat is switched off at the moment."), code="chat_off")
    if not site.email_codes and match is not None and match.url_name in _CODE_PAGES:
        return NotAllowed(_("Signing in by a mailed code is switched off at the moment."), code="email_sign_in_off")
    return None
