"""What happens to people, programs and keys."""

import threading
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount
from django.contrib.auth.hashers import check_password
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.utils import timezone

from oasst.accounts import services, tokens
from oasst.accounts.access import require_contributor
from oasst.accounts.documents import TERMS
from oasst.accounts.models import ApiClient, ApiKey, Consent, Identity, Role, Secret, Session, Token, User
from oasst.accounts.names import friendly_name
from oasst.core.errors import Conflict, Invalid, NotAllowed
from oasst.core.text.validation import clean_name

pytestmark = pytest.mark.django_db


class TestCreateUser:
    def test_it_works(self) -> None:
        user = services.create_user(email=" Dora@Example.ORG ", display_name="Dora", password="a long password")
        assert (user.email, user.display_name, user.role) == ("dora@example.org", "Dora", Role.GENERAL)
        assert check_password("a long password", user.password)
        address = EmailAddress.objects.get(user=user)
        assert (address.email, address.verified, address.primary) == ("dora@example.org", True, True)

    def test_a_friendly_name(self) -> None:
        assert len(services.create_user(email="a@example.org").display_name.split()) == 2

    def test_friendly_names_would_pass_our_own_rules(self) -> None:
        for _ in range(100):
            name = friendly_name()
            assert clean_name(name) == name

    def test_without_a_password_there_is_none_to_guess(self) -> None:
        assert not services.create_user(email="a@example.org").has_usable_password()

    def test_people_without_an_address(self) -> None:
        assert services.create_user(email=None).email is None
        assert not EmailAddress.objects.exists()

    def test_an_address_is_one_person(self) -> None:
        services.create_user(email="dora@example.org")
        with pytest.raises(Conflict) as caught:
            services.create_user(email="DORA@example.org")
        assert caught.value.code == "email_taken"
        assert User.objects.count() == 1

    def test_a_second_address_of_somebody_is_taken_too(self, alice: User) -> None:
        EmailAddress.objects.create(user=alice, email="other@example.org", verified=True)
        with pytest.raises(Conflict):
            services.create_user(email="other@example.org")

    @pytest.mark.parametrize(
        ("fields", "code"),
        [
            ({"email": "not an address"}, "email"),
            ({"email": "a@example.org", "role": "king"}, "role"),
            ({"email": "a@example.org", "display_name": "Admin"}, "reserved"),
        ],
    )
    def test_refused(self, fields: dict[str, Any], code: str) -> None:
        with pytest.raises(Invalid) as caught:
            services.create_user(**fields)
        assert caught.value.code == code
        assert not User.objects.exists()


class TestPersonBehind:
    """Whoever proved a mailbox is the person it belongs to."""

    def test_a_new_person(self) -> None:
        user = services.person_behind("new@example.org")
        assert services.person_behind("NEW@example.org") == user
        assert User.objects.count() == EmailAddress.objects.count() == 1

    def test_a_second_address(self, alice: User) -> None:
        EmailAddress.objects.create(user=alice, email="other@example.org", verified=True)
        assert services.person_behind("other@example.org") == alice

    def test_an_address_that_an_operator_gave(self) -> None:
        user = User.objects.create_user("op@example.org", display_name="Op")
        assert services.person_behind("op@example.org") == user
        assert EmailAddress.objects.get(user=user).verified

    def test_an_account_that_waits_for_its_owner_is_not_handed_over(self, eve: User) -> None:
        """Eve claims Dora's address without proof. Dora must get an account that Eve can not enter."""
        EmailAddress.objects.create(user=eve, email="dora@example.org", verified=False)
        shell = User.objects.create_user("dora@example.org", display_name="Trap")
        EmailAddress.objects.create(user=shell, email="dora@example.org", verified=False, primary=True)
        dora = services.person_behind("dora@example.org")
        assert dora not in (eve, shell)
        shell.refresh_from_db()
        assert shell.email is None
        assert not EmailAddress.objects.filter(user=shell).exists()
        assert list(EmailAddress.objects.filter(email="dora@example.org").values_list("user", "verified")) == [
            (dora.pk, True)
        ]


