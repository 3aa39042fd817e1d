"""Several processes or windows store the same thing at the same moment: there is one row, and nobody gets an error."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.db.models import QuerySet
from django.test import Client

from inference.models import ServedModel
from inference.registry import offer
from oasst.accounts import consent, identities, registration, tokens
from oasst.accounts.documents import TERMS
from oasst.accounts.models import Consent, User
from oasst.site.invariants import find_differences
from tests.accounts.test_agreeing import AGREES, upsert
from tests.accounts.test_tokens import program
from tests.concurrency.together import at_once, rival_before
from trees.policies.reading import current_policy

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
AT_ONCE = 6


class TestOffer:
    @pytest.fixture(autouse=True)
    def _model(self, settings: Any) -> None:
        settings.OASST_CHAT_MODEL = "tiny"

    def test_several_processes_start(self) -> None:
        assert at_once([offer.note_offer] * AT_ONCE) == [None] * AT_ONCE
        assert ServedModel.objects.get().name == "tiny"

    def test_another_one_was_first_by_a_moment(self) -> None:
        """Another process stored the offer after this one had looked and before it wrote."""
        with rival_before(QuerySet, "create", offer.note_offer):
            offer.note_offer()
        assert ServedModel.objects.count() == 1


class TestAgreeing:
    @pytest.fixture
    def dora(self, db: None) -> User:
        """A user who has agreed to nothing."""
        return registration.create_user(email="dora@example.org", display_name="Dora")

    def by_token(self, person: User) -> Callable[[], int]:
        caller = program(tokens.new_token(person)[1])
        body = {**AGREES, "tos_version": TERMS.version}
        return lambda: upsert(caller, body).status_code

    def on_the_page(self, person: User) -> Callable[[], int]:
        window = Client()
        window.force_login(person)
        form = {"version": TERMS.version, "decision": "accept"}
        return lambda: window.post("/terms/accept/", form).status_code

    def agreed(self, person: User) -> list[str]:
        """Return the consents of the user; their row says the same."""
        assert list(find_differences(current_policy())) == []
        return [one.version for one in Consent.objects.filter(user=person, withdrawn_at=None)]

    def test_by_a_token(self, dora: User) -> None:
        assert at_once([self.by_token(dora) for _ in range(AT_ONCE)]) == [200] * AT_ONCE
        assert self.agreed(dora) == [TERMS.version] and Consent.objects.count() == 1

    def test_in_several_windows(self, dora: User) -> None:
        assert at_once([self.on_the_page(dora) for _ in range(AT_ONCE)]) == [302] * AT_ONCE
        assert self.agreed(dora) == [TERMS.version] and Consent.objects.count() == 1

    def test_by_a_token_and_in_a_window(self, dora: User) -> None:
        acts = [self.by_token(dora), self.on_the_page(dora)] * (AT_ONCE // 2)
        assert at_once(acts) == [200, 302] * (AT_ONCE // 2)
        assert self.agreed(dora) == [TERMS.version] and Consent.objects.count() == 1

    @pytest.mark.parametrize(
        ("name", "where", "status"), [("by_token", identities, 200), ("on_the_page", consent, 302)]
    )
    def test_another_window_was_first_by_a_moment(self, dora: User, name: str, where: object, status: int) -> None:
        """Another request agreed after this one had found no consent."""
        act, other, heard = getattr(self, name)(dora), self.on_the_page(dora), []
        with rival_before(where, "lock_user", lambda: heard.append(other())):
            assert act() == status
        assert heard == [302]
        assert self.agreed(dora) == [TERMS.version] and Consent.objects.count() == 1

    def test_and_withdrawing(self, dora: User) -> None:
        """The last one counts, and the user's row agrees with it."""
        for _ in range(3):
            acts = [self.by_token(dora), self.on_the_page(dora), partial(consent.withdraw_terms, dora)]
            assert at_once(acts)[:2] == [200, 302]
            dora.refresh_from_db()
            assert self.agreed(dora) == [dora.terms_version] * bool(dora.terms_version)
