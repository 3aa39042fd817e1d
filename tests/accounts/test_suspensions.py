"""A suspended user who closes the account and returns under the same name is suspended again."""

import io
import time
from datetime import timedelta
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount, SocialLogin
from django.contrib.auth.models import AnonymousUser
from django.core import mail
from django.core.management import CommandError, call_command
from django.test import Client, RequestFactory
from django.utils import timezone

from oasst.accounts import (
    account_bans,
    api_clients,
    closing,
    email_addresses,
    email_owners,
    identities,
    registration,
    suspensions,
)
from oasst.accounts.access import require_contributor
from oasst.accounts.authentication.adapters import AccountAdapter, SocialAccountAdapter
from oasst.accounts.models import ApiClient, Identity, SuspendedIdentity, User
from oasst.core.audit.reading import describe, with_words
from oasst.core.errors import Invalid, NotAllowed
from oasst.core.models import AuditEntry
from oasst.site import purging
from oasst.site.desk.undoing import undo_entry
from oasst.site.merging import merge_users
from tests.accounts.authentication.test_reauthentication import browser_of
from tests.accounts.authentication.test_sign_in import CONFIRM, DOOR, ask, mailed_code, signed_in
from trees.lifecycle.policy import TreePolicy
from trees.moderation import bans

pytestmark = pytest.mark.django_db


@pytest.fixture
def gone(eve: User, mo: User) -> str:
    """The address of a banned user who closed the account."""
    email = str(eve.email)
    bans.ban(eve, actor=mo, reason="Copied a novel.")
    closing.close_account(eve)
    return email


class TestByCode:
    def test_they_come_back_suspended_and_read_why(self, client: Client, gone: str) -> None:
        ask(client, gone)
        response = client.post(CONFIRM, {"code": mailed_code()}, follow=True)
        assert signed_in(client), "who proved the mailbox hears the reason"
        assert response.redirect_chain[-1] == ("/suspended/", 302)
        assert "Copied a novel." in response.text
        back = email_owners.find_owner(gone)
        assert back is not None and not back.enabled and "Signed up again" in back.notes

    def test_nothing_shows_before_the_code_was_right(self, client: Client, gone: str) -> None:
        stranger = Client()
        pages = [(ask(one, email), one.get(CONFIRM)) for one, email in ((client, gone), (stranger, "new@example.org"))]
        assert pages[0][0]["Location"] == pages[1][0]["Location"]
        assert "suspended" not in pages[0][1].text.lower()
        assert "suspended" not in client.post(CONFIRM, {"code": "WRONG1"}).text.lower()
        assert email_owners.find_owner(gone) is None

    def test_everybody_else_comes_in(self, gone: str) -> None:
        assert registration.get_or_create_by_email("somebody@example.org").enabled

    def test_closing_it_again_changes_nothing(self, gone: str) -> None:
        for _ in range(2):
            back = registration.get_or_create_by_email(gone)
            assert (back.enabled, back.ban_reason) == (False, "Copied a novel.")
            closing.close_account(back)

    def test_who_was_not_banned_is_not_remembered(self, alice: User) -> None:
        email = str(alice.email)
        closing.close_account(alice)
        assert not SuspendedIdentity.objects.exists()
        assert registration.get_or_create_by_email(email).enabled

    def test_an_address_that_was_only_claimed_is_nobodys_ban(self, eve: User, mo: User) -> None:
        EmailAddress.objects.create(user=eve, email="victim@example.org", verified=False)
        account_bans.ban(eve, actor=mo, reason="Spam")
        closing.close_account(eve)
        assert registration.get_or_create_by_email("victim@example.org").enabled


class TestSpellings:
    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("eve@example.org", "EVE@Example.ORG"),
            ("eve@example.org", "eve+two@example.org"),
            ("e.v.e@gmail.com", "eve+x@googlemail.com"),
            ("eve@m\u00fcnchen.example", "eve@xn--mnchen-3ya.example"),
            ("\uff45ve@example.org", "eve@example.org"),
        ],
    )
    def test_of_one_mailbox(self, one: str, other: str) -> None:
        assert suspensions.address_name(one) == suspensions.address_name(other)

    @pytest.mark.parametrize("other", ["e.ve@example.org", "eve@example.com", "eva@example.org", "+eve@example.org"])
    def test_of_another(self, other: str) -> None:
        assert suspensions.address_name("eve@example.org") != suspensions.address_name(other)