@pytest.mark.django_db(transaction=True)
def test_one_person_in_two_windows() -> None:
    people, start = [], threading.Barrier(2)

    def come_in() -> None:
        start.wait(10)
        people.append(services.person_behind("twice@example.org").pk)
        connection.close()

    threads = [threading.Thread(target=come_in) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(people) == 2 and len(set(people)) == 1
    assert User.objects.count() == 1


class TestRoles:
    def test_listed_addresses_are_raised(self, alice: User, settings: Any) -> None:
        settings.MODERATOR_EMAILS = [alice.email]
        services.raise_listed_role(alice)
        assert User.objects.get(pk=alice.pk).role == Role.MODERATOR
        settings.ADMIN_EMAILS = [alice.email]
        services.raise_listed_role(alice)
        assert alice.role == Role.ADMIN

    def test_nobody_is_lowered(self, alice: User, settings: Any) -> None:
        alice.role = Role.ADMIN
        settings.MODERATOR_EMAILS = [alice.email]
        services.raise_listed_role(alice)
        assert alice.role == Role.ADMIN

    def test_an_unproven_address_raises_nobody(self, eve: User, settings: Any) -> None:
        EmailAddress.objects.create(user=eve, email="boss@example.org", verified=False)
        settings.ADMIN_EMAILS = ["boss@example.org"]
        services.raise_listed_role(eve)
        assert User.objects.get(pk=eve.pk).role == Role.GENERAL

    def test_without_lists_nothing_is_asked(self, alice: User, django_assert_num_queries: Any) -> None:
        with django_assert_num_queries(0):
            services.raise_listed_role(alice)


class TestTerms:
    def test_accept(self) -> None:
        user = services.create_user(email="a@example.org")
        with pytest.raises(NotAllowed) as caught:
            require_contributor(user)
        assert caught.value.code == "terms_missing"
        services.accept_terms(user)
        services.accept_terms(user)
        require_contributor(user)
        consent = Consent.objects.get(user=user)
        assert (consent.document, consent.version, consent.withdrawn_at) == ("terms", TERMS.version, None)

    def test_withdraw_and_come_back(self, alice: User) -> None:
        services.withdraw_terms(alice)
        with pytest.raises(NotAllowed):
            require_contributor(alice)
        assert Consent.objects.get(user=alice).withdrawn_at is not None
        services.accept_terms(alice)
        require_contributor(alice)
        assert Consent.objects.filter(user=alice).count() == 2

    def test_an_older_version_is_not_enough(self, alice: User) -> None:
        alice.terms_version = "0"
        with pytest.raises(NotAllowed):
            require_contributor(alice)


class TestProfile:
    def test_it_works(self, alice: User) -> None:
        services.update_profile(
            alice,
            display_name=" Alice  B. ",
            time_zone="Europe/Berlin",
            interface_language="en",
            contribution_languages=["de", "PT-br", "de"],
        )
        alice.refresh_from_db()
        assert (alice.display_name, alice.time_zone) == ("Alice B.", "Europe/Berlin")
        assert alice.contribution_languages == ["de", "pt-BR"]

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"display_name": " "}, "display_name"),
            ({"time_zone": "Mars/Olympus"}, "time_zone"),
            ({"interface_language": "klingon"}, "interface_language"),
            ({"contribution_languages": ["en", "nonsense!"]}, "contribution_languages"),
            ({"contribution_languages": [f"en-x-{n}" for n in range(21)]}, "contribution_languages"),
        ],
    )
    def test_refused(self, alice: User, change: dict[str, Any], field: str) -> None:
        fields: dict[str, Any] = {
            "display_name": "New Name",
            "time_zone": "UTC",
            "interface_language": "en",
            "contribution_languages": ["fr"],
        }
        with pytest.raises(Invalid) as caught:
            services.update_profile(alice, **{**fields, **change})
        assert caught.value.field == field
        alice.refresh_from_db()
        assert (alice.display_name, alice.contribution_languages) == ("Alice", [])


