"""Wrong secrets are counted by address in every API; valid ones are never counted."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from oasst.accounts import tokens
from oasst.accounts.authentication import program_sessions
from oasst.accounts.models import User
from tests.wire.conftest import Wire
from tests.wire.test_doors import tighten

pytestmark = pytest.mark.django_db
Knock = Callable[..., Any]


def trusted(key: str) -> str:
    claim = {"api_key": key, "client": "website", "user_id": "ada", "username": "Ada"}
    return base64.b64encode(json.dumps(claim).encode()).decode()


def at(path: str, method: str = "get", **headers: str) -> Knock:
    return lambda **meta: getattr(Client(headers=headers), method)(path, **meta)


def with_cookie(**meta: Any) -> Any:
    client = Client()
    client.cookies["next-auth.session-token"] = "a.b.c.d.e"
    return client.get("/api/v1/auth/check", **meta)


KEYS = {
    "header": at("/api/v1/users/cursor", **{"X-API-Key": "guess"}),
    "query": at("/api/v1/users/cursor?api_key=guess"),
    "trusted client": at("/inference/chats", TrustedClient=trusted("guess")),
    "trusted sign-in": at("/inference/auth/trusted", "post", TrustedClient=trusted("guess")),
}
TOKENS = {
    "own token": at("/api/v1/users/cursor", Authorization="Bearer guess"),
    "own token in chat": at("/inference/chats", Authorization="Bearer guess"),
    "own token, as with OpenAI": at("/v1/models", Authorization="Bearer guess"),
    "root token": at("/api/v1/admin/api_client", "post", Authorization="Bearer guess"),
    "root token in chat": at(
        "/inference/admin/refresh_tokens/00000000-0000-0000-0000-000000000001", "delete", Authorization="Bearer guess"
    ),
    "access token": at("/inference/auth/check", Authorization="Bearer guess.guess.guess"),
    "access token of another kind": at("/inference/auth/logout", "post", Authorization="Bearer guess.guess.guess"),
    "refresh token": at("/inference/auth/refresh", Refresh="refresh_guess"),
    "cookie of NextAuth": with_cookie,
}


@pytest.mark.parametrize(
    ("rule", "knock"),
    [
        *(pytest.param("WRONG_KEYS_FROM_ADDRESS", knock, id=name) for name, knock in KEYS.items()),
        *(pytest.param("WRONG_TOKENS_FROM_ADDRESS", knock, id=name) for name, knock in TOKENS.items()),
    ],
)
def test_wrong_ones_are_counted(rule: str, knock: Knock, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.AUTH_SECRET = "secret of another site"
    tighten(monkeypatch, rule, "2 per hour")
    for _ in range(2):
        assert knock().status_code in (401, 403)
    refused = knock()
    assert refused.status_code == 429 and int(refused["Retry-After"]) > 0
    assert knock(REMOTE_ADDR="203.0.113.9").status_code in (401, 403)


def test_also_from_the_address_of_a_trusted_program(site: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's own requests are not limited by address, but others from there are."""
    tighten(monkeypatch, "WRONG_KEYS_FROM_ADDRESS", "2 per hour")
    for _ in range(3):
        assert site.get("users/cursor").status_code == 200
        KEYS["header"]()
    assert KEYS["header"]().status_code == 429
    assert site.get("users/cursor").status_code == 200


def test_right_ones_are_never_counted(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    tighten(monkeypatch, "WRONG_TOKENS_FROM_ADDRESS", "1 per hour")
    own = tokens.new_token(alice, "mine")[1]
    pair = program_sessions.sign_in(alice, provider="debug")
    TOKENS["access token"]()
    for _ in range(2):
        assert at("/inference/auth/check", Authorization=f"Bearer {own}")().status_code == 200
        assert at("/inference/auth/check", Authorization=f"Bearer {pair.access}")().status_code == 200
