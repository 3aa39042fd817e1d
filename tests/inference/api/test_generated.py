"""An API client generated from the published schema of the chat reads chats and events."""

from typing import Any

import httpx
import pytest

from inference.api_urls import document
from inference.turns.states import TurnState
from oasst.accounts.models import User
from tests.clients.python import Client
from tests.clients.validity import validation_errors
from tests.inference.api.conftest import Api, answered, api_of, done, path_of
from tests.inference.api.test_events import read

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Client:
    return Client(document(), tmp_path_factory.mktemp("clients"), "oasst_chat_client")


def events_of(ann: Api, state: TurnState) -> list[dict[str, Any]]:
    asked = ann.ask_anew()
    # It ends while a reader waits, so that the stream begins with the position in the queue.
    return [
        {**data, "id": place} for place, data in read(ann, path_of(asked), then=lambda: answered(asked, state=state))
    ]


def test_every_event(client: Client, alice: User, chat_on: None) -> None:
    ann = api_of(alice)
    found = [*events_of(ann, TurnState.COMPLETE), *events_of(ann, TurnState.FAILED)]
    operation, kinds = client.operation("chats", "get_events"), set()
    for event in found:
        assert validation_errors(document(), "AnyEvent", event) == []
        answer = httpx.Response(200, json=event)
        parsed = operation._parse_response(client=client.package.Client(base_url=""), response=answer)
        kinds.add((event["event_type"], type(parsed).__name__))
    assert kinds == {
        ("pending", "PendingEvent"),
        ("token", "TokenEvent"),
        ("message", "MessageEvent"),
        ("error", "ErrorEvent"),
    }


def test_both_kinds_of_pages(client: Client, ann: Api) -> None:
    ann.ask_anew()
    by_cursor, by_number = (done(ann.get("chats", **query)) for query in ({}, {"page": 1}))
    assert (
        validation_errors(document(), "ChatPage", by_cursor)
        == validation_errors(document(), "ChatPage", by_number)
        == []
    )
    page = client.models.ChatPage.from_dict(by_number)
    assert (page.page, page.pages, page.total) == (1, 1, 1) and not page.additional_properties
    assert client.models.ChatPage.from_dict(by_cursor).chats[0].id == page.chats[0].id
