"""Signing in through another service: what it vouches for is believed, what it does not is asked for."""

from collections.abc import Iterator
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.core import context
from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.internal.flows.login import complete_login
from allauth.socialaccount.models import SocialAccount, SocialLogin
from allauth.socialaccount.providers import registry
from django.conf import settings as site_settings
from django.contrib.messages.storage.fallback import FallbackStorage
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest
from django.test import RequestFactory, override_settings

from oasst.accounts.models import Session, User

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _github() -> Iterator[None]:
    apps = [*site_settings.INSTALLED_APPS, "allauth.socialaccount.providers.github"]
    providers = {"github": {"APPS": [{"client_id": "id", "secret": "secret"}], "EMAIL_AUTHENTICATION": True}}
    with override_settings(INSTALLED_APPS=apps, SOCIALACCOUNT_PROVIDERS=providers):
        registry.loaded = False
        registry.load()
        yield
    registry.provider_map.pop("github", None)


def come_in(email: str, *, verified: bool = True, login: str = "octo", uid: str = "7") -> tuple[Any, SessionBase]:
    """What happens when GitHub sends somebody back to us with this profile."""
    from django.contrib.auth.models import AnonymousUser

    request: HttpRequest = RequestFactory().get("/accounts/github/login/callback/")
    request.session = Session.get_session_store_class()()
    request.user = AnonymousUser()
    request._messages = FallbackStorage(request)  # type: ignore[attr-defined]
    request.allauth = None  # type: ignore[attr-defined]
    profile = {"login": login, "id": uid, "email": email}
    with context.request_context(request):
        provider = get_adapter().get_provider(request, "github")
        social = SocialLogin(
            user=User(email=email),
            account=SocialAccount(provider="github", uid=uid, extra_data=profile),
            email_addresses=[EmailAddress(email=email, verified=verified, primary=True)],
            provider=provider,
        )
        return complete_login(request, social), request.session


class TestOtherServices:
    def test_a_new_person(self) -> None:
        response, session = come_in("dora@example.org")
        dora = User.objects.get()
        assert session["_auth_user_id"] == str(dora.pk)
        assert response["Location"] == "/dashboard/"
        assert (dora.display_name, dora.email) == ("octo", "dora@example.org")
        assert EmailAddress.objects.get(user=dora).verified

    def test_the_same_person_by_another_door(self, alice: User) -> None:
        _, session = come_in(str(alice.email))
        assert session["_auth_user_id"] == str(alice.pk)
        assert SocialAccount.objects.get().user == alice
        assert User.objects.count() == 1

    def test_an_address_that_nobody_vouched_for_opens_nothing(self, alice: User) -> None:
        _, session = come_in(str(alice.email), verified=False)
        assert "_auth_user_id" not in session
        assert not SocialAccount.objects.filter(user=alice).exists()

    def test_a_new_unproven_address_is_asked_for(self) -> None:
        _, session = come_in("dora@example.org", verified=False)
        assert "_auth_user_id" not in session

    def test_a_name_that_we_would_refuse(self) -> None:
        come_in("dora@example.org", login="admin")
        assert User.objects.get().display_name != "admin"
        assert User.objects.get().display_name