class TestQuotedAddresses:
    """`"eve"@example.org` is the mailbox of eve@example.org, and a host in brackets is another spelling too."""

    ODD = ('"eve"@example.org', r'"e\ve"@example.org', "eve@[127.0.0.1]", "eve@[2001:db8::1]")

    @pytest.mark.parametrize("odd", ODD)
    def test_at_the_door(self, client: Client, odd: str) -> None:
        for page in ("/accounts/login/code/", "/accounts/password/reset/"):
            response = client.post(page, {"email": odd})
            assert response.status_code == 200 and "are not taken" in response.text
        assert not mail.outbox

    @pytest.mark.parametrize("odd", ODD)
    def test_as_a_second_address(self, client: Client, alice: User, odd: str) -> None:
        client = browser_of(alice, proved=True)
        response = client.post("/accounts/email/", {"email": odd, "action_add": ""})
        assert response.status_code == 200 and "are not taken" in response.text
        assert EmailAddress.objects.filter(user=alice).count() == 1 and not mail.outbox

    @pytest.mark.parametrize("odd", ODD)
    def test_by_a_service_or_command(self, odd: str) -> None:
        for way in (
            registration.get_or_create_by_email,
            email_addresses.clean_email,
            lambda email: registration.create_user(email=email),
        ):
            with pytest.raises(Invalid, match="are not taken"):
                way(odd)

    def test_from_another_service(self, gone: str) -> None:
        local, _, domain = gone.partition("@")
        odd = f'"{local}"@{domain}'
        request = RequestFactory().get("/")
        request.user = AnonymousUser()
        social = SocialLogin(
            user=User(email=odd),
            account=SocialAccount(provider="github", uid="77", extra_data={}),
            email_addresses=[EmailAddress(email=odd, verified=True), EmailAddress(email=gone, verified=True)],
        )
        SocialAccountAdapter().pre_social_login(request, social)
        assert [one.email for one in social.email_addresses] == [gone] and not social.user.email


class TestTheHash:
    def test_no_address_can_be_read_or_computed_without_the_key(self, gone: str, settings: Any) -> None:
        (row,) = SuspendedIdentity.objects.all()
        assert gone not in str(vars(row))
        settings.SECRET_KEY = "another key of another site, as long as it should be"
        assert suspensions.find_suspension([suspensions.address_name(gone)]) is None

    def test_a_key_of_before_is_still_known(self, gone: str, settings: Any) -> None:
        settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
        settings.SECRET_KEY = "the new key of the same site, as long as it should be"
        back = registration.get_or_create_by_email(gone)
        assert not back.enabled
        settings.SECRET_KEY_FALLBACKS = []
        closing.close_account(back)
        assert not registration.get_or_create_by_email(gone).enabled, "who came back is remembered with the new key"


class TestTheEndOfABan:
    def test_a_moderator_lifts_it(self, gone: str, mo: User) -> None:
        back = registration.get_or_create_by_email(gone)
        bans.unban(back, actor=mo, reason="We talked.")
        assert not SuspendedIdentity.objects.exists()
        closing.close_account(back)
        assert registration.get_or_create_by_email(gone).enabled

    def test_of_the_closed_account(self, gone: str, eve: User, mo: User) -> None:
        bans.unban(eve, actor=mo, reason="We talked.")
        assert registration.get_or_create_by_email(gone).enabled

    def test_by_the_operator(self, gone: str) -> None:
        call_command("unban_user", gone, reason="Wrote to us.", stdout=io.StringIO())
        assert registration.get_or_create_by_email(gone).enabled
        with pytest.raises(CommandError):
            call_command("unban_user", "nobody@example.org", reason="x", stdout=io.StringIO())

    def test_all_their_addresses_are_free_again(self, eve: User, mo: User) -> None:
        EmailAddress.objects.create(user=eve, email="second@example.org", verified=True)
        account_bans.ban(eve, actor=mo, reason="Spam")
        closing.close_account(eve)
        assert SuspendedIdentity.objects.count() == 2
        bans.unban(registration.get_or_create_by_email("second@example.org"), actor=mo, reason="We talked.")
        assert not SuspendedIdentity.objects.exists()


