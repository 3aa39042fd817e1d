"""Which addresses are accepted, and to whom they belong."""

import re
from typing import Any

import pytest
from allauth.account.models import EmailAddress, EmailConfirmationHMAC
from django.core import mail
from django.test import Client

from oasst.accounts import registration
from oasst.accounts.email_addresses import NO_ADDRESS, why_refused
from oasst.accounts.models import User
from tests.accounts.authentication.other_service import OtherService
from tests.accounts.authentication.test_other_services import begin, come_back, service

pytestmark = pytest.mark.django_db
__all__ = ["service"]

FRESH = "fresh@example.org"


@pytest.fixture(autouse=True)
def _mail(settings: Any) -> None:
    settings.SENDS_MAIL = True


def asked(address: str) -> str:
    """Return the last mail to this address."""
    return [str(one.body) for one in mail.outbox if one.to == [address]][-1]


def link_to(address: str) -> str:
    found = re.search(r"/accounts/confirm-email/\S+", asked(address))
    assert found
    return found[0]


def owner_of(address: str) -> User | None:
    row = EmailAddress.objects.filter(email=address, verified=True).first()
    return row.user if row else None


class TestConfirming:
    """Eve enters the address of somebody without an account and waits for them to confirm it."""

    @pytest.fixture
    def eves_client(self, eve: User) -> Client:
        client = Client()
        client.force_login(eve)
        session = client.session
        session["signed_in_at"] = 4_000_000_000
        session.save()
        client.post("/accounts/email/", {"action_add": "", "email": FRESH})
        return client

    def test_the_mail_and_the_page_say_whose_account_it_is(self, eves_client: Client, eve: User) -> None:
        assert f'the account "{eve.display_name}" of oasst' in asked(FRESH)
        page = Client().get(link_to(FRESH)).text
        assert f">{eve.display_name}</bdi>" in page.partition("The account <strong>")[2]
        assert "Yes, that is mine" not in page
        assert f"/accounts/login/?next={link_to(FRESH)}".replace(":", "%3A") in page

    def test_a_name_makes_no_link_in_a_mail(self, eves_client: Client, eve: User) -> None:
        User.objects.filter(pk=eve.pk).update(display_name="https://evil.example/@x")
        eves_client.post("/accounts/email/", {"action_send": "", "email": FRESH})
        assert 'account "https:evilexamplex" of' in asked(FRESH)

    def test_the_button_of_a_browser_that_is_not_signed_in(self, eves_client: Client) -> None:
        link = link_to(FRESH)
        assert Client().post(link)["Location"] == link
        assert owner_of(FRESH) is None

    def test_nor_of_somebody_else(self, eves_client: Client, alice: User) -> None:
        link, other = link_to(FRESH), Client()
        other.force_login(alice)
        page = other.get(link).text
        assert "Sign out and in to that account" in page and "Yes, that is mine" not in page
        assert other.get("/me/").status_code == 200, "reading a mail signs nobody out"
        assert other.post(link)["Location"] == link
        assert owner_of(FRESH) is None

    def test_the_owner_gets_an_account_of_their_own(self, eves_client: Client, eve: User) -> None:
        link = link_to(FRESH)
        Client().post(link)
        assert registration.get_or_create_by_email(FRESH) != eve
        assert "no longer works" in eves_client.get(link).text
        assert eves_client.post(link).status_code == 404

    def test_who_typed_it_in_confirms_it(self, eves_client: Client, eve: User) -> None:
        link = link_to(FRESH)
        assert "Yes, that is mine" in eves_client.get(link).text
        assert eves_client.post(link).status_code == 302
        assert owner_of(FRESH) == eve

    def test_a_forgotten_password_is_mailed_to_nobody_who_is_only_claimed(self, eves_client: Client) -> None:
        """The owner of a mistyped address could take over the account."""
        mail.outbox.clear()
        Client().post("/accounts/password/reset/", {"email": FRESH})
        assert [one.to for one in mail.outbox] == [[FRESH]]
        assert "/password/reset/key/" not in str(mail.outbox[0].body)


