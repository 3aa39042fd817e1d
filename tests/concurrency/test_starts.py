"""The same thing noted at the same moment by several processes or windows: one row, and nobody fails."""

from functools import partial
from typing import Any

import pytest
from django.test import Client

from inference import chat, engines
from inference.models import OfferedModel
from oasst.accounts import services, tokens
from oasst.accounts.documents import TERMS
from oasst.accounts.models import Consent, User
from oasst.invariants import differences
from tests.accounts.test_agreeing import AGREES, upsert
from tests.accounts.test_tokens import program
from tests.concurrency.together import at_once, elsewhere, rival_before
from trees.policy import current_policy

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
AT_ONCE = 6


class TestOffer:
    @pytest.fixture(autouse=True)
    def _model(self, settings: Any) -> None:
        settings.OASST_CHAT_MODEL = "tiny"

    def test_several_processes_start(self) -> None:
        assert at_once([chat.note_offer] * AT_ONCE) == [None] * AT_ONCE
        assert OfferedModel.objects.get().name == "tiny"

    def test_another_one_was_first_by_a_moment(self) -> None:
        """It noted the offer after this process had looked, and before it wrote."""
        with rival_before(OfferedModel.objects, "create", chat.note_offer):
            chat.note_offer()
        assert OfferedModel.objects.count() == 1
