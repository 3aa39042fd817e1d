"""Adapters of django-allauth: limits, names, roles, and who may create an account."""

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
from oasst.accounts.account_bans import suspend_if_returning
from oasst.accounts.authentication import attempt_limits, reauthentication, second_factor, sessions
from oasst.accounts.authentication.proof import is_recently_proved
from oasst.accounts.email_addresses import why_refused
from oasst.accounts.email_owners import drop_unverified_claims, find_owner
from oasst.accounts.models import User
from oasst.accounts.names import friendly_name
from oasst.accounts.roles import apply_listed_role
from oasst.accounts.site_settings.reading import current
from oasst.accounts.time_zones import user_zone
from oasst.core.errors import DomainError, NotAllowed
from oasst.core.http.requests import client_address, is_own_page
from oasst.core.ratelimit import PROVIDER_SIGN_INS, count_use
from oasst.core.text.validation import NAME_LIMIT, clean_name

# Mails that anybody can request for anybody. All others follow an action of a signed-in user.
_MAILS_ON_REQUEST = (
    *("account/email/login_code", "account/email/password_reset_key", "account/email/unknown_account"),
    *("account/email/email_confirmation", "account/email/account_already_exists", "account/email/proof_code"),
)
# Labels of the ways to reauthenticate.
_METHODS = {
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
        """Close allauth's form: new users sign up by code or provider, because that form verifies nothing."""
        return False

    def clean_email(self, email: str) -> str:
        """Check an address in every form of allauth."""
        if reason := why_refused(email):
            raise ValidationError(reason, "email")
        return email

    def is_safe_url(self, url: str) -> bool:
        """Use our own check, because allauth's crashes on a garbled URL."""
        return is_own_page(self.request, url)

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        if template_prefix.startswith(_MAILS_ON_REQUEST):
            if not settings.SENDS_MAIL:
                raise NotAllowed(NO_MAIL, code="no_mail")
            attempt_limits.count_mail(self.request, email)
        context = {name: self._to_public_url(value) for name, value in context.items()}
        super().send_mail(template_prefix, email, context | {"site_url": settings.PUBLIC_URL})

    def _to_public_url(self, value: Any) -> Any:
        """Let links lead to PUBLIC_URL and not to the host of the request, which its sender chose."""
        if not isinstance(value, str) or urlsplit(value).netloc != self.request.get_host():
            return value
        parts = urlsplit(value)
        return settings.PUBLIC_URL + parts.path + (f"?{parts.query}" if parts.query else "")

    def authenticate(self, request: HttpRequest, **credentials: Any) -> User | None:
        """Check a password. Raise Busy `rate_limited` after too many attempts."""
        attempt_limits.count_password(request, credentials.get("email", ""))
        user = super().authenticate(request, **credentials)
        return user if isinstance(user, User) else None

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Skip allauth's own limit, which lives in the cache and without Redis would lock everybody out."""

    def confirm_email(self, request: HttpRequest, email_address: EmailAddress) -> bool:
        """Refuse to add the address of a suspended account to another one, and say so only after verification."""
        is_new = not email_address.verified and email_address.user.enabled
        if is_new and suspensions.find_suspension([suspensions.address_name(email_address.email)]):
            messages.error(request, "This address belonged to an account that is suspended. It cannot be added.")
            return False
        with transaction.atomic():
            if is_new:
                drop_unverified_claims(email_address.email, but_of=email_address.user)
            confirmed: bool = super().confirm_email(request, email_address)
        return confirmed

    def get_reauthentication_methods(self, user: Any) -> list[dict[str, Any]]:
        """Return the ways to reauthenticate, the best first.

        Users with a second factor must use it, because a thief may also have the password and the mailbox.
        """
        if not user.is_authenticated:
            return []
        methods = super().get_reauthentication_methods(user)
        factors = [method for method in methods if method["id"].startswith("mfa_")]
        if not factors and settings.SENDS_MAIL and user.email:
            methods.append({"id": "code", "url": reverse("account_reauthenticate_code")})
        labels = _METHODS
        if factors and "totp" not in second_factor.factor_types(user):  # the security key before recovery codes
            factors.reverse()
            labels = {**_METHODS, "mfa_reauthenticate": "With a recovery code"}
        methods = [*(factors or methods), {"id": "sign_in_again", "url": reverse("sign_in_again")}]
        return [{**method, "description": labels.get(method["id"], method["id"])} for method in methods]

    def is_reauthentication_required(self, *, app: str, **kwargs: Any) -> bool:
        """Raise ReauthenticationRequired unless the user has recently proved who they are.

        allauth would let users without a password and a second factor pass, and here nearly all users have neither.
        """
        if not is_recently_proved(self.request):
            raise ReauthenticationRequired
        return False

    def send_notification_mail(
        self, template_prefix: str, user: Any, context: dict[str, Any] | None = None, email: str | None = None
    ) -> None:
        """Send a notice. A failing mail server is only logged, because the change has already happened."""
        context = {**sessions.describe_client(self.request), **(context or {})}
        try:
            with timezone.override(user_zone(user)):  # the recipient's zone, not the actor's
                super().send_notification_mail(template_prefix, user, context, email)
        except OSError as error:  # the base class of smtplib's errors
            log.warning("notice_not_sent", what=template_prefix, reason=str(error))

    def get_client_ip(self, request: HttpRequest) -> str:
        return client_address(request)

    def login(self, request: HttpRequest, user: Any) -> None:
        apply_listed_role(user)
        super().login(request, user)


class SocialAccountAdapter(DefaultSocialAccountAdapter):
    def generate_state_param(self, state: dict[str, Any]) -> str:
        """Limit sign-ins through providers, each of which stores a state in a session."""
        count_use(PROVIDER_SIGN_INS, client_address(allauth_context.request))
        return str(super().generate_state_param(state))

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        return current().takes_new_people

    def authenticate_by_email(self, sociallogin: SocialLogin) -> tuple[User, str] | None:
        """Return the user who has verified an address for which the provider vouches.

        allauth would also accept an account with an unverified claim to the address, and so sign in the address owner
        to a stranger's account. Such claims are removed here, as when a code verifies the address.
        """
        for email in [address.email.lower() for address in sociallogin.email_addresses if address.verified]:
            if self.can_authenticate_by_email(sociallogin, email):
                drop_unverified_claims(email)
                if user := find_owner(email):
                    return user, email
        return None

    def save_user(self, request: HttpRequest, sociallogin: SocialLogin, form: BaseForm | None = None) -> Any:
        user = sociallogin.user
        with transaction.atomic():
            names.set_own_name(user, names.free_name(user.display_name or _usable_name(sociallogin)))
            saved = super().save_user(request, sociallogin, form)
            suspend_if_returning(saved, _names_at_provider(sociallogin))
        return saved

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Refuse to link a provider account from a stolen session, or that of a suspended user to another account.

        allauth would also ask for a reauthentication, but then link the account even if somebody else had started.
        Addresses that we would refuse from the user are ignored; a user without another address is asked for one.
        """
        sociallogin.email_addresses = [a for a in sociallogin.email_addresses if not why_refused(a.email)]
        if not sociallogin.is_existing and why_refused(sociallogin.user.email or ""):
            sociallogin.user.email = None
        if sociallogin.state.get("process") != AuthProcess.CONNECT or not request.user.is_authenticated:
            return
        if not is_recently_proved(request):
            messages.info(request, "Nothing is linked yet. Once we know that it is you, please link it again.")
            raise ImmediateHttpResponse(
                reauthentication.redirect_to_proof(request, reverse("socialaccount_connections"))
            )
        if request.user.enabled and suspensions.find_suspension(_names_at_provider(sociallogin)[:1]):
            messages.error(request, "This sign-in belonged to an account that is suspended. It cannot be linked.")
            raise ImmediateHttpResponse(redirect("socialaccount_connections"))


def _names_at_provider(sociallogin: SocialLogin) -> list[str]:
    """Return the names for `suspensions`: the account, and the addresses for which the provider vouches."""
    account = sociallogin.account
    verified = [suspensions.address_name(address.email) for address in sociallogin.email_addresses if address.verified]
    return [suspensions.account_name(account.provider, account.uid), *verified]


def _usable_name(sociallogin: SocialLogin) -> str:
    """Return the name at the provider, or a friendly name if it is not allowed here."""
    data = sociallogin.account.extra_data
    name = data.get("global_name") or data.get("login") or data.get("given_name") or data.get("username") or ""
    try:
        return clean_name(str(name)[:NAME_LIMIT])
    except DomainError:
        return friendly_name()