class TestUndo:
    """What recognizes somebody is as before, also of earlier accounts."""

    def known(self) -> list[dict[str, Any]]:
        return list(SuspendedIdentity.objects.order_by("pk").values())

    def undo(self, actor: User) -> None:
        undo_entry(AuditEntry.objects.filter(act__startswith="account.").latest("pk").pk, actor=actor, reason="A slip.")

    def test_of_the_end_of_a_ban_of_somebody_who_came_back(self, eve: User, mo: User) -> None:
        first = str(eve.email)
        EmailAddress.objects.create(user=eve, email="second@example.org", verified=True)
        bans.ban(eve, actor=mo, reason="Spam", until=timezone.now() + timedelta(days=9))
        closing.close_account(eve)
        back = registration.get_or_create_by_email("second@example.org")
        before = self.known()
        assert len(before) == 2
        bans.unban(back, actor=mo, reason="We talked.")
        self.undo(mo)
        assert self.known() == before
        closing.close_account(back)
        assert not registration.get_or_create_by_email(first).enabled

    def test_of_a_ban(self, eve: User, mo: User) -> None:
        bans.ban(eve, actor=mo, reason="Spam")
        self.undo(mo)
        assert self.known() == []

    def test_of_a_second_ban(self, eve: User, mo: User) -> None:
        bans.ban(eve, actor=mo, reason="Spam", until=timezone.now() + timedelta(days=9))
        before = self.known()
        bans.ban(eve, actor=mo, reason="And more.")
        self.undo(mo)
        assert self.known() == before

    def test_what_an_operator_forgot_since_is_no_obstacle(self, eve: User, mo: User) -> None:
        bans.ban(eve, actor=mo, reason="Spam", until=timezone.now() + timedelta(days=9))
        bans.ban(eve, actor=mo, reason="And more.")
        SuspendedIdentity.objects.all().delete()
        self.undo(mo)
        eve.refresh_from_db()
        assert not eve.enabled

    def test_pages_do_not_show_hashes(self, eve: User, mo: User) -> None:
        bans.ban(eve, actor=mo, reason="Spam")
        digest = SuspendedIdentity.objects.get().pk
        entries = list(with_words(AuditEntry.objects.all()))
        assert digest in entries[0].text.after
        assert digest not in str(describe(entries))


def test_a_purge_keeps_out_who_would_come_back(eve: User, mo: User) -> None:
    """A suspension does not end by itself while what the person gave is purged, with no account of theirs."""
    bans.ban(eve, actor=mo, reason="Spam", until=timezone.now() + timedelta(days=9))
    before = SuspendedIdentity.objects.values().get()
    purge = purging.start_purge(user=eve, actor=mo, reason="Spam")
    assert SuspendedIdentity.objects.get().until is None
    purging.undo_purge(purge_id=purge.pk, actor=mo, reason="A slip.")
    purging.continue_purge(purge_id=purge.pk, policy=TreePolicy())
    assert SuspendedIdentity.objects.values().get() == before