@pytest.mark.parametrize("same_browser", [True, False])
def test_a_new_person_confirms_in_the_browser_in_which_they_came(
    client: Client, service: OtherService, same_browser: bool
) -> None:
    service.email, service.verified = FRESH, False
    come_back(client, "github", state=begin(client, "github")["state"])
    browser = client if same_browser else Client()
    browser.post(link_to(FRESH))
    assert (owner_of(FRESH) is not None) == same_browser


# Django accepts these, but mail to them cannot be written, or they look like another address.
ODD = [
    *("v@good.example\u202e", "v@go\u200fod.example", "v@\u00ad\u00ad.de", "v@\u3002de.de", "v@\uff0ede.com"),
    *("v@\u2028x.de", "v@x\u00a0y.de", "v@" + "\u00fc" * 60 + ".de", "v@\ue000.de", "v@x\ud800y.de", "v@x\u0378y.de"),
]


class TestOddOnes:
    @pytest.mark.parametrize("address", ODD)
    def test_refused(self, address: str) -> None:
        assert why_refused(address) == NO_ADDRESS

    @pytest.mark.parametrize(
        "address", ["v@m\u00fcnchen.de", "v@xn--mnchen-3ya.de", "o'neil+x@e.org", "v@\u4f8b\u3048.jp"]
    )
    def test_taken(self, address: str) -> None:
        assert why_refused(address) is None

    @pytest.mark.parametrize("address", [ODD[0], ODD[2], ODD[7]])
    def test_every_form_says_so(self, alice: User, address: str) -> None:
        signed_in = Client()
        signed_in.force_login(alice)
        for client, path, sent in (
            (Client(), "/accounts/login/code/", {}),
            (Client(), "/accounts/password/reset/", {}),
            (signed_in, "/accounts/email/", {"action_add": ""}),
        ):
            page = client.post(path, {**sent, "email": address})
            assert page.status_code == 200 and "This is not an e-mail address." in page.text, path
        assert Client().post("/accounts/login/", {"login": address, "password": "wrong"}).status_code == 200
        assert mail.outbox == [] and not EmailAddress.objects.filter(email=address).exists()

    def test_nor_from_another_service(self, client: Client, service: OtherService) -> None:
        service.email = ODD[0]
        came = come_back(client, "github", state=begin(client, "github")["state"])
        assert came["Location"] == "/accounts/3rdparty/signup/", "the page that asks for an address"
        assert not User.objects.exists()


def test_what_another_account_only_claimed_is_free_for_its_owner(client: Client, alice: User, eve: User) -> None:
    """Alice confirms another address and makes it her main one."""
    User.objects.filter(pk=eve.pk).update(email="both@example.org")
    EmailAddress.objects.create(user=eve, email="both@example.org")
    address = EmailAddress.objects.create(user=alice, email="both@example.org")
    client.force_login(alice)
    client.post(f"/accounts/confirm-email/{EmailConfirmationHMAC(address).key}/")
    client.post("/accounts/email/", {"action_primary": "", "email": address.email})
    alice.refresh_from_db()
    eve.refresh_from_db()
    assert (alice.email, eve.email) == ("both@example.org", None)
    assert EmailAddress.objects.get(email=address.email).user == alice


def test_the_main_address_is_changed_as_a_whole_or_not_at_all(client: Client, alice: User, eve: User) -> None:
    before = alice.email
    address = EmailAddress.objects.create(user=alice, email="both@example.org", verified=True)
    User.objects.filter(pk=eve.pk).update(email=address.email)  # as an operator may enter it
    client.force_login(alice)
    told = client.post("/accounts/email/", {"action_primary": "", "email": address.email}, follow=True)
    assert "belongs to another account" in told.text
    alice.refresh_from_db()
    address.refresh_from_db()
    assert (alice.email, address.primary) == (before, False)
