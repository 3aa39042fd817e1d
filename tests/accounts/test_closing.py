"""Closing accounts."""

import pytest
from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount
from django.core.cache import cache
from django.test import Client

from oasst.accounts import api_clients, closing, registration, tokens
from oasst.accounts.access import require_contributor
from oasst.accounts.models import DAILY_GOAL, Consent, Identity, Session, Token, User
from oasst.core.errors import NotAllowed

pytestmark = pytest.mark.django_db


class TestCloseAccount:
    def test_everything_that_names_the_person_is_gone(self, alice: User, client: Client) -> None:
        api_client, _ = api_clients.create_api_client(name="bot")
        Identity.objects.create(user=alice, api_client=api_client, auth_method="local", username="alice")
        SocialAccount.objects.create(user=alice, provider="github", uid="1")
        tokens.new_token(alice, "mine")
        alice.contribution_languages = ["de"]
        alice.notes, alice.daily_goal = "likes bread", 40
        alice.save()
        client.force_login(alice)
        assert Session.objects.filter(account=alice.pk).exists()

        closing.close_account(alice)

        gone = User.objects.get(pk=alice.pk)
        assert (gone.email, gone.display_name, gone.notes, gone.daily_goal) == (None, "Deleted User", "", DAILY_GOAL)
        assert (gone.is_active, gone.show_on_leaderboard, gone.contribution_languages) == (False, False, [])
        assert gone.deleted_at is not None
        assert not gone.has_usable_password()
        for model in (EmailAddress, SocialAccount, Identity, Token):
            assert not model.objects.filter(user=alice).exists(), model
        assert not Session.objects.filter(account=alice.pk).exists()
        with pytest.raises(NotAllowed) as caught:
            require_contributor(gone)
        assert caught.value.code == "closed"

    def test_other_browsers_are_signed_out(self, alice: User) -> None:
        here, there = Client(), Client()
        here.force_login(alice)
        there.force_login(alice)
        closing.close_account(alice)
        for browser in (here, there):
            assert browser.get("/me/").status_code == 302
        assert cache.get(f"oasst.sessions{here.cookies['sessionid'].value}") is None

    def test_the_record_of_consent_stays(self, alice: User) -> None:
        closing.close_account(alice)
        assert Consent.objects.get(user=alice).withdrawn_at is not None

    def test_twice_changes_nothing(self, alice: User) -> None:
        closing.close_account(alice)
        when = alice.deleted_at
        closing.close_account(alice)
        alice.refresh_from_db()
        assert alice.deleted_at == when

    def test_the_address_is_free_again(self, alice: User) -> None:
        email = alice.email
        assert email
        closing.close_account(alice)
        assert registration.get_or_create_by_email(email) != alice

    def test_others_are_untouched(self, alice: User, bob: User) -> None:
        closing.close_account(alice)
        require_contributor(User.objects.get(pk=bob.pk))
        assert EmailAddress.objects.filter(user=bob).exists()
