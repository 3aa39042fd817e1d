"""An API client of /inference that compares every response with the declared schema."""

import base64
import json
from typing import Any

import pytest
from django.test import Client

from inference.api.openapi_details import refusals
from inference.models import Turn
from inference.policy import ChatPolicy
from inference.turns import lifecycle
from inference.turns.states import TurnState
from oasst.accounts import api_clients
from oasst.accounts.authentication import program_sessions
from oasst.accounts.models import User
from tests.wire.shapes import misfits

POLICY = ChatPolicy()


class Api:
    """Paths are below /inference/. A crash of the server fails the test."""

    def __init__(self, **headers: str) -> None:
        self.headers = headers
        self.http = Client()

    def call(self, method: str, path: str, body: Any = None, *, headers: Any = None, **query: Any) -> Any:
        more: dict[str, Any] = {"headers": {**self.headers, **(headers or {})}, "query_params": query}
        if method in ("post", "put"):
            text = "" if body is None else body if isinstance(body, str) else json.dumps(body)
            more |= {"data": text, "content_type": "application/json"}
        response = getattr(self.http, method)(f"/inference/{path}", **more)
        check(response)
        return response

    def get(self, path: str, **more: Any) -> Any:
        return self.call("get", path, **more)

    def post(self, path: str, body: Any = None, **more: Any) -> Any:
        return self.call("post", path, body, **more)

    def put(self, path: str, body: Any = None, **more: Any) -> Any:
        return self.call("put", path, body, **more)

    def delete(self, path: str, **more: Any) -> Any:
        return self.call("delete", path, **more)

    # --- What a client does ---

    def new_chat(self) -> str:
        return str(done(self.post("chats", {}))["id"])

    def say(self, chat: str, text: str = "Tell me something", parent: str | None = None) -> dict[str, Any]:
        return done(self.post(f"chats/{chat}/prompter_message", {"parent_id": parent, "content": text}))

    def ask(self, chat: str, parent: str, model: str = "tiny", **more: Any) -> Any:
        body = {"parent_id": parent, "model_config_name": model, "sampling_parameters": GREEDY, **more}
        return self.post(f"chats/{chat}/assistant_message", body)

    def ask_anew(self, text: str = "Tell me something", **more: Any) -> dict[str, Any]:
        chat = self.new_chat()
        return done(self.ask(chat, self.say(chat, text)["id"], **more))


GREEDY = {"temperature": 0, "max_new_tokens": 60}


def done(response: Any) -> Any:
    assert response.status_code == 200, response.content
    return response.json()


def refused(response: Any, status: int) -> str:
    """Return the message of a refusal, or its wrong members."""
    assert response.status_code == status, response.content
    detail = response.json()["detail"]
    return detail if isinstance(detail, str) else ", ".join(".".join(map(str, one["loc"])) for one in detail)


def path_of(message: dict[str, Any]) -> str:
    return f"chats/{message['chat_id']}/messages/{message['id']}"


def check(response: Any) -> None:
    """Check that the response has the declared schema or is a refusal."""
    view = getattr(response.resolver_match.func, "view_class", None)
    operation = view and view.operations.get(response.request["REQUEST_METHOD"])
    if response.status_code >= 400:
        assert response["Content-Type"] == "application/json" and response.json()["detail"]
        assert operation is None or response.status_code in refusals(operation), (operation.path, response.content)
        return
    if operation is None:
        return
    assert response.status_code in (operation.status, *operation.other_statuses, 304)
    if response.streaming or response.status_code != 200:
        return
    wrong = misfits(operation.answer, response.json()) if operation.answer else []
    assert operation.answer or response.json() is None
    assert not wrong, wrong


def answered(message: dict[str, Any], text: str = "An answer.", state: TurnState = TurnState.COMPLETE) -> None:
    """Write the answer, as an engine would."""
    (claimed,) = lifecycle.claim(owner="test", model="tiny", number=1, policy=POLICY)
    assert str(claimed.pk) == message["id"]
    progress = lifecycle.Progress(str(claimed.pk), text, [1, 2, 3], 10, 0)
    error = "" if state == TurnState.COMPLETE else "The model failed."
    assert lifecycle.finish(owner="test", progress=progress, ending=lifecycle.Ending(state, "eos_token", error=error))


def bearer_of(user: User) -> str:
    return program_sessions.sign_in(user, provider="test").access


def api_of(user: User) -> Api:
    return Api(Authorization=f"Bearer {bearer_of(user)}")


def trusted_header(key: str, user_id: str = "ada", account_id: str = "", username: str = "Ada") -> str:
    claim = {
        "api_key": key,
        "client": "website",
        "user_id": user_id,
        "provider_account_id": account_id,
        "username": username,
    }
    return base64.b64encode(json.dumps(claim).encode()).decode()


@pytest.fixture
def ann(alice: User, chat_on: None) -> Api:
    """Alice's API client."""
    return api_of(alice)


@pytest.fixture
def ben(bob: User, chat_on: None) -> Api:
    """Bob's API client."""
    return api_of(bob)


@pytest.fixture
def website_key(db: None) -> str:
    """The key of a trusted API client."""
    return api_clients.create_api_client(name="website", trusted=True)[1]


def turn_of(message: dict[str, Any]) -> Turn:
    return Turn.objects.select_related("message").get(pk=message["id"])
