"""Banning users and lifting bans."""

import pytest
from django.utils import timezone

from oasst.accounts import account_bans, registration
from oasst.accounts.access import require_contributor
from oasst.accounts.models import Role, User
from oasst.core.errors import Conflict, Invalid, NotAllowed

pytestmark = pytest.mark.django_db


class TestBan:
    def test_ban_and_unban(self, eve: User, mo: User) -> None:
        account_bans.ban(eve, actor=mo, reason=" Spam  ")
        eve.refresh_from_db()
        assert (eve.enabled, eve.ban_reason) == (False, "Spam")
        assert eve.banned_at is not None and eve.banned_at <= timezone.now()
        with pytest.raises(NotAllowed) as caught:
            require_contributor(eve)
        assert caught.value.code == "suspended"
        account_bans.unban(eve, actor=mo, reason="They promised.")
        require_contributor(User.objects.get(pk=eve.pk))
        assert eve.banned_at is None

    def test_a_ban_has_a_reason(self, eve: User, mo: User) -> None:
        with pytest.raises(Invalid):
            account_bans.ban(eve, actor=mo, reason=" ")
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
        one, other = (registration.create_user(email=None, role=role) for role in (actor, subject))
        if code:
            with pytest.raises(NotAllowed) as caught:
                account_bans.ban(other, actor=one, reason="Spam")
            assert caught.value.code == code
        else:
            account_bans.ban(other, actor=one, reason="Spam")
        assert User.objects.get(pk=other.pk).enabled == bool(code)
        User.objects.filter(pk=other.pk).update(enabled=False)
        if code:
            with pytest.raises(NotAllowed):
                account_bans.unban(other, actor=one, reason="They promised.")
        else:
            account_bans.unban(other, actor=one, reason="They promised.")
        assert User.objects.get(pk=other.pk).enabled != bool(code)

    @pytest.mark.parametrize("role", [Role.MODERATOR, Role.ADMIN])
    def test_nobody_bans_themselves_so_the_last_administrator_stays(self, role: Role) -> None:
        person = registration.create_user(email=None, role=role)
        with pytest.raises(NotAllowed):
            account_bans.ban(person, actor=person, reason="Enough")
        assert User.objects.get(pk=person.pk).enabled

    def test_the_rank_is_that_of_now(self, eve: User, mo: User) -> None:
        User.objects.filter(pk=eve.pk).update(role=Role.MODERATOR)
        with pytest.raises(NotAllowed):
            account_bans.ban(eve, actor=mo, reason="Spam")

    def test_a_banned_moderator_bans_nobody(self, eve: User, mo: User) -> None:
        mo.enabled = False
        with pytest.raises(NotAllowed):
            account_bans.ban(eve, actor=mo, reason="Spam")

    def test_who_is_not_banned_can_not_be_let_in(self, eve: User, mo: User) -> None:
        with pytest.raises(Conflict):
            account_bans.unban(eve, actor=mo, reason="They promised.")
