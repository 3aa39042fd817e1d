"""Asking once more who is at the screen, before something that can not be taken back or that would let somebody stay.

A session can be stolen; what only it opens must not make it permanent. django-allauth has the steps (the pages for a
password and a second factor, alternatives, going on afterwards). Ours are: which pages ask, that a sign-in counts as
proof too, and a code by mail for people without a password, for whom the library would ask nothing.
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

from oasst.accounts.authentication.proof import drop_what_waits, is_proved

ADMIN_HOURS = 12
"""The admin asks again after so long, since its pages stay open all day."""

# Pages by the name of their address. Read, they ask as well: nobody types into a form first and is asked afterwards.
ASK_FIRST = frozenset(
    {
        *("account_email", "account_change_password", "account_set_password", "socialaccount_connections"),
        *("profile_delete", "tokens", "token_revoke", "programs_leave"),
        *("mfa_activate_totp", "mfa_deactivate_totp", "mfa_list_webauthn", "mfa_add_webauthn", "mfa_edit_webauthn"),
        *("mfa_remove_webauthn", "mfa_view_recovery_codes", "mfa_generate_recovery_codes"),
        "mfa_download_recovery_codes",
    }
)
# Where to go on, of addresses that only take forms.
_PAGE_OF = {"token_revoke": "tokens", "programs_leave": "tokens"}


def ask(request: HttpRequest, then: str = "") -> HttpResponse:
    """To the first way to prove it that this person has, and then on to `then` (by default where they were going)."""
    if not then:
        match = request.resolver_match
        page = _PAGE_OF.get(match.url_name or "") if match else None
        then = reverse(page) if page else request.get_full_path()
    drop_what_waits(request)
    if request.method not in ("GET", "HEAD"):
        messages.info(request, "Nothing is changed yet. Once we know that it is you, please send it again.")
    ways = get_adapter(request).get_reauthentication_methods(request.user)
    return redirect(f"{ways[0]['url']}?{urlencode({'next': then})}")


def asks_first(act: Callable[..., Any]) -> Callable[..., Any]:
    """An action or a page of an admin that wants a proof of the last minutes, not only one of this day."""

    @wraps(act)
    def asked(model_admin: Any, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return act(model_admin, request, *args, **kwargs) if is_proved(request) else ask(request)

    return asked


class ProofCode(AbstractCodeVerificationProcess):
    """A code by mail for somebody who is signed in. The session keeps it until it is used, too old or guessed at."""

    _KEY = "proof_code"

    def __init__(self, request: HttpRequest, state: dict[str, Any]) -> None:
        self.request = request
        limits = {"timeout": settings.ACCOUNT_LOGIN_BY_CODE_TIMEOUT}
        super().__init__(
            max_attempts=settings.ACCOUNT_LOGIN_BY_CODE_MAX_ATTEMPTS, state=state, user=request.user, **limits
        )

    @classmethod
    def start(cls, request: HttpRequest) -> "ProofCode":
        """Mail a code to the person's main address. Raises Busy as every mail that is asked for."""
        process = cls(request, cls.initial_state(request.user, request.user.email))  # type: ignore[union-attr]
        process.send()
        process.persist()
        return process

    @classmethod
    def pending(cls, request: HttpRequest) -> "ProofCode | None":
        """The code that was mailed to this person and is still good."""
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
        """It was the right one."""
        self.abort()
        record_authentication(
            self.request, self.request.user, method="code", email=self.state["email"], reauthenticated=True
        )
