"""Requests made up from the schemas of the chat: an answer of its shape or a refusal that they name, never a crash."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import schemathesis
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as how
from schemathesis.specs.openapi import checks

from inference.api import openai_urls as as_openai
from inference.api.openai_input import read
from inference.api_urls import OPERATIONS, document
from oasst.accounts.models import User
from oasst.accounts.tokens import create_token
from oasst.core.errors import Invalid
from tests.inference.api.conftest import POLICY, Api, answered, bearer_of

# A stream that waits for an engine, and what ends the account that asks.
ELSEWHERE = ("get_events", "delete_account", "log_out")
NAMES = [one.act.__name__ for one in OPERATIONS if one.act.__name__ not in ELSEWHERE]
CHECKS = (checks.status_code_conformance, checks.content_type_conformance, checks.response_schema_conformance)


@contextmanager
def one_connection() -> Iterator[None]:
    """The server in this thread sees what the test made. Not a fixture: Django's client connects what is cut here."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)


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
    schema = schemathesis.openapi.from_dict(published)
    schema.app = WSGIHandler()
    operation = schema.find_operation_by_id(name)
    # Not compressed: schemathesis does not unpack what it gets without a server between.
    headers = {"Authorization": f"Bearer {token}", "Accept-Encoding": "identity"}

    @given(case=operation.as_strategy())
    @how(
        max_examples=4,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def each(case: Any) -> None:
        # Ids that nobody has are refused early; half of the calls are about what is there.
        for part in set(case.path_parameters or {}) & set(ids):
            if str(case.path_parameters[part])[-1:] < "8":
                case.path_parameters[part] = ids[part]
        response = case.call(headers=headers)
        assert response.status_code != 500
        case.validate_response(response, checks=CHECKS, headers=headers)

    with one_connection():
        each()


def test_bodies_of_completions() -> None:
    """What the schema allows is read, or refused with the member that is wrong. Not sent: nobody would answer here."""
    schema = schemathesis.openapi.from_dict(as_openai.document())
    members = as_openai.document()["components"]["schemas"]["CompletionRequest"]["properties"]

    @given(case=schema.find_operation_by_id("completions").as_strategy())
    @how(
        max_examples=30,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def each(case: Any) -> None:
        try:
            # What the schema does not name may be refused by its name, which may be empty.
            read({name: value for name, value in case.body.items() if name in members}, POLICY)
        except Invalid as error:
            assert error.field, error.message

    each()
