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
# What both of them would have led to.
_NEXT = {"mfa_activate_totp": "mfa_view_recovery_codes", "mfa_add_webauthn": "mfa_view_recovery_codes"}


class PressedTwice(MiddlewareMixin):
    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        of_account_pages = request.path_info.startswith("/accounts/") and request.resolver_match
        if not of_account_pages or not isinstance(exception, IntegrityError):
            return None
        if not isinstance(exception.__cause__, UniqueViolation):
            return None
        name = str(request.resolver_match.url_name)  # type: ignore[union-attr]
        log.warning("pressed_twice", page=name, constraint=exception.__cause__.diag.constraint_name)
        messages.info(request, DONE_ALREADY)
        if name in _NEXT:
            return redirect(_NEXT[name])
        if request.method == "POST":  # the page with the form, which shows how things stand now
            return redirect(request.path)
        return redirect("socialaccount_connections" if request.user.is_authenticated else "account_login")
