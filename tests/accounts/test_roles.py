"""Roles from the settings, and what each role may see in the admin."""

from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount

from oasst.accounts import roles
from oasst.accounts.models import Role, User

pytestmark = pytest.mark.django_db


class TestRoles:
    def test_listed_addresses_are_raised(self, alice: User, settings: Any) -> None:
        settings.MODERATOR_EMAILS = [alice.email]
        roles.apply_listed_role(alice)
        assert User.objects.get(pk=alice.pk).role == Role.MODERATOR
        settings.ADMIN_EMAILS = [alice.email]
        roles.apply_listed_role(alice)
        assert alice.role == Role.ADMIN

    def test_nobody_is_lowered(self, alice: User, settings: Any) -> None:
        alice.role = Role.ADMIN
        settings.MODERATOR_EMAILS = [alice.email]
        roles.apply_listed_role(alice)
        assert alice.role == Role.ADMIN

    def test_an_unproven_address_raises_nobody(self, eve: User, settings: Any) -> None:
        EmailAddress.objects.create(user=eve, email="boss@example.org", verified=False)
        settings.ADMIN_EMAILS = ["boss@example.org"]
        roles.apply_listed_role(eve)
        assert User.objects.get(pk=eve.pk).role == Role.GENERAL

    def test_listed_accounts_are_raised(self, alice: User, bob: User, settings: Any) -> None:
        settings.MODERATOR_USERS = ["discord:81", "github:7"]
        SocialAccount.objects.create(user=alice, provider="discord", uid="81")
        SocialAccount.objects.create(user=bob, provider="github", uid="81")
        roles.apply_listed_role(alice)
        roles.apply_listed_role(bob)
        assert (alice.role, bob.role) == (Role.MODERATOR, Role.GENERAL)

    def test_without_lists_nothing_is_asked(self, alice: User, django_assert_num_queries: Any) -> None:
        with django_assert_num_queries(0):
            roles.apply_listed_role(alice)


class TestMayShow:
    """`has_perm` decides what the admin shows. Nobody may add, change or delete anything there."""

    @pytest.mark.parametrize(
        ("role", "perm", "granted"),
        [
            ("general", "trees.view_message", False),
            ("moderator", "trees.view_messagetree", True),
            ("moderator", "trees.view_report", True),
            ("moderator", "accounts.view_user", True),
            ("moderator", "accounts.view_apikey", False),
            ("moderator", "accounts.view_apiclient", False),
            ("moderator", "core.view_jobrecord", False),
            ("moderator", "trees.change_message", False),
            ("admin", "core.view_jobrecord", True),
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
