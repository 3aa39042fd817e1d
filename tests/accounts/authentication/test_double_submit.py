"""Two concurrent submits of the same form on the account pages."""

import re
from typing import Any

import pytest
from allauth.account.models import EmailAddress, EmailConfirmationHMAC
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP
from allauth.socialaccount.models import SocialAccount, SocialLogin
from django.db import connection
from django.test import Client

from oasst.accounts import registration
from oasst.accounts.models import User
from tests.accounts.authentication.other_service import OtherService
from tests.accounts.authentication.test_other_services import begin, come_back, service
from tests.accounts.authentication.test_second_factor import code, give_app
from tests.concurrency.together import rival_before

__all__ = ["service"]
pytestmark = pytest.mark.django_db(transaction=True)


def test_switching_the_app_on(client: Client, alice: User) -> None:
    client.force_login(alice)
    page = client.get("/accounts/2fa/totp/activate/").text
    secret = re.search(r"secret=([A-Z2-7]{32})", page)
    assert secret
    with rival_before(TOTP, "activate", lambda: give_app(alice)):
        told = client.post("/accounts/2fa/totp/activate/", {"code": code(secret=secret[1])}, follow=True)
    assert told.redirect_chain == [("/accounts/2fa/recovery-codes/", 302)]
    assert "came in twice" in told.text
    assert Authenticator.objects.filter(user=alice, type="totp").count() == 1


def test_coming_back_from_another_service(client: Client, service: OtherService) -> None:
    def sign_in() -> None:
        dora = registration.create_user(email=service.email)
        SocialAccount.objects.create(user=dora, provider="github", uid=service.uid)

    with rival_before(SocialLogin, "save", sign_in):
        told = come_back(client, "github", state=begin(client, "github")["state"])
    assert told["Location"] == "/accounts/login/"
    assert "came in twice" in client.get("/accounts/login/").text
    assert User.objects.filter(email=service.email).count() == 1


def test_two_people_confirm_the_same_address(client: Client, alice: User, eve: User) -> None:
    address = EmailAddress.objects.create(user=alice, email="both@example.org")
    link = f"/accounts/confirm-email/{EmailConfirmationHMAC(address).key}/"
    client.force_login(alice)

    def confirm() -> None:
        EmailAddress.objects.create(user=eve, email=address.email, verified=True)

    with rival_before(EmailAddress, "set_as_primary", confirm):
        told = client.post(link, follow=True)
    assert told.redirect_chain[-1][0] == link and "belongs to another account" in told.text


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO account_emailaddress (email) VALUES ('x')",
        "INSERT INTO account_emailaddress SELECT * FROM account_emailaddress",  # twice, on a page without a known race
    ],
)
def test_other_faults_are_still_faults(client: Client, alice: User, monkeypatch: Any, statement: str) -> None:
    client.raise_request_exception = False
    client.force_login(alice)

    def broken(*args: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement)

    monkeypatch.setattr("allauth.account.views.flows.manage_email.sync_user_email_address", broken)
    assert client.get("/accounts/email/").status_code == 500
