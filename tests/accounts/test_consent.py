"""Accepting the terms and withdrawing the consent."""

import pytest

from oasst.accounts import registration
from oasst.accounts.access import require_contributor
from oasst.accounts.consent import accept_terms, withdraw_terms
from oasst.accounts.documents import TERMS
from oasst.accounts.models import Consent, User
from oasst.core.errors import NotAllowed

pytestmark = pytest.mark.django_db


class TestTerms:
    def test_accept(self) -> None:
        user = registration.create_user(email="a@example.org")
        with pytest.raises(NotAllowed) as caught:
            require_contributor(user)
        assert caught.value.code == "terms_missing"
        accept_terms(user)
        accept_terms(user)
        require_contributor(user)
        consent = Consent.objects.get(user=user)
        assert (consent.document, consent.version, consent.withdrawn_at) == ("terms", TERMS.version, None)

    def test_withdraw_and_come_back(self, alice: User) -> None:
        withdraw_terms(alice)
        with pytest.raises(NotAllowed):
            require_contributor(alice)
        assert Consent.objects.get(user=alice).withdrawn_at is not None
        accept_terms(alice)
        require_contributor(alice)
        assert Consent.objects.filter(user=alice).count() == 2

    def test_an_older_version_is_not_enough(self, alice: User) -> None:
        alice.terms_version = "0"
        with pytest.raises(NotAllowed):
            require_contributor(alice)
