"""Handle a double submit of a form on the account pages.

django-allauth checks and then stores without a lock. Of two concurrent requests, a database constraint refuses one:
its user sees that it is done, instead of an error page.
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
# The page to which a successful request would have redirected.
_NEXT = {"mfa_activate_totp": "mfa_view_recovery_codes", "mfa_add_webauthn": "mfa_view_recovery_codes"}


class DoubleSubmit(MiddlewareMixin):
    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, IntegrityError) or not isinstance(exception.__cause__, UniqueViolation):
            return None
        name = str(request.resolver_match.url_name) if request.resolver_match else ""
        is_callback = request.path_info.startswith("/accounts/") and name.endswith("_callback")
        if name not in _PAGES and name not in _NEXT and not is_callback:
            return None  # not a known race, so a bug
        log.warning("pressed_twice", page=name, constraint=exception.__cause__.diag.constraint_name)
        messages.info(request, DONE_ALREADY)
        if name in _NEXT:
            return redirect(_NEXT[name])
        if request.method == "POST":  # the page with the form shows the current state
            return redirect(request.path)
        return redirect("socialaccount_connections" if request.user.is_authenticated else "account_login")
