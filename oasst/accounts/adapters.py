"""Where django-allauth asks us: limits, names, roles, and who may make an account how."""

from typing import Any
from urllib.parse import urlsplit

from allauth.account.adapter import DefaultAccountAdapter
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialLogin
from django.conf import settings
from django.forms import BaseForm
from django.http import HttpRequest

from oasst.accounts.models import User
from oasst.accounts.names import friendly_name
from oasst.accounts.services import raise_listed_role
from oasst.core.errors import DomainError
from oasst.core.ratelimit import (
    PASSWORDS_FOR_ACCOUNT,
    PASSWORDS_FROM_ADDRESS,
    SIGN_IN_CODES_FROM_ADDRESS,
    SIGN_IN_CODES_TO_MAILBOX,
    spend,
)
from oasst.core.requests import client_address, is_own_page
from oasst.core.text import NAME_LIMIT, clean_name

# Mails that anybody can have sent to anybody. The others follow something that a signed-in person did.
_MAILS_ON_REQUEST = (
    *("account/email/login_code", "account/email/password_reset_key", "account/email/unknown_account"),
    *("account/email/email_confirmation", "account/email/account_already_exists"),
)


class AccountAdapter(DefaultAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """New people come in by code or by another service; a form that takes any address and a password is no
        proof.
        """
        return False

    def is_safe_url(self, url: str) -> bool:
        """By the rule of our own pages. The library's crashes where an address is garbled."""
        return is_own_page(self.request, url)

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        if template_prefix.startswith(_MAILS_ON_REQUEST):
            spend(SIGN_IN_CODES_FROM_ADDRESS, client_address(self.request))
            spend(SIGN_IN_CODES_TO_MAILBOX, email)
        context = {name: self._at_home(value) for name, value in context.items()} | {"site_url": settings.PUBLIC_URL}
        super().send_mail(template_prefix, email, context)

    def _at_home(self, value: Any) -> Any:
        """Links lead to PUBLIC_URL, not to whatever Host and port the asker of the mail wrote into the request."""
        if not isinstance(value, str) or urlsplit(value).netloc != self.request.get_host():
            return value
        return settings.PUBLIC_URL + urlsplit(value).path

    def authenticate(self, request: HttpRequest, **credentials: Any) -> User | None:
        """Every attempt counts, also the right one: forgetting it would let a guesser reset the count."""
        spend(PASSWORDS_FROM_ADDRESS, client_address(request))
        spend(PASSWORDS_FOR_ACCOUNT, credentials.get("email", ""))
        user = super().authenticate(request, **credentials)
        return user if isinstance(user, User) else None

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """The library's own limit is not used: it lives in the cache, and without Redis it would lock everybody out."""

    def login(self, request: HttpRequest, user: Any) -> None:
        raise_listed_role(user)
        super().login(request, user)


class SocialAccountAdapter(DefaultSocialAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        return True

    def save_user(self, request: HttpRequest, sociallogin: SocialLogin, form: BaseForm | None = None) -> Any:
        user = sociallogin.user
        if not user.display_name:
            user.display_name = _usable_name(sociallogin)
        return super().save_user(request, sociallogin, form)


def _usable_name(sociallogin: SocialLogin) -> str:
    """The name that the other service gives, if we would have taken it from the person."""
    data = sociallogin.account.extra_data
    given = data.get("global_name") or data.get("login") or data.get("given_name") or data.get("username") or ""
    try:
        return clean_name(str(given)[:NAME_LIMIT])
    except DomainError:
        return friendly_name()
