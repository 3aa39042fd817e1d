"""API clients against the real services: requests and responses."""

from typing import Any

import pytest
from django.test import Client

from oasst.accounts import api_clients
from oasst.api.openapi_details import refusals
from tests.factories import do_work, new_person
from tests.wire.shapes import misfits
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import Message, MessageTree, Opening
from trees.policies.reading import current_policy


class Wire:
    """One API client. Paths are relative to /api/v1/. A crash of the server fails the test, and so does a response
    that does not match the declared schema.
    """

    def __init__(self, name: str, *, trusted: bool) -> None:
        self.client, self.key = api_clients.create_api_client(name=name, trusted=trusted)
        self.http = Client(headers={"X-API-Key": self.key})

    def call(
        self, method: str, path: str, body: Any = None, *, user: str = "", headers: Any = None, **query: Any
    ) -> Any:
        more: dict[str, Any] = {"headers": {"X-OASST-USER": user}} if user else {}
        if method == "post":
            more |= {"data": "" if body is None else body, "content_type": "application/json"}
        if headers:
            more["headers"] = {**more.get("headers", {}), **headers}
        sent = {name: str(value).lower() if isinstance(value, bool) else value for name, value in query.items()}
        response = getattr(self.http, method)(f"/api/v1/{path}", query_params=sent, **more)
        check(response)
        return response

    def get(self, path: str, *, user: str = "", **query: Any) -> Any:
        return self.call("get", path, user=user, **query)

    def post(self, path: str, body: Any = None, *, user: str = "", **query: Any) -> Any:
        return self.call("post", path, body, user=user, **query)

    def put(self, path: str, *, user: str = "", **query: Any) -> Any:
        return self.call("put", path, user=user, **query)

    def delete(self, path: str, *, user: str = "", **query: Any) -> Any:
        return self.call("delete", path, user=user, **query)

    # --- Actions of a contributor ---

    def ask(self, person: dict[str, str], type: str = "random", **more: Any) -> Any:
        return self.post("tasks/", {"type": type, "user": person, **more})

    def ack(self, task: dict[str, Any], name: str) -> Any:
        return self.post(f"tasks/{task['id']}/ack", {"message_id": name})

    def interact(self, person: dict[str, str], type: str, **more: Any) -> Any:
        return self.post("tasks/interaction", {"type": type, "user": person, **more})

    def take(self, person: dict[str, str], type: str, name: str, **more: Any) -> Any:
        """Request and acknowledge a task."""
        response = self.ask(person, type, **more)
        assert response.status_code == 200, response.json()
        assert self.ack(response.json(), name).status_code == 204
        return response.json()

    def write(self, person: dict[str, str], text: str, name: str, type: str = "initial_prompt", **more: Any) -> Message:
        """Answer a task with a text; `name` is the client's id for the message."""
        self.take(person, type, f"task-{name}", **more)
        response = self.interact(
            person, "text_reply_to_message", message_id=f"task-{name}", user_message_id=name, text=text
        )
        assert response.status_code == 200, response.json()
        return Message.objects.get(api_client=self.client, frontend_message_id=name)


def check(response: Any) -> None:
    """Check that the response matches its declared schema, or is a declared refusal."""
    view = getattr(response.resolver_match.func, "view_class", None)
    operation = view and view.operations.get(response.request["REQUEST_METHOD"])
    if operation is None or response.status_code in (304, 307):
        return
    if response.status_code >= 400:
        number = response.json().get("error_code", 0)
        assert number in refusals(operation).get(response.status_code, {}), (operation.path, response.content)
        return
    assert response.status_code == operation.status
    assert response["Content-Type"] == operation.media
    if operation.media != "application/json":
        return
    if response.status_code == 204:
        assert response.content == b""
        return
    assert operation.answer is not None
    wrong = misfits(operation.answer, response.json())
    assert not wrong, wrong


def person(name: str, auth_method: str = "local") -> dict[str, str]:
    return {"id": name.lower(), "display_name": name, "auth_method": auth_method}


def code_of(response: Any) -> tuple[int, int]:
    """Return (status, error_code) of a refusal."""
    body = response.json()
    assert isinstance(body["message"], str) and body["message"], body
    return response.status_code, body["error_code"]


def problems(response: Any) -> set[tuple[Any, ...]]:
    """Return (*loc, type) of each problem of a 422."""
    assert response.status_code == 422, response.content
    return {(*one["loc"], one["type"]) for one in response.json()["detail"]}


def work_on(tree: Message, state: State, policy: TreePolicy | None = None) -> None:
    """Let new users do whatever the tree needs, until it is in `state`."""
    for _ in range(200):
        if MessageTree.objects.get(pk=tree.tree_id).state == state:
            return
        opening = Opening.objects.filter(tree=tree.tree_id).order_by("-priority", "id").first()
        assert opening is not None
        do_work(opening, new_person("Worker"), policy or current_policy())
    raise AssertionError(f"the tree did not reach {state}")


@pytest.fixture
def site(db: None) -> Wire:
    """A trusted client."""
    return Wire("site", trusted=True)


@pytest.fixture
def bot(db: None) -> Wire:
    """An untrusted client."""
    return Wire("bot", trusted=False)


@pytest.fixture
def other(db: None) -> Wire:
    return Wire("other bot", trusted=False)
