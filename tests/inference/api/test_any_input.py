"""Random requests from the schemas of the chat."""

from typing import Any

import pytest

from inference.api import openai_urls as as_openai
from inference.api.openai_input import parse_request
from inference.api_urls import OPERATIONS, document
from oasst.accounts.models import User
from oasst.accounts.tokens import create_token
from oasst.core.errors import Invalid
from tests import generated_requests
from tests.inference.api.conftest import POLICY, Api, answered, bearer_of

# Left out: a stream that waits for an engine, and operations that end the account.
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
    generated_requests.send_cases(published, name, 4, headers={"Authorization": f"Bearer {token}"}, ids=ids)


def test_bodies_of_completions() -> None:
    """Allowed input is read, or refused with the wrong member. Streams are left out: no engine runs."""
    members = as_openai.document()["components"]["schemas"]["CompletionRequest"]["properties"]

    def take(case: Any) -> None:
        try:
            # An unknown member may be refused by its name, which may be empty.
            parse_request({name: value for name, value in case.body.items() if name in members}, POLICY)
        except Invalid as error:
            assert error.field, error.message

    generated_requests.try_cases(as_openai.document(), "completions", 30, take)