class TestCloseAccount:
    def test_everything_that_names_the_person_is_gone(self, alice: User, client: Client) -> None:
        api_client, _ = services.create_api_client(name="bot")
        Identity.objects.create(user=alice, api_client=api_client, auth_method="local", username="alice")
        SocialAccount.objects.create(user=alice, provider="github", uid="1")
        tokens.new_token(alice, "mine")
        alice.contribution_languages = ["de"]
        alice.notes = "likes bread"
        alice.save()
        client.force_login(alice)
        assert Session.objects.filter(account=alice.pk).exists()

        services.close_account(alice)

        gone = User.objects.get(pk=alice.pk)
        assert (gone.email, gone.display_name, gone.notes) == (None, "Deleted User", "")
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
        services.close_account(alice)
        for browser in (here, there):
            assert browser.get("/me/").status_code == 302
        assert cache.get(f"oasst.sessions{here.cookies['sessionid'].value}") is None

    def test_the_record_of_consent_stays(self, alice: User) -> None:
        services.close_account(alice)
        assert Consent.objects.get(user=alice).withdrawn_at is not None

    def test_twice_changes_nothing(self, alice: User) -> None:
        services.close_account(alice)
        when = alice.deleted_at
        services.close_account(alice)
        alice.refresh_from_db()
        assert alice.deleted_at == when

    def test_the_address_is_free_again(self, alice: User) -> None:
        email = alice.email
        assert email
        services.close_account(alice)
        assert services.person_behind(email) != alice

    def test_others_are_untouched(self, alice: User, bob: User) -> None:
        services.close_account(alice)
        require_contributor(User.objects.get(pk=bob.pk))
        assert EmailAddress.objects.filter(user=bob).exists()


class TestBan:
    def test_ban_and_unban(self, eve: User, mo: User) -> None:
        services.ban(eve, actor=mo, reason=" Spam  ")
        eve.refresh_from_db()
        assert (eve.enabled, eve.ban_reason) == (False, "Spam")
        assert eve.banned_at is not None and eve.banned_at <= timezone.now()
        with pytest.raises(NotAllowed) as caught:
            require_contributor(eve)
        assert caught.value.code == "suspended"
        services.unban(eve, actor=mo, reason="They promised.")
        require_contributor(User.objects.get(pk=eve.pk))
        assert eve.banned_at is None

    def test_a_ban_has_a_reason(self, eve: User, mo: User) -> None:
        with pytest.raises(Invalid):
            services.ban(eve, actor=mo, reason=" ")
        eve.refresh_from_db()
        assert eve.enabled

    @pytest.mark.parametrize(
        ("actor", "subject", "code"),
        [
            ("general", "general", "moderators_only"),
            ("general", "admin", "moderators_only"),
            ("moderator", "general", ""),
            ("moderator", "moderator", "rank"),
            ("moderator", "admin", "rank"),
            ("admin", "general", ""),
            ("admin", "moderator", ""),
            ("admin", "admin", "rank"),
        ],
    )
    def test_only_people_of_a_lower_rank(self, actor: str, subject: str, code: str) -> None:
        one, other = (services.create_user(email=None, role=role) for role in (actor, subject))
        if code:
            with pytest.raises(NotAllowed) as caught:
                services.ban(other, actor=one, reason="Spam")
            assert caught.value.code == code
        else:
            services.ban(other, actor=one, reason="Spam")
        assert User.objects.get(pk=other.pk).enabled == bool(code)
        User.objects.filter(pk=other.pk).update(enabled=False)
        if code:
            with pytest.raises(NotAllowed):
                services.unban(other, actor=one, reason="They promised.")
        else:
            services.unban(other, actor=one, reason="They promised.")
        assert User.objects.get(pk=other.pk).enabled != bool(code)

    @pytest.mark.parametrize("role", [Role.MODERATOR, Role.ADMIN])
    def test_nobody_bans_themselves_so_the_last_administrator_stays(self, role: Role) -> None:
        person = services.create_user(email=None, role=role)
        with pytest.raises(NotAllowed):
            services.ban(person, actor=person, reason="Enough")
        assert User.objects.get(pk=person.pk).enabled

    def test_the_rank_is_that_of_now(self, eve: User, mo: User) -> None:
        User.objects.filter(pk=eve.pk).update(role=Role.MODERATOR)
        with pytest.raises(NotAllowed):
            services.ban(eve, actor=mo, reason="Spam")

    def test_a_banned_moderator_bans_nobody(self, eve: User, mo: User) -> None:
        mo.enabled = False
        with pytest.raises(NotAllowed):
            services.ban(eve, actor=mo, reason="Spam")

    def test_who_is_not_banned_can_not_be_let_in(self, eve: User, mo: User) -> None:
        with pytest.raises(Conflict):
            services.unban(eve, actor=mo, reason="They promised.")


