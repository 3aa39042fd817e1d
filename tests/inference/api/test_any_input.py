"""Requests made up from the schemas of the chat."""

from typing import Any

import pytest

from inference.api import openai_urls as as_openai
from inference.api.openai_input import read
from inference.api_urls import OPERATIONS, document
from oasst.accounts.models import User
from oasst.accounts.tokens import create_token
from oasst.core.errors import Invalid
from tests import made_up
from tests.inference.api.conftest import POLICY, Api, answered, bearer_of

# A stream that waits for an engine, and what ends the account that asks.
ELSEWHERE = ("get_events", "delete_account", "log_out")
NAMES = [one.act.__name__ for one in OPERATIONS if one.act.__name__ not in ELSEWHERE]


@pytest.mark.django_db
@pytest.mark.parametrize("name", NAMES)
def test_a_few(name: str, ann: Api, alice: User, settings: Any) -> None:
    ask(document(), name, bearer_of(alice), ann, alice, settings)


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["models", "model", "get_schema"])
def test_as_openai(name: str, ann: Api, alice: User, settings: Any) -> None:
    ask(as_openai.document(), name, create_token(alice, name="laptop", days=7)[1], ann, alice, settings)


def ask(published: dict[str, Any], name: str, token: str, ann: Api, alice: User, settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    asked = ann.ask_anew()
    answered(asked)
    ids = {"chat_id": asked["chat_id"], "message_id": asked["id"], "user_id": str(alice.pk)}
    made_up.ask(published, name, 4, headers={"Authorization": f"Bearer {token}"}, ids=ids)


def test_bodies_of_completions() -> None:
    """What the schema allows is read, or refused with the member that is wrong. Not sent: nobody would answer here."""
    members = as_openai.document()["components"]["schemas"]["CompletionRequest"]["properties"]

    def take(case: Any) -> None:
        try:
            # What the schema does not name may be refused by its name, which may be empty.
            read({name: value for name, value in case.body.items() if name in members}, POLICY)
        except Invalid as error:
            assert error.field, error.message

    made_up.try_cases(as_openai.document(), "completions", 30, take)
