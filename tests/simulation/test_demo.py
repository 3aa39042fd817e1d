"""The demo: every kind of task is there for a newcomer, and a second run adds nothing."""

from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from oasst.accounts.models import User
from oasst.invariants import differences
from tasks import queries
from tasks.kinds import Kind
from trees.models import Message, MessageTree
from trees.policy import current_policy
from trees.states import State

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


def test_it_is_alive_and_repeatable(alice: User, settings: Any) -> None:
    settings.RATE_LIMITS = False
    out = StringIO()
    call_command("seed_demo", stdout=out)
    assert "50 example trees imported" in out.getvalue() and "Their password:" in out.getvalue()
    counts = queries.availability(alice, "en", current_policy())
    assert {kind for kind, number in counts.items() if number} >= set(Kind) - {Kind.RANK_PROMPTER_REPLIES}
    states = set(MessageTree.objects.filter(origin="").values_list("state", flat=True))
    assert states >= {State.INITIAL_PROMPT_REVIEW, State.GROWING, State.RANKING, State.READY_FOR_EXPORT}
    assert list(differences(current_policy())) == []
    before = (User.objects.count(), Message.objects.count())
    call_command("seed_demo", stdout=StringIO())
    assert (User.objects.count(), Message.objects.count()) == before
