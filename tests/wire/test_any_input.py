"""Random requests, generated from the OpenAPI document."""

from typing import Any

import pytest

from oasst.accounts.models import User
from oasst.api.error_codes import ErrorCode as Number
from oasst.site.api_urls import OPERATIONS, document
from tests import generated_requests
from tests.factories import growing_tree
from tests.wire.conftest import Wire

ROOT_TOKEN = "s3cret"
# Calls a server outside of this machine.
NAMES = [one.act.__name__ for one in OPERATIONS if not one.path.startswith("hf/")]


def ask(name: str, number: int, wire: Wire, alice: User, settings: Any) -> None:
    settings.RATE_LIMITS = False
    settings.ROOT_TOKENS = [ROOT_TOKEN]
    settings.ALLOWED_HOSTS = ["*"]
    generated_requests.send_cases(
        document(),
        name,
        number,
        headers={"X-API-Key": wire.key, "Authorization": f"Bearer {ROOT_TOKEN}"},
        ids={"message_id": str(growing_tree(alice).pk), "user_id": str(alice.pk)},
        is_crash=lambda response: (
            response.status_code == 500 and response.json()["error_code"] != Number.BROKEN_CONVERSATION
        ),
    )


@pytest.mark.django_db
@pytest.mark.parametrize("name", NAMES)
def test_a_few(name: str, site: Wire, alice: User, settings: Any) -> None:
    ask(name, 4, site, alice, settings)


@pytest.mark.slow
@pytest.mark.django_db
@pytest.mark.parametrize("name", NAMES)
def test_many(name: str, site: Wire, alice: User, settings: Any) -> None:
    ask(name, 60, site, alice, settings)
