"""Reauthentication before actions that cannot be undone, or that would let a thief of the session stay.

django-allauth has the pages for passwords and second factors. Added here: the list of pages that ask, a recent sign-in
counts too, and a mailed code for users without a password, whom allauth would not ask at all.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from allauth.account.adapter import get_adapter
from allauth.account.internal.flows.code_verification import AbstractCodeVerificationProcess
from allauth.account.internal.flows.login import record_authentication
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from oasst.accounts.authentication.proof import drop_pending_action, is_recently_proved

ADMIN_HOURS = 12
"""The admin asks again after this time, because its pages stay open all day."""

# URL names. These pages also ask on GET, so that nobody is interrupted after filling in a form.
PROTECTED_PAGES = frozenset(
    {
        *("account_email", "account_change_password", "account_set_password", "socialaccount_connections"),
        *("profile_delete", "own_data", "own_data_file", "tokens", "token_revoke", "programs_leave"),
        *("mfa_activate_totp", "mfa_deactivate_totp", "mfa_list_webauthn", "mfa_add_webauthn", "mfa_edit_webauthn"),
        *("mfa_remove_webauthn", "mfa_view_recovery_codes", "mfa_generate_recovery_codes"),
        "mfa_download_recovery_codes",
    }
)
# Pages to continue with after URLs that only accept forms or send a file.
_PAGE_OF = {"token_revoke": "tokens", "programs_leave": "tokens", "own_data_file": "own_data"}


def redirect_to_proof(request: HttpRequest, target: str = "") -> HttpResponse:
    """Redirect to the user's first way to reauthenticate, and then to `target` (default: the current page)."""
    if not target:
        match = request.resolver_match
        page = _PAGE_OF.get(match.url_name or "") if match else None
        target = reverse(page) if page else request.get_full_path()
    drop_pending_action(request)
    if request.method not in ("GET", "HEAD"):
        messages.info(request, "Nothing is changed yet. Once we know that it is you, please send it again.")
    methods = get_adapter(request).get_reauthentication_methods(request.user)
    return redirect(f"{methods[0]['url']}?{urlencode({'next': target})}")


def requires_proof(act: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate an admin action or page that requires a reauthentication within the last minutes."""

    @wraps(act)
    def wrapped(model_admin: Any, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return act(model_admin, request, *args, **kwargs) if is_recently_proved(request) else redirect_to_proof(request)

    return wrapped


class ProofCode(AbstractCodeVerificationProcess):
    """A mailed code for a signed-in user, kept in the session until it is used, too old or guessed too often."""

    _KEY = "proof_code"

    def __init__(self, request: HttpRequest, state: dict[str, Any]) -> None:
        self.request = request
        limits = {"timeout": settings.ACCOUNT_LOGIN_BY_CODE_TIMEOUT}
        super().__init__(
            max_attempts=settings.ACCOUNT_LOGIN_BY_CODE_MAX_ATTEMPTS, state=state, user=request.user, **limits
        )

    @classmethod
    def start(cls, request: HttpRequest) -> "ProofCode":
        """Mail a code to the user's main address. Raise Busy and NotAllowed as `AccountAdapter.send_mail`."""
        process = cls(request, cls.initial_state(request.user, request.user.email))  # type: ignore[union-attr]
        process.send()
        process.persist()
        return process

    @classmethod
    def pending(cls, request: HttpRequest) -> "ProofCode | None":
        """Return the code that was mailed to this user and is still valid."""
        state = request.session.get(cls._KEY)
        if not state or state.get("user_id") != cls.initial_state(request.user)["user_id"]:
            return None
        process: ProofCode | None = cls(request, state).abort_if_invalid()
        return process

    @property
    def tries_left(self) -> int:
        return int(self.max_attempts - self.state["failed_attempts"])

    def send(self) -> None:
        adapter = get_adapter(self.request)
        self.state["code"] = adapter.generate_login_code()
        context = {"request": self.request, "code": self.code}
        adapter.send_mail("account/email/proof_code", self.state["email"], context)

    def persist(self) -> None:
        self.request.session[self._KEY] = self.state

    def abort(self) -> None:
        self.request.session.pop(self._KEY, None)

    def finish(self) -> None:
        """Accept the code and record the reauthentication."""
        self.abort()
        record_authentication(
            self.request, self.request.user, method="code", email=self.state["email"], reauthenticated=True
        )