class TestOtherWaysIn:
    def test_an_address_that_was_removed_first(self, client: Client, eve: User, mo: User) -> None:
        account_bans.ban(eve, actor=mo, reason="Spam")
        client.force_login(eve)
        data = {"action_remove": "", "email": str(eve.email)}
        assert client.post("/accounts/email/", data)["Location"] == "/suspended/"
        assert client.post("/accounts/3rdparty/", {"account": "1"})["Location"] == "/suspended/"
        EmailAddress.objects.filter(user=eve).delete()
        User.objects.filter(pk=eve.pk).update(email=None)
        assert not registration.get_or_create_by_email(str(eve.email)).enabled, "kept since the ban, not since the end"

    def social(self, uid: str, email: str = "") -> Any:
        account = SocialAccount(provider="discord", uid=uid, extra_data={})
        addresses = [EmailAddress(email=email, verified=True, primary=True)] if email else []
        return SocialLogin(user=User(display_name="Back"), account=account, email_addresses=addresses)

    def banned_with_discord(self, eve: User, mo: User) -> None:
        SocialAccount.objects.create(user=eve, provider="discord", uid="77")
        account_bans.ban(eve, actor=mo, reason="Spam")
        closing.close_account(eve)

    def web_request(self, user: Any = None) -> Any:
        from django.contrib.auth.models import AnonymousUser
        from django.contrib.messages.storage.fallback import FallbackStorage

        request = RequestFactory().get("/")
        request.session = {}  # type: ignore[assignment]
        request.user = user or AnonymousUser()
        request._messages = FallbackStorage(request)  # type: ignore[attr-defined]
        return request

    def test_the_same_account_at_another_service(self, eve: User, mo: User) -> None:
        self.banned_with_discord(eve, mo)
        saved = SocialAccountAdapter().save_user(self.web_request(), self.social("77", "fresh@example.org"))
        assert not User.objects.get(pk=saved.pk).enabled
        other = SocialAccountAdapter().save_user(self.web_request(), self.social("78", "other@example.org"))
        assert User.objects.get(pk=other.pk).enabled

    def test_the_same_address_by_another_service(self, gone: str) -> None:
        saved = SocialAccountAdapter().save_user(self.web_request(), self.social("79", gone))
        assert not User.objects.get(pk=saved.pk).enabled

    def test_linking_it_to_another_account(self, eve: User, mo: User, alice: User) -> None:
        from allauth.core.exceptions import ImmediateHttpResponse

        self.banned_with_discord(eve, mo)
        login = self.social("77")
        login.state = {"process": "connect"}
        request = self.web_request(alice)
        request.session["signed_in_at"] = time.time()
        with pytest.raises(ImmediateHttpResponse) as caught:
            SocialAccountAdapter().pre_social_login(request, login)
        assert caught.value.response["Location"] == "/accounts/3rdparty/"
        login.account.uid = "78"
        SocialAccountAdapter().pre_social_login(request, login)

    def test_hanging_the_address_on_another_account(self, gone: str, alice: User) -> None:
        request = self.web_request(alice)
        added = EmailAddress.objects.create(user=alice, email=gone, verified=False)
        assert not AccountAdapter(request).confirm_email(request, added)
        added.refresh_from_db()
        assert not added.verified
        fine = EmailAddress.objects.create(user=alice, email="fine@example.org", verified=False)
        assert AccountAdapter(request).confirm_email(request, fine)


class TestPrograms:
    @pytest.fixture
    def bot(self) -> ApiClient:
        return api_clients.create_api_client(name="Bot", trusted=True)[0]

    def person(self, bot: ApiClient, name: str = "eve#1") -> User:
        return identities.get_or_create_person(bot, auth_method="discord", username=name, display_name="Eve")

    def test_the_same_name_comes_back_suspended(self, bot: ApiClient, mo: User) -> None:
        eve = self.person(bot)
        bans.ban(eve, actor=mo, reason="Spam")
        identities.delete_person(eve.pk, None)
        back = self.person(bot)
        assert back.pk != eve.pk
        with pytest.raises(NotAllowed) as caught:
            require_contributor(back)
        assert caught.value.code == "suspended"
        assert self.person(bot, "other#2").enabled
        other_bot = api_clients.create_api_client(name="Other")[0]
        assert self.person(other_bot).enabled, "a name means somebody inside one program only"

    def test_a_merge_does_not_wash_it_off(self, bot: ApiClient, mo: User) -> None:
        eve, clean = self.person(bot), self.person(bot, "clean#2")
        bans.ban(eve, actor=mo, reason="Spam")
        merge_users(destination_id=clean.pk, source_ids=[eve.pk])
        clean.refresh_from_db()
        assert (clean.enabled, clean.ban_reason) == (False, "Spam")
        assert Identity.objects.get(username="eve#1").user == clean
        bans.unban(clean, actor=mo, reason="We talked.")
        assert not SuspendedIdentity.objects.exists()


def test_the_person_reads_what_is_kept(client: Client, eve: User, mo: User) -> None:
    assert "keyed hash" in client.get("/privacy/").text
    account_bans.ban(eve, actor=mo, reason="Spam")
    client.force_login(eve)
    assert "signing up again" in client.get("/me/delete/").text
    assert DOOR
