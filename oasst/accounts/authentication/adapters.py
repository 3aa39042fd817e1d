"""Where django-allauth asks us: limits, names, roles, and who may make an account how."""

from typing import Any
from urllib.parse import urlsplit

import structlog
from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailAddress
from allauth.core import context as allauth_context
from allauth.core.exceptions import ImmediateHttpResponse, ReauthenticationRequired
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialLogin
from allauth.socialaccount.providers.base import AuthProcess
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.forms import BaseForm
from django.http import HttpRequest
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone

from oasst.accounts import names, suspensions
from oasst.accounts.account_bans import suspend_if_known
from oasst.accounts.authentication import attempt_limits, reauthentication, second_factor, sessions
from oasst.accounts.authentication.proof import is_proved
from oasst.accounts.email_addresses import refusal
from oasst.accounts.email_owners import drop_unproven_claims, find_owner
from oasst.accounts.models import User
from oasst.accounts.names import friendly_name
from oasst.accounts.roles import raise_listed_role
from oasst.accounts.time_zones import zone_of
from oasst.core.errors import DomainError, NotAllowed
from oasst.core.http.requests import client_address, is_own_page
from oasst.core.ratelimit import SIGN_INS_ELSEWHERE, spend
from oasst.core.text.validation import NAME_LIMIT, clean_name

# Mails that anybody can have sent to anybody. The others follow something that a signed-in person did.
_MAILS_ON_REQUEST = (
    *("account/email/login_code", "account/email/password_reset_key", "account/email/unknown_account"),
    *("account/email/email_confirmation", "account/email/account_already_exists", "account/email/proof_code"),
)
# How people read the ways to prove once more who they are.
_WAYS = {
    "reauthenticate": "With your password",
    "code": "With a code by e-mail",
    "mfa_reauthenticate": "With your authenticator app or a recovery code",
    "mfa_reauthenticate:webauthn": "With your security key",
    "sign_in_again": "Sign out and in again",
}

log = structlog.get_logger(__name__)


NO_MAIL = "This site sends no mail, so no code or link can come to you. Ask whoever runs it for a sign-in link."


