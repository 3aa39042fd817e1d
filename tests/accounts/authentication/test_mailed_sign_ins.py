"""The link beside a mailed code: it signs in once, wherever it is opened, and looking at it does nothing."""

import re
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings as site
from django.core import mail
from django.test import Client
from django.utils import timezone

from oasst.accounts.authentication import mailed_sign_ins
from oasst.accounts.models import MailedSignIn, User
from oasst.site.schedules import clear_sessions_of_nobody
from tests.concurrency.together import at_once

pytestmark = pytest.mark.django_db
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def ask(client: Client, email: str, **fields: str) -> str:
    """Ask for a code, and return path and query of the link in the mail."""
    client.post("/accounts/login/code/", {"email": email, **fields}, headers={"User-Agent": FIREFOX})
    return newest_link()


def newest_link() -> str:
    found = re.search(r"^(http\S+/accounts/login/link/\?key=\S+)$", str(mail.outbox[-1].body), re.MULTILINE)
    assert found and found[1].startswith(site.PUBLIC_URL)
    address = urlsplit(found[1])
    return f"{address.path}?{address.query}"


def code() -> str:
    found = re.search(r"^    (\S+)$", str(mail.outbox[-1].body), re.MULTILINE)
    assert found
    return found[1]


def use(client: Client, link: str) -> Any:
    return client.post("/accounts/login/link/", {"key": link.partition("key=")[2]})


def signed_in(client: Client) -> str | None:
    return client.session.get("_auth_user_id")


class TestTheLink:
    def test_it_signs_in(self, client: Client, alice: User) -> None:
        link = ask(client, str(alice.email))
        page = client.get(link)
        assert page.status_code == 200 and f"<strong>{alice.email}</strong>" in page.text
        assert "other-browser" not in page.text and page["Referrer-Policy"] == "strict-origin"
        assert use(client, link)["Location"] == "/dashboard/"
        assert signed_in(client) == str(alice.pk)

    def test_somebody_new(self, client: Client) -> None:
        link = ask(client, "new@example.org")
        assert not User.objects.filter(email="new@example.org").exists()
        use(client, link)
        assert signed_in(client) == str(User.objects.get(email="new@example.org").pk)

    def test_it_goes_on_where_one_was(self, client: Client, alice: User) -> None:
        assert use(Client(), ask(client, str(alice.email), next="/me/"))["Location"] == "/me/"
        assert use(Client(), ask(Client(), str(alice.email), next="https://evil.example/"))["Location"] == "/dashboard/"

    def test_looking_uses_nothing_up(self, client: Client, alice: User) -> None:
        link, scanner = ask(client, str(alice.email)), Client()
        for _ in range(3):
            assert scanner.get(link).status_code == scanner.head(link).status_code == 200
        assert signed_in(scanner) is None
        use(client, link)
        assert signed_in(client)

    def test_it_works_once(self, client: Client, alice: User) -> None:
        link = ask(client, str(alice.email))
        use(client, link)
        other = Client()
        assert use(other, link).status_code == other.get(link).status_code == 410
        assert signed_in(other) is None
        assert "You are signed in in this browser." in client.get(link).text

    def test_it_expires(self, client: Client, alice: User) -> None:
        link = ask(client, str(alice.email))
        MailedSignIn.objects.update(expires_at=timezone.now())
        assert use(client, link).status_code == 410
        clear_sessions_of_nobody()
        assert not MailedSignIn.objects.exists(), "the address is not kept"

    def test_a_made_up_one(self, client: Client) -> None:
        assert client.get("/accounts/login/link/?key=x").status_code == 410
        assert client.get("/accounts/login/link/").status_code == 410

    def test_the_key_is_not_stored(self, client: Client, alice: User) -> None:
        key = ask(client, str(alice.email)).partition("key=")[2]
        row = MailedSignIn.objects.get()
        assert key not in (row.digest, row.prefix, row.name)

    def test_a_second_factor_is_still_asked_for(self, client: Client, alice: User) -> None:
        from allauth.mfa.models import Authenticator

        Authenticator.objects.create(user=alice, type=Authenticator.Type.TOTP, data={"secret": "JBSWY3DPEHPK3PXP"})
        assert use(client, ask(client, str(alice.email)))["Location"].startswith("/accounts/2fa/authenticate/")
        assert signed_in(client) is None


class TestAnotherDevice:
    def test_it_says_where_it_signs_in(self, client: Client, alice: User) -> None:
        link, phone = ask(client, str(alice.email)), Client()
        page = phone.get(link).text
        assert "other-browser" in page and "Firefox" in page and "Sign in here" in page
        use(phone, link)
        assert signed_in(phone) == str(alice.pk) and signed_in(client) is None

    def test_the_code_still_signs_in_the_other(self, client: Client, alice: User) -> None:
        use(Client(), ask(client, str(alice.email)))
        client.post("/accounts/login/code/confirm/", {"code": code()})
        assert signed_in(client) == str(alice.pk)

    def test_it_says_who_was_signed_in_there(self, client: Client, alice: User, bob: User) -> None:
        client.force_login(bob)
        link = ask(Client(), str(alice.email))
        assert "You are signed in here as Bob" in client.get(link).text
        use(client, link)
        assert signed_in(client) == str(alice.pk)


class TestTogether:
    def test_the_code_ends_the_link(self, client: Client, alice: User) -> None:
        link = ask(client, str(alice.email))
        client.post("/accounts/login/code/confirm/", {"code": code()})
        assert signed_in(client)
        assert use(Client(), link).status_code == 410

    def test_another_mail_ends_the_link_before(self, client: Client, alice: User) -> None:
        first = ask(client, str(alice.email))
        client.post("/accounts/login/code/confirm/", {"action": "resend"})
        assert newest_link() != first
        assert use(Client(), first).status_code == 410
        assert use(client, newest_link()).status_code == 302

    def test_a_mail_that_is_refused_leaves_no_link(self, client: Client, alice: User, settings: Any) -> None:
        settings.RATE_LIMITS, settings.LIMITS = True, {"code_mailbox": "1 per hour"}
        first = ask(client, str(alice.email))
        client.post("/accounts/login/code/confirm/", {"action": "resend"})
        assert MailedSignIn.objects.count() == 1
        assert use(client, first).status_code == 302


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_one_gets_in() -> None:
    url, _ = mailed_sign_ins.make_link("new@example.org", asked_from="", next_page="")
    key = url.partition("key=")[2]
    clients = [Client() for _ in range(4)]
    at_once([partial(use, one, f"key={key}") for one in clients])
    assert sum(signed_in(client) is not None for client in clients) == 1


def test_old_ones_are_forgotten() -> None:
    mailed_sign_ins.make_link("new@example.org", asked_from="", next_page="")
    assert mailed_sign_ins.forget_expired() == 0
    MailedSignIn.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert mailed_sign_ins.forget_expired() == 1