class TestMayShow:
    """`has_perm` says what the admin shows. Nothing is added, changed or deleted there, by nobody."""

    @pytest.mark.parametrize(
        ("role", "perm", "granted"),
        [
            ("general", "trees.view_message", False),
            ("moderator", "trees.view_messagetree", True),
            ("moderator", "trees.view_report", True),
            ("moderator", "accounts.view_user", True),
            ("moderator", "accounts.view_apikey", False),
            ("moderator", "accounts.view_apiclient", False),
            ("moderator", "django_celery_beat.view_periodictask", False),
            ("moderator", "trees.change_message", False),
            ("admin", "django_celery_beat.view_periodictask", True),
            ("admin", "accounts.view_apikey", True),
            ("admin", "accounts.add_user", False),
            ("admin", "accounts.change_user", False),
            ("admin", "trees.delete_message", False),
        ],
    )
    def test_by_role(self, role: str, perm: str, granted: bool) -> None:
        user = User(role=role)
        assert user.has_perm(perm) == granted
        assert user.has_perms([perm]) == granted
        assert not User(role=role, enabled=False).has_perm(perm)
        assert not User(role=role, is_active=False).has_perm(perm)

    @pytest.mark.parametrize(
        ("role", "app", "shown"),
        [
            ("general", "trees", False),
            ("moderator", "trees", True),
            ("moderator", "accounts", True),
            ("moderator", "django_celery_beat", False),
            ("admin", "django_celery_beat", True),
        ],
    )
    def test_apps(self, role: str, app: str, shown: bool) -> None:
        assert User(role=role).has_module_perms(app) == shown


class TestKeys:
    def test_only_a_hash_is_kept(self) -> None:
        client, key = services.create_api_client(name="bot", trusted=True)
        stored = ApiKey.objects.get(api_client=client)
        assert stored.digest == Secret.digest_of(key) != key
        assert key.startswith(stored.prefix) and len(stored.prefix) == 8
        assert client.trusted

    def test_a_key_of_ones_own(self) -> None:
        _, key = services.create_api_client(name="bot", key="1234")
        assert key == "1234"
        assert len(ApiKey.objects.get().prefix) <= 1

    def test_two_may_be_valid_at_once(self) -> None:
        client, first = services.create_api_client(name="bot")
        _, second = services.new_api_key(client, name="next")
        assert first != second
        assert client.keys.count() == 2

    def test_a_key_belongs_to_one_program(self) -> None:
        services.create_api_client(name="bot", key="shared-key")
        with pytest.raises(Conflict):
            services.create_api_client(name="other", key="shared-key")
        assert [client.name for client in ApiClient.objects.all()] == ["bot"]

    @pytest.mark.parametrize("key", ["", "has blank", "ключ", "x" * 201, "a\nb"])
    def test_keys_that_are_none(self, key: str) -> None:
        with pytest.raises(Invalid):
            services.create_api_client(name="bot", key=key)
        assert not ApiClient.objects.exists()

    def test_tokens(self, alice: User) -> None:
        token, secret = tokens.new_token(alice, "laptop")
        assert token.digest == Secret.digest_of(secret)
        assert secret not in str(token)
