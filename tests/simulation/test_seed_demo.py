"""seed_demo makes trees in every state and every kind of work for a new user, and adds nothing the second time."""

from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from oasst.accounts.models import User
from oasst.site.invariants import find_differences
from tasks.kinds import Kind
from tasks.models import Task
from tasks.queries import availability
from tests.factories import new_person, new_prompt
from trees.lifecycle.states import State
from trees.models import Message, MessageTree
from trees.policies.reading import current_policy

pytestmark = [pytest.mark.django_db, pytest.mark.slow]


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def seed(*, terminal: bool = True) -> str:
    out = Terminal() if terminal else StringIO()
    call_command("seed_demo", stdout=out)
    return out.getvalue()


def counted() -> dict[str, int]:
    return {model.__name__: model._default_manager.count() for model in (User, Message, MessageTree, Task)}


class TestSeedDemo:
    def test_every_state_and_every_kind_of_work(self) -> None:
        seed()
        assert list(find_differences(current_policy())) == []
        own = MessageTree.objects.exclude(messages__imported__isnull=False)
        assert set(own.values_list("state", flat=True)) == {
            State.INITIAL_PROMPT_REVIEW,
            State.PROMPT_LOTTERY_WAITING,
            State.GROWING,
            State.RANKING,
            State.READY_FOR_EXPORT,
        }
        counts = availability(new_person("Newcomer"), "en", current_policy())
        # Follow-ups of users are not ranked under the default policy.
        assert {kind for kind, number in counts.items() if not number} == {Kind.RANK_PROMPTER_REPLIES}

    def test_again_adds_nothing(self) -> None:
        assert "password" in seed()
        before = counted()
        assert "password" not in seed()
        assert counted() == before
        assert list(find_differences(current_policy())) == []

    @pytest.mark.slow
    def test_what_was_said_fits(self) -> None:
        seed()
        texts = Message.objects.filter(author__isnull=False, parent__isnull=False).values_list("text", flat=True)
        made_up = [text for text in texts if text.startswith(("In short", "Thank you. Could", "I would start small"))]
        assert len(made_up) <= len(texts) / 4

    @pytest.mark.slow
    def test_no_passwords_in_a_log(self) -> None:
        said = seed(terminal=False)
        assert "password" not in said and "manage.py sign_in_link" in said
        assert not any(person.has_usable_password() for person in User.objects.all())

    @pytest.mark.slow
    def test_no_passwords_on_a_public_site(self, settings: Any) -> None:
        settings.PUBLIC_URL = "https://oasst.example.org"
        assert "password" not in seed()
        assert not any(person.has_usable_password() for person in User.objects.all())

    def test_conversations_of_others_are_left_alone(self) -> None:
        new_prompt(new_person("Resident"))
        before = counted()
        assert "No demo" in seed()
        assert counted() == before
