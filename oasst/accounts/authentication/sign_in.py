"""Sign-in by a mailed code, the same for new and existing users.

django-allauth has the steps (a pending login in the session, attempts, resending, second factors), but it mails unknown
addresses that they have no account. Here everybody gets a code, and the account is created after the right code: a
mistyped address leaves nothing behind, and nobody can find out who has an account.
"""

import time
from typing import Any

import structlog
from allauth.account.internal.flows.login_by_code import LoginCodeVerificationProcess
from allauth.account.models import Login
from allauth.account.stages import EmailVerificationStage, LoginByCodeStage, LoginStageController
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from oasst.accounts import email_owners, registration
from oasst.accounts.authentication import mailed_sign_ins
from oasst.accounts.authentication.adapters import AccountAdapter
from oasst.accounts.authentication.sessions import describe_client
from oasst.accounts.models import Role, User
from oasst.core.errors import DomainError
from oasst.core.http.requests import safe_next

log = structlog.get_logger(__name__)
LINK = "link"
"""Key of the pending sign-in in the session: the id of the `MailedSignIn` of its mail."""


def is_browser_of(user: User, request: HttpRequest) -> bool:
    """Return True if the user is signed in here, or has signed in here except for verifying their address."""
    if request.user.is_authenticated:
        return bool(request.user.pk == user.pk)
    stage = LoginStageController.enter(request, EmailVerificationStage.key)
    return bool(stage and stage.login.user and stage.login.user.pk == user.pk)


class SignInCode(LoginCodeVerificationProcess):
    @classmethod
    def start(cls, request: HttpRequest, email: str) -> "SignInCode":
        """Mail a code to this address and store the pending sign-in in the session."""
        user = email_owners.find_owner(email)
        login = Login(user=user, email=email)
        login.state["stages"] = {"current": LoginByCodeStage.key}
        stage = LoginByCodeStage(LoginStageController(request, login), request, login)
        stage.state.update(cls.initial_state(user=user, email=email))
        stage.state["initiated_by_user"] = True
        process = cls(stage=stage)
        process.send()
        process.persist()
        return process

    @classmethod
    def resume(cls, stage: LoginByCodeStage) -> "SignInCode | None":
        return cls(stage=stage).abort_if_invalid()

    def send_by_email(self, email: str, skip_enumeration_mails: bool = False) -> None:
        """Mail a code and a link, which replace those before."""
        earlier = self.state.get(LINK)
        link, self.state[LINK] = mailed_sign_ins.make_link(
            email,
            asked_from=describe_client(self.request)["program"],
            next_page=safe_next(self.request, ""),
        )
        context = {"request": self.request, "code": self.generate_code(), "link": link}
        try:
            AccountAdapter(self.request).send_mail("account/email/login_code", email, context)
        except DomainError:
            mailed_sign_ins.forget(self.state[LINK])
            self.state[LINK] = earlier
            raise
        mailed_sign_ins.forget(earlier)

    def resend(self) -> None:
        self.send()
        self.state["at"] = time.time()  # the new code gets a full lifetime
        self.record_resend()
        self.persist()

    def finish(self, redirect_url: str | None) -> HttpResponseBase:
        mailed_sign_ins.forget(self.state.get(LINK))
        self._user: Any = registration.get_or_create_by_email(self.state["email"])
        return super().finish(redirect_url)


def forget_first_run(user: User, **kwargs: Any) -> None:
    """Handle `user_logged_in`: after an administrator signed in, delete the file with the first password."""
    if user.role != Role.ADMIN:
        return
    try:
        settings.FIRST_RUN_FILE.unlink(missing_ok=True)
    except OSError as error:
        log.warning("first_run_file_stays", path=str(settings.FIRST_RUN_FILE), reason=error.strerror)