class AccountAdapter(DefaultAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """New people come in by code or by another service; a form that takes any address and a password is no
        proof.
        """
        return False

    def clean_email(self, email: str) -> str:
        """Of every form of the library in which somebody types an address of theirs."""
        if reason := refusal(email):
            raise ValidationError(reason, "email")
        return email

    def is_safe_url(self, url: str) -> bool:
        """By the rule of our own pages. The library's crashes where an address is garbled."""
        return is_own_page(self.request, url)

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        if template_prefix.startswith(_MAILS_ON_REQUEST):
            if not settings.SENDS_MAIL:
                raise NotAllowed(NO_MAIL, code="no_mail")
            attempt_limits.count_mail(self.request, email)
        context = {name: self._at_home(value) for name, value in context.items()} | {"site_url": settings.PUBLIC_URL}
        super().send_mail(template_prefix, email, context)

    def _at_home(self, value: Any) -> Any:
        """Links lead to PUBLIC_URL, not to whatever Host and port the asker of the mail wrote into the request."""
        if not isinstance(value, str) or urlsplit(value).netloc != self.request.get_host():
            return value
        return settings.PUBLIC_URL + urlsplit(value).path

    def authenticate(self, request: HttpRequest, **credentials: Any) -> User | None:
        """Raises Busy `rate_limited` after too many attempts."""
        attempt_limits.count_password(request, credentials.get("email", ""))
        user = super().authenticate(request, **credentials)
        return user if isinstance(user, User) else None

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """The library's own limit is not used: it lives in the cache, and without Redis it would lock everybody out."""

    def confirm_email(self, request: HttpRequest, email_address: EmailAddress) -> bool:
        """Nobody hangs the address of a suspended account on another one. Told after the mailbox was proven."""
        is_new = not email_address.verified and email_address.user.enabled
        if is_new and suspensions.find([suspensions.address(email_address.email)]):
            messages.error(request, "This address belonged to an account that is suspended. It cannot be added.")
            return False
        with transaction.atomic():
            if is_new:
                drop_unproven_claims(email_address.email, but_of=email_address.user)
            confirmed: bool = super().confirm_email(request, email_address)
        return confirmed

    def get_reauthentication_methods(self, user: Any) -> list[dict[str, Any]]:
        """The ways to prove once more who one is, the best first. Whoever has a second factor proves that one: the
        password and the mailbox are what a thief may have as well.
        """
        if not user.is_authenticated:
            return []
        ways = super().get_reauthentication_methods(user)
        factors = [way for way in ways if way["id"].startswith("mfa_")]
        if not factors and settings.SENDS_MAIL and user.email:
            ways.append({"id": "code", "url": reverse("account_reauthenticate_code")})
        words = _WAYS
        if factors and "totp" not in second_factor.kinds_of(user):  # the key before its recovery codes
            factors.reverse()
            words = {**_WAYS, "mfa_reauthenticate": "With a recovery code"}
        ways = [*(factors or ways), {"id": "sign_in_again", "url": reverse("sign_in_again")}]
        return [{**way, "description": words.get(way["id"], way["id"])} for way in ways]

    def is_reauthentication_required(self, *, app: str, **kwargs: Any) -> bool:
        """Whether it is needed at all, asks the library; then it lets pass whoever has neither password nor second
        factor, which here is nearly everybody. So the answer to its second question is given here as well.
        """
        if not is_proved(self.request):
            raise ReauthenticationRequired
        return False

    def send_notification_mail(
        self, template_prefix: str, user: Any, context: dict[str, Any] | None = None, email: str | None = None
    ) -> None:
        """What it tells of has happened: a mail server that is away must not turn it into an error page."""
        context = {**sessions.where_from(self.request), **(context or {})}
        try:
            with timezone.override(zone_of(user)):  # whoever acts may live elsewhere
                super().send_notification_mail(template_prefix, user, context, email)
        except OSError as error:  # also the errors of smtplib
            log.warning("notice_not_sent", what=template_prefix, reason=str(error))

    def get_client_ip(self, request: HttpRequest) -> str:
        return client_address(request)

    def login(self, request: HttpRequest, user: Any) -> None:
        raise_listed_role(user)
        super().login(request, user)


class SocialAccountAdapter(DefaultSocialAccountAdapter):
    def generate_state_param(self, state: dict[str, Any]) -> str:
        """Called when somebody is sent to another service, which stores a state in a session of theirs."""
        spend(SIGN_INS_ELSEWHERE, client_address(allauth_context.request))
        return str(super().generate_state_param(state))

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        return True

    def authenticate_by_email(self, sociallogin: SocialLogin) -> tuple[User, str] | None:
        """Whose account it is by an address that the service vouches for and that was proven here as well.

        The library also takes an account that only claims the address: whoever typed in somebody else's would find
        that person in their own account. A claim without proof ends here, as it does when a code proves the address.
        """
        for email in [one.email.lower() for one in sociallogin.email_addresses if one.verified]:
            if self.can_authenticate_by_email(sociallogin, email):
                drop_unproven_claims(email)
                if person := find_owner(email):
                    return person, email
        return None

    def save_user(self, request: HttpRequest, sociallogin: SocialLogin, form: BaseForm | None = None) -> Any:
        user = sociallogin.user
        with transaction.atomic():
            names.own(user, names.free_name(user.display_name or _usable_name(sociallogin)))
            saved = super().save_user(request, sociallogin, form)
            suspend_if_known(saved, _names_at_other_service(sociallogin))
        return saved

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Nobody links a sign-in from a stolen session, or that of a suspended person to another account.

        The library would ask as well, but keep the sign-in and link it after the next proof, whoever had begun.
        Addresses that we would not take from the person are not taken from the service either; who has no other is
        asked for one.
        """
        sociallogin.email_addresses = [one for one in sociallogin.email_addresses if not refusal(one.email)]
        if not sociallogin.is_existing and refusal(sociallogin.user.email or ""):
            sociallogin.user.email = None
        if sociallogin.state.get("process") != AuthProcess.CONNECT or not request.user.is_authenticated:
            return
        if not is_proved(request):
            messages.info(request, "Nothing is linked yet. Once we know that it is you, please link it again.")
            raise ImmediateHttpResponse(reauthentication.ask(request, reverse("socialaccount_connections")))
        if request.user.enabled and suspensions.find(_names_at_other_service(sociallogin)[:1]):
            messages.error(request, "This sign-in belonged to an account that is suspended. It cannot be linked.")
            raise ImmediateHttpResponse(redirect("socialaccount_connections"))


def _names_at_other_service(sociallogin: SocialLogin) -> list[str]:
    """What may be known of a suspension: the account there, and the addresses that the service vouches for."""
    account = sociallogin.account
    proven = [suspensions.address(one.email) for one in sociallogin.email_addresses if one.verified]
    return [suspensions.account(account.provider, account.uid), *proven]


def _usable_name(sociallogin: SocialLogin) -> str:
    """The name that the other service gives, if we would have taken it from the person."""
    data = sociallogin.account.extra_data
    given = data.get("global_name") or data.get("login") or data.get("given_name") or data.get("username") or ""
    try:
        return clean_name(str(given)[:NAME_LIMIT])
    except DomainError:
        return friendly_name()
