"""API clients against the real services: what they send and what comes back."""

from typing import Any

import pytest
from django.test import Client

from oasst.accounts import services


class Wire:
    """One API client. Paths are below /api/v1/; a crash of the server fails the test."""

    def __init__(self, name: str, *, trusted: bool) -> None:
        self.client, self.key = services.create_api_client(name=name, trusted=trusted)
        self.http = Client(headers={"X-API-Key": self.key})

    def call(self, method: str, path: str, body: Any = None, *, user: str = "", **query: Any) -> Any:
        more: dict[str, Any] = {"headers": {"X-OASST-USER": user}} if user else {}
        if body is not None:
            more |= {"data": body, "content_type": "application/json"}
        sent = {name: str(value).lower() if isinstance(value, bool) else value for name, value in query.items()}
        return getattr(self.http, method)(f"/api/v1/{path}", query_params=sent, **more)

    def get(self, path: str, *, user: str = "", **query: Any) -> Any:
        return self.call("get", path, user=user, **query)

    def post(self, path: str, body: Any = None, *, user: str = "", **query: Any) -> Any:
        return self.call("post", path, body, user=user, **query)

    def put(self, path: str, *, user: str = "", **query: Any) -> Any:
        return self.call("put", path, user=user, **query)

    def delete(self, path: str, *, user: str = "", **query: Any) -> Any:
        return self.call("delete", path, user=user, **query)

    # --- What a contributor does ---

    def ask(self, person: dict[str, str], type: str = "random", **more: Any) -> Any:
        return self.post("tasks/", {"type": type, "user": person, **more})

    def ack(self, task: dict[str, Any], name: str) -> Any:
        return self.post(f"tasks/{task['id']}/ack", {"message_id": name})

    def interact(self, person: dict[str, str], type: str, **more: Any) -> Any:
        return self.post("tasks/interaction", {"type": type, "user": person, **more})


def person(name: str, auth_method: str = "local") -> dict[str, str]:
    return {"id": name.lower(), "display_name": name, "auth_method": auth_method}


def code_of(response: Any) -> tuple[int, int]:
    """(status, error_code) of a refusal in the envelope of the domain."""
    body = response.json()
    assert isinstance(body["message"], str) and body["message"], body
    return response.status_code, body["error_code"]


@pytest.fixture
def site(db: None) -> Wire:
    """A trusted client: a front end of our own."""
    return Wire("site", trusted=True)


@pytest.fixture
def bot(db: None) -> Wire:
    """A client that is not trusted."""
    return Wire("bot", trusted=False)


@pytest.fixture
def other(db: None) -> Wire:
    return Wire("other bot", trusted=False)
