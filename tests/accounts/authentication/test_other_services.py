"""Sign-in through a provider: verified addresses are accepted, others must be confirmed."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

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
from django.core import mail
from django.http import HttpRequest
from django.test import Client, RequestFactory, override_settings

from oasst.accounts.models import Session, User
from oasst.core.http.middleware import ContentSecurityPolicy
from tests.accounts.authentication.other_service import OtherService, other_service
from tests.factories import PASSWORD

pytestmark = pytest.mark.django_db


@pytest.fixture
def github() -> Iterator[None]:
    apps = [*site_settings.INSTALLED_APPS, "allauth.socialaccount.providers.github"]
    providers = {"github": {"APPS": [{"client_id": "id", "secret": "secret"}], "EMAIL_AUTHENTICATION": True}}
    with override_settings(INSTALLED_APPS=apps, SOCIALACCOUNT_PROVIDERS=providers):
        registry.loaded = False
        registry.load()
        yield
    registry.provider_map.pop("github", None)


def sign_in(email: str, *, verified: bool = True, login: str = "octo", uid: str = "7") -> tuple[Any, SessionBase]:
    """The response when GitHub redirects a user back with this profile."""
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


@pytest.mark.usefixtures("github")
class TestOtherServices:
    def test_a_new_person(self) -> None:
        response, session = sign_in("dora@example.org")
        dora = User.objects.get()
        assert session["_auth_user_id"] == str(dora.pk)
        assert response["Location"] == "/dashboard/"
        assert (dora.display_name, dora.email) == ("octo", "dora@example.org")
        assert EmailAddress.objects.get(user=dora).verified

    def test_the_same_person_by_another_door(self, alice: User) -> None:
        _, session = sign_in(str(alice.email))
        assert session["_auth_user_id"] == str(alice.pk)
        assert SocialAccount.objects.get().user == alice
        assert User.objects.count() == 1

    def test_an_address_that_nobody_vouched_for_opens_nothing(self, alice: User) -> None:
        _, session = sign_in(str(alice.email), verified=False)
        assert "_auth_user_id" not in session
        assert not SocialAccount.objects.filter(user=alice).exists()

    def test_a_new_unproven_address_is_asked_for(self) -> None:
        _, session = sign_in("dora@example.org", verified=False)
        assert "_auth_user_id" not in session

    def test_a_name_that_somebody_has_is_varied(self, alice: User) -> None:
        sign_in("dora@example.org", login="alice")
        dora = User.objects.get(email="dora@example.org")
        assert dora.display_name.startswith("alice ") and dora.owns_name

    def test_a_name_that_we_would_refuse(self) -> None:
        sign_in("dora@example.org", login="admin")
        assert User.objects.get().display_name != "admin"
        assert User.objects.get().display_name

    def test_an_address_that_somebody_else_only_claims(self, alice: User, eve: User) -> None:
        """Eve entered Dora's address without verifying it: Dora gets her own account, and Eve's claim is removed."""
        EmailAddress.objects.create(user=eve, email="dora@example.org", verified=False)
        _, session = sign_in("dora@example.org")
        assert session["_auth_user_id"] not in (str(eve.pk), str(alice.pk))
        assert EmailAddress.objects.get(email="dora@example.org").user.pk != eve.pk


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[OtherService]:
    with other_service(monkeypatch.setattr) as service:
        yield service


def begin(client: Client, name: str) -> dict[str, str]:
    """Press the button and return the request to the provider."""
    there = client.post(f"/accounts/{name}/login/")["Location"]
    return {key: values[0] for key, values in parse_qs(urlsplit(there).query).items()}


def come_back(client: Client, name: str, **answer: str) -> Any:
    return client.get(f"/accounts/{name}/login/callback/", {"code": "let-me-in", **answer})


@pytest.mark.parametrize("name", ["google", "discord", "github"])
class TestEachService:
    """Over real HTTP, but without a browser (tests/browser/test_social.py)."""

    def test_only_the_page_that_leaves_may_leave(self, client: Client, service: OtherService, name: str) -> None:
        for page in ("/accounts/login/", "/accounts/login/cancelled/", "/accounts/3rdparty/login/cancelled/", "/"):
            assert service.url not in client.get(page).headers["Content-Security-Policy"]
        policy = client.get(f"/accounts/{name}/login/").headers["Content-Security-Policy"]
        assert f"form-action 'self' {service.url};" in policy
        assert policy.replace(f" {service.url}", "") == ContentSecurityPolicy.POLICY

    def test_it_works(self, client: Client, service: OtherService, name: str) -> None:
        come_back(client, name, state=begin(client, name)["state"])
        assert client.session["_auth_user_id"] == str(User.objects.get(email="dora@example.org").pk)

    def test_a_known_person(self, client: Client, service: OtherService, name: str, alice: User) -> None:
        service.email = str(alice.email)
        come_back(client, name, state=begin(client, name)["state"])
        assert client.session["_auth_user_id"] == str(alice.pk)

    def test_an_unproven_address_is_joined_to_nobody(
        self, client: Client, service: OtherService, name: str, alice: User
    ) -> None:
        service.email, service.verified = str(alice.email), False
        come_back(client, name, state=begin(client, name)["state"])
        assert "_auth_user_id" not in client.session
        assert not SocialAccount.objects.exists()

    @pytest.mark.parametrize("state", ["", "guessed", "of another browser"])
    def test_an_answer_that_this_browser_did_not_ask_for(
        self, client: Client, service: OtherService, name: str, state: str
    ) -> None:
        begin(client, name)
        if state == "of another browser":
            state = begin(Client(), name)["state"]
        response = come_back(client, name, state=state)
        assert response.status_code == 401
        assert "come in with a code" in response.text
        assert "_auth_user_id" not in client.session and not User.objects.exists()

    def test_a_refused_consent(self, client: Client, service: OtherService, name: str) -> None:
        answer = {"error": "access_denied", "state": begin(client, name)["state"]}
        response = client.get(f"/accounts/{name}/login/callback/", answer, follow=True)
        assert "You turned back" in response.text and "code by e-mail" in response.text

    def test_a_suspended_person_reads_why(self, client: Client, service: OtherService, name: str, alice: User) -> None:
        service.email = str(alice.email)
        User.objects.update(enabled=False, ban_reason="Spam")
        come_back(client, name, state=begin(client, name)["state"])
        assert client.get("/dashboard/")["Location"] == "/suspended/"


def test_linking_from_a_stolen_session_asks_who_is_there(client: Client, service: OtherService, alice: User) -> None:
    client.force_login(alice)
    session = client.session
    session["signed_in_at"] = 0
    session.save()
    asked = link_discord(client)["Location"]
    assert asked == "/accounts/reauthenticate/?next=%2Faccounts%2F3rdparty%2F"
    assert not SocialAccount.objects.exists()
    page = client.get(asked).text
    assert "Nothing is linked yet" in page
    # What a thief prepared is not done after the owner reauthenticates.
    assert client.post(asked, {"password": PASSWORD})["Location"] == "/accounts/3rdparty/"
    assert not SocialAccount.objects.exists()
    link_discord(client)
    assert SocialAccount.objects.get().user == alice
    assert mail.outbox[-1].subject == "A sign-in was linked"


def test_a_proof_takes_up_nothing_that_waited_in_the_session(
    client: Client, service: OtherService, alice: User
) -> None:
    """allauth would continue a pending action, whoever started it."""
    client.force_login(alice)
    session = client.session
    session["signed_in_at"] = 0
    session["account_reauthentication_state"] = {"state": {}, "callback": f"{__name__}.prepared_by_eve"}
    session.save()
    assert client.post("/accounts/reauthenticate/", {"password": PASSWORD})["Location"] == "/dashboard/"
    assert client.get("/me/tokens/").status_code == 200


def prepared_by_eve(request: HttpRequest, state: Any) -> None:
    raise AssertionError("it was taken up")


def link_discord(client: Client) -> Any:
    there = client.post("/accounts/discord/login/?process=connect")["Location"]
    return come_back(client, "discord", state=parse_qs(urlsplit(there).query)["state"][0])
