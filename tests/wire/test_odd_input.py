"""Any path, query or body gets a response or a refusal in its envelope, never a crash."""

from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from oasst.accounts import tokens
from oasst.accounts.models import User
from oasst.api.operations import Operation
from oasst.site.api_urls import OPERATIONS
from tests.factories import growing_tree
from tests.wire.conftest import Wire, person

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
TEXTS = [
    *("", " ", "\0", "ä🙂", "9" * 40, "-1", "0", "null", "[]", "NaN", "1e999", "true", "'; --", "%", "$", "a$b"),
    *("x" * 9000, "2024-01-01", "0001-01-01T00:00:00", "9999-12-31T23:59:59-23:59", "2024-01-01T00:00:00+99:99"),
    *("\ufffe", "\u202e"),
]
VALUES: list[Any] = [*TEXTS, None, True, 0, -1, 2**70, 1.5, [], {}, [[]], {"a": {}}, ["spam"], {"spam": None}, "\ud800"]


def url(operation: Operation, message: str, filler: str = "") -> str:
    path = operation.path
    for name in ("message_id", "task_id", "user_id", "auth_method", "username", "frontend_message"):
        path = path.replace(f"<{name}>", quote(filler, safe="") or message)
    return path


def send(wire: Wire, operation: Operation, path: str, **more: Any) -> None:
    response = getattr(wire.http, operation.method.lower())(f"/api/v1/{path}", **more)
    if response.streaming:
        list(response)  # read to its end to free its slot
        return
    assert response.status_code < 500 or response.json()["error_code"] in (1006, 2009, 4001), response.content
    if response.status_code >= 400:
        assert set(response.json()) & {"error_code", "detail"}


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: f"{one.method} {one.path}")
def test_no_crash(site: Wire, alice: User, operation: Operation, settings: Any) -> None:
    settings.RATE_LIMITS = False
    message = str(growing_tree(alice).pk)
    plain = url(operation, message)
    for text in TEXTS:
        if plain != operation.path:
            send(site, operation, url(operation, message, text))
        for name in operation.query().fields if operation.query else ():
            send(site, operation, plain, query_params={"max_count": "3", name: text})
    body = _whole_body(operation)
    for name in body:
        for value in VALUES:
            send(site, operation, plain, data={**body, name: value}, content_type="application/json")


@pytest.mark.parametrize("body", [b"", b" \r\n", b"null", b"{}"])
@pytest.mark.parametrize("media", ["application/json", "text/plain", ""])
def test_an_optional_body_may_be_sent_empty(site: Wire, body: bytes, media: str, alice: User) -> None:
    _, token = tokens.new_token(alice)
    own = {"headers": {"Authorization": f"Bearer {token}"}}
    if body.strip() and media == "text/plain":
        media = "application/json"  # words are no body that an operation takes
    for path, more in (("/api/v1/keys", {}), ("/inference/chats", own)):
        answer = site.http.generic("POST", path, body, content_type=media, **more)
        assert answer.status_code in (200, 201), (path, answer.content)


def _whole_body(operation: Operation) -> dict[str, Any]:
    if operation.body is None:
        return {}
    if operation.path == "tasks/availability":
        return person("Ada")
    known = {
        "user": person("Ada"),
        "type": "text_labels",
        "labels": {"spam": 0},
        "message_id": str(uuid4()),
        "text": "x",
        "ranking": [0],
        "user_message_id": "m",
        "destination_user_id": str(uuid4()),
        "source_user_ids": [str(uuid4())],
        **person("Bo"),
    }
    names = operation.body().fields or ("type", "user", "message_id", "user_message_id", "text", "labels", "ranking")
    return {name: known.get(name) for name in names}
