"""The last two administrators leave at the same moment: one of them stays."""

from functools import partial

import pytest

from oasst.accounts import closing
from oasst.accounts.models import BanProposal, Role, User
from oasst.core.errors import Conflict
from tests.concurrency.together import at_once
from tests.factories import new_person
from trees.moderation import bans

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


def administrators() -> int:
    return User.objects.filter(role=Role.ADMIN, enabled=True, is_active=True).count()


def test_two_close_their_accounts() -> None:
    for _ in range(3):
        pair = [new_person("Ada", role="admin"), new_person("Grace", role="admin")]
        results = at_once([partial(closing.close_account, one) for one in pair])
        assert [type(one) for one in results if one is not None] == [Conflict]
        assert administrators() == 1
        User.objects.filter(role=Role.ADMIN).update(role=Role.GENERAL)


def test_one_leaves_while_the_other_is_banned() -> None:
    for _ in range(3):
        ada, grace = new_person("Ada", role="admin"), new_person("Grace", role="admin")
        acts = [partial(closing.close_account, ada), partial(bans.ban_by_operator, grace, reason="Gone rogue.")]
        results = at_once(acts)
        assert [type(one) for one in results if one is not None] == [Conflict]
        assert administrators() == 1
        User.objects.filter(role=Role.ADMIN).update(role=Role.GENERAL)


def test_two_confirm_at_once() -> None:
    ada, grace, linus, eve = (new_person(name, role="admin") for name in ("Ada", "Grace", "Linus", "Eva"))
    bans.ban(eve, actor=ada, reason="Sells accounts.")
    fresh = [User.objects.get(pk=eve.pk) for _ in range(2)]
    acts = [
        partial(bans.ban, mine, actor=actor, reason="Yes.") for mine, actor in zip(fresh, (grace, linus), strict=True)
    ]
    results = at_once(acts)
    assert results.count(True) == 1
    assert [one.code for one in results if isinstance(one, Conflict)] == ["banned"]


def test_confirmed_refused_and_withdrawn_at_once() -> None:
    ada, grace, linus, eve = (new_person(name, role="admin") for name in ("Ada", "Grace", "Linus", "Eva"))
    bans.ban(eve, actor=ada, reason="Sells accounts.")
    pk = BanProposal.objects.get().pk
    acts = [
        partial(bans.confirm_proposal, pk, actor=grace),
        partial(bans.refuse_one_proposal, pk, actor=linus, reason="No."),
        partial(bans.withdraw_one_proposal, pk, actor=ada),
    ]
    results = at_once(acts)
    assert [one.code for one in results if isinstance(one, Conflict)] == ["nothing_proposed"] * 2
    outcome, enabled = BanProposal.objects.get().outcome, User.objects.get(pk=eve.pk).enabled
    assert (outcome, enabled) in (("confirmed", False), ("refused", True), ("withdrawn", True))
