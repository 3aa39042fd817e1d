"""A button of the account pages that was pressed twice at once.

django-allauth looks whether something is there and then stores it, without a lock. The constraints of the database let
one of two through; the other one hears that it is done, where an error page would say that it failed.
"""

import structlog
from django.contrib import messages
from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.deprecation import MiddlewareMixin
from psycopg.errors import UniqueViolation

log = structlog.get_logger(__name__)

DONE_ALREADY = "This came in twice at the same moment. The first one counts, and nothing was done twice."
_PAGES = frozenset({"account_confirm_email", "mfa_generate_recovery_codes", "socialaccount_signup"})
# What both of them would have led to.
_NEXT = {"mfa_activate_totp": "mfa_view_recovery_codes", "mfa_add_webauthn": "mfa_view_recovery_codes"}


class PressedTwice(MiddlewareMixin):
    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, IntegrityError) or not isinstance(exception.__cause__, UniqueViolation):
            return None
        name = str(request.resolver_match.url_name) if request.resolver_match else ""
        if name not in _PAGES and name not in _NEXT and not _comes_from_another_service(request, name):
            return None  # no race that is known of, so a fault
        log.warning("pressed_twice", page=name, constraint=exception.__cause__.diag.constraint_name)
        messages.info(request, DONE_ALREADY)
        if name in _NEXT:
            return redirect(_NEXT[name])
        if request.method == "POST":  # the page with the form, which shows how things stand now
            return redirect(request.path)
        return redirect("socialaccount_connections" if request.user.is_authenticated else "account_login")


def _comes_from_another_service(request: HttpRequest, name: str) -> bool:
    return request.path_info.startswith("/accounts/") and name.endswith("_callback")
