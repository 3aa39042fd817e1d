"""Requests made up from the schema: an answer of its shape or a refusal that it names, never a crash."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi import checks

from oasst.accounts.models import User
from oasst.api.codes import Wire as Number
from oasst.api_urls import OPERATIONS, document
from tests.factories import growing_tree
from tests.wire.conftest import Wire

ROOT_TOKEN = "s3cret"
# Asks a server outside of this machine.
NAMES = [one.act.__name__ for one in OPERATIONS if not one.path.startswith("hf/")]
CHECKS = (checks.status_code_conformance, checks.content_type_conformance, checks.response_schema_conformance)


@pytest.fixture(autouse=True)
def _one_connection(db: None) -> Iterator[None]:
    """The server in this thread sees what the test made, as with Django's own test client."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)


def ask(operation: Any, wire: Wire, examples: int, ids: dict[str, str]) -> None:
    # Not compressed: schemathesis does not unpack what it gets without a server between.
    headers = {"X-API-Key": wire.key, "Authorization": f"Bearer {ROOT_TOKEN}", "Accept-Encoding": "identity"}

    @given(case=operation.as_strategy())
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def each(case: Any) -> None:
        # Ids that nobody has are refused early; half of the calls are about what is there.
        for name in set(case.path_parameters or {}) & set(ids):
            if str(case.path_parameters[name])[-1:] < "8":
                case.path_parameters[name] = ids[name]
        response = case.call(headers=headers)
        assert response.status_code != 500 or response.json()["error_code"] == Number.BROKEN_CONVERSATION
        case.validate_response(response, checks=CHECKS, headers=headers)

    each()


def run(name: str, wire: Wire, alice: User, examples: int, site_settings: Any) -> None:
    site_settings.RATE_LIMITS = False
    site_settings.ROOT_TOKENS = [ROOT_TOKEN]
    site_settings.ALLOWED_HOSTS = ["*"]
    ids = {"message_id": str(growing_tree(alice).pk), "user_id": str(alice.pk)}
    schema = schemathesis.openapi.from_dict(document())
    schema.app = WSGIHandler()
    ask(schema.find_operation_by_id(name), wire, examples, ids)


@pytest.mark.django_db
@pytest.mark.parametrize("name", NAMES)
def test_a_few(name: str, site: Wire, alice: User, settings: Any) -> None:
    run(name, site, alice, 4, settings)


@pytest.mark.slow
@pytest.mark.django_db
@pytest.mark.parametrize("name", NAMES)
def test_many(name: str, site: Wire, alice: User, settings: Any) -> None:
    run(name, site, alice, 60, settings)
