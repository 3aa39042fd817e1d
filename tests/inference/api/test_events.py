"""A client from sign-in to deletion with a real engine, and streams that break off."""

import asyncio
import contextlib
import http.client
import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from django.test import AsyncClient

from inference.turns.runtime import Runtime
from oasst.accounts import tokens
from oasst.accounts.models import User
from oasst.embedded.sockets import listen
from tests.crash.processes import START_SECONDS, serve, wait_until
from tests.inference.api.conftest import Api, api_of, done, path_of, refused, trusted_header, turn_of
from tests.inference.conftest import Brake
from tests.inference.talking import BOUND, POLICY, wait_for_text
from tests.inference.talking import ask as ask_a_question

StartRuntime = Callable[..., Runtime]
Event = tuple[int, dict[str, Any]]
LONG = {"temperature": 0, "max_new_tokens": 300}


def events_in(lines: Iterable[str]) -> Iterator[Event]:
    """Return (id, data) of each event as Open-Assistant's website reads a stream: every non-empty line is one."""
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            assert name == "data", line
            event = json.loads(value)
            yield event.pop("id"), event


async def open_stream(who: Api, path: str, place: int | None = None) -> AsyncIterator[Event]:
    """Return (id, data) of each event, or the message if the answer is over."""
    headers = who.headers | ({"Last-Event-ID": str(place)} if place is not None else {})
    response: Any = await AsyncClient().get(f"/inference/{path}/events", headers=headers)
    if response.status_code == 204:
        response = await AsyncClient().get(f"/inference/{path}", headers=headers)
        yield 0, {"event_type": "message", "message": response.json()}
        return
    assert response.status_code == 200 and response["Content-Type"] == "text/event-stream"
    async for frame in response.streaming_content:
        for event in events_in(frame.decode().split("\n")):
            yield event


def read(
    who: Api, path: str, place: int | None = None, at_most: int = 0, then: Callable[[], object] | None = None
) -> list[Event]:
    """Return the events to the end, or the first few. `then` runs after the first one."""

    async def collect() -> list[Event]:
        events: list[Event] = []
        stream = open_stream(who, path, place)
        async for event in stream:
            events.append(event)
            if then and len(events) == 1:
                await asyncio.to_thread(then)
            if len(events) == at_most:
                await stream.aclose()  # type: ignore[attr-defined]
                break
        return events

    async def bounded() -> list[Event]:
        return await asyncio.wait_for(collect(), BOUND)

    return async_to_sync(bounded)()


def text_of(events: list[Event]) -> str:
    return "".join(data["text"] for _, data in events if data["event_type"] == "token")


class TestStream:
    def test_it_works(self, alice: User, answering: StartRuntime) -> None:
        ann = api_of(alice)
        asked = ann.ask_anew()
        events = read(ann, path_of(asked), then=lambda: answering(POLICY))
        now = done(ann.get(path_of(asked)))
        assert now["state"] == "complete" and now["content"]
        assert events[-1][1] == {"event_type": "message", "message": now}
        assert text_of(events) == now["content"]
        assert ann.get(f"{path_of(asked)}/events").status_code == 204

    def test_cut_off_and_back_without_gap_or_repeat(self, alice: User, answering: StartRuntime) -> None:
        ann = api_of(alice)
        asked = ann.ask_anew(sampling_parameters=LONG)
        events = read(ann, path_of(asked), at_most=3, then=lambda: answering(POLICY))
        while events[-1][1]["event_type"] != "message":
            events += read(ann, path_of(asked), events[-1][0], at_most=5)
        assert text_of(events) == done(ann.get(path_of(asked)))["content"]
        assert ann.get(f"{path_of(asked)}/events", headers={"Last-Event-ID": str(events[-1][0])}).status_code == 204
        assert ann.get(f"{path_of(asked)}/events", after=events[-1][0]).status_code == 204

    def test_going_on_by_address_header_or_event_source(self, alice: User, answering: StartRuntime) -> None:
        """The header wins, because a browser's EventSource reconnects with the original URL."""
        ann = api_of(alice)
        asked = ann.ask_anew(sampling_parameters=LONG)
        answering(POLICY)
        content = text_of(read(ann, path_of(asked)))
        assert len(content) > 10

        def rest(address: str, **headers: str) -> str:
            response: Any = async_to_sync(AsyncClient().get)(address, headers={**ann.headers, **headers})
            return b"".join(async_to_sync(collect)(response)).decode()

        async def collect(response: Any) -> list[bytes]:
            return [frame async for frame in response.streaming_content]

        address = f"/inference/{path_of(asked)}/events"
        for said in (rest(f"{address}?after=5"), rest(address, **{"Last-Event-ID": "5"})):
            assert text_of(list(events_in(said.split("\n")))) == content[5:]
        said = rest(f"{address}?after=5&ids=1", **{"Last-Event-ID": "9"})
        assert said.startswith(f"retry: 2000\n\nid: {len(content)}\ndata: ")
        assert said.count("\nid: ") == said.count("\ndata: ") == 2 and json.dumps(content[9:])[1:-1][:5] in said
        refused(ann.get(f"{path_of(asked)}/events", ids="perhaps"), 422)

    def test_two_readers_see_the_same(self, alice: User, answering: StartRuntime) -> None:
        ann = api_of(alice)
        asked = ann.ask_anew(sampling_parameters=LONG)

        async def both() -> list[str]:
            first, second = (open_stream(ann, path_of(asked)) for _ in range(2))
            for stream in (first, second):
                assert (await anext(stream))[1]["event_type"] == "pending"
            await asyncio.to_thread(answering, POLICY)

            async def rest(stream: AsyncIterator[Event]) -> str:
                return text_of([event async for event in stream])

            return await asyncio.wait_for(asyncio.gather(rest(first), rest(second)), BOUND)

        first, second = async_to_sync(both)()
        assert first == second == turn_of(asked).message.content != ""

    def test_a_stopped_answer_ends_with_what_there_is(self, alice: User, answering: StartRuntime, brake: Brake) -> None:
        brake.hold(20)
        ann = api_of(alice)
        asked = ann.ask_anew(sampling_parameters={"temperature": 0, "max_new_tokens": 1500})
        answering(POLICY)
        wait_for_text(turn_of(asked))
        done(ann.post(f"{path_of(asked)}/stop"))
        _, last = read(ann, path_of(asked))[-1]
        assert last["event_type"] == "message" and last["message"]["state"] == "complete"
        assert last["message"]["content"]

    @pytest.mark.django_db(transaction=True)
    def test_waiting_cancelled_and_watched_by_others(self, alice: User, bob: User, chat_on: None) -> None:
        ann = api_of(alice)
        api_of(bob).ask_anew()
        asked = ann.ask_anew()
        ((place, waiting),) = read(ann, path_of(asked), at_most=1)
        assert waiting == {"event_type": "pending", "queue_position": 2, "queue_size": 2} and place == 0
        refused(api_of(bob).get(f"{path_of(asked)}/events"), 404)
        done(ann.ask(asked["chat_id"], ann.say(asked["chat_id"], "No, this")["id"]))
        assert done(ann.get(path_of(asked)))["state"] == "cancelled"
        assert ann.get(f"{path_of(asked)}/events").status_code == 204, "and not pending for ever"


class TestLife:
    """All calls of a client, from first to last."""

    def test_call_by_call(self, website_key: str, answering: StartRuntime) -> None:
        me = Api(TrustedClient=trusted_header(website_key))
        done(me.post("auth/trusted"))
        (model,) = done(me.get("configs/model_configs"))
        preset = model["parameter_configs"][0]["sampling_parameters"]
        chat = me.new_chat()
        answering(POLICY)
        parent = None
        for text in ("Hello", "And then?"):
            said = me.say(chat, text, parent)
            sampling = {**preset, "max_new_tokens": 30}
            asked = done(me.ask(chat, said["id"], model["name"], sampling_parameters=sampling))
            events = read(me, path_of(asked))
            parent = events[-1][1]["message"]["id"]
        drafts = [done(me.ask(chat, said["id"], model["name"], sampling_parameters=sampling)) for _ in range(2)]
        for draft in drafts:
            assert read(me, path_of(draft))[-1][1]["message"]["state"] == "complete"
        done(me.post(f"{path_of(drafts[0])}/message_evals", {"inferior_message_ids": [drafts[1]["id"], parent]}))
        done(me.put(f"chats/{chat}", {"active_thread_tail_message_id": drafts[0]["id"]}))
        done(me.post(f"{path_of(drafts[0])}/votes", {"score": 1}))
        done(me.post(f"{path_of(drafts[1])}/reports", {"report_type": "feedback", "reason": "Too short"}))
        listed = done(me.get("chats", limit=20))["chats"]
        assert [(one["id"], one["active_thread_tail_message_id"]) for one in listed] == [(chat, drafts[0]["id"])]
        shown = {one["id"]: one for one in done(me.get(f"chats/{chat}"))["messages"]}
        assert len(shown) == 6 and shown[drafts[0]["id"]]["score"] == 1 and shown[drafts[1]["id"]]["reports"]
        assert {one["state"] for one in shown.values()} == {"manual", "complete"}
        done(me.delete(f"chats/{chat}"))
        refused(me.get(f"chats/{chat}"), 404)
        done(me.delete("account/"))
        refused(me.get("auth/check"), 404)


class Server:
    """The web server with the engine in it, on a real socket that outlives it."""

    def __init__(self, log: Path) -> None:
        self.listener = listen("127.0.0.1", 0)
        self.port = self.listener.getsockname()[1]
        self.process = serve(self.listener, log)
        wait_until(self._is_up, START_SECONDS, self.process.said)

    def _is_up(self) -> bool:
        try:
            return self.ask("GET", "configs/features")[0] == 200
        except OSError:
            return False

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=BOUND)
        text = None if body is None else json.dumps(body)
        line.request(method, f"/inference/{path}", text, {"Content-Type": "application/json", **headers})
        answer = line.getresponse()
        return answer.status, json.loads(answer.read() or b"null")

    def stream(self, path: str, token: str, place: int = 0) -> Iterator[Event]:
        """Yield events from the socket until it ends in any way."""
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=BOUND)
        headers = {"Authorization": f"Bearer {token}"} | ({"Last-Event-ID": str(place)} if place else {})
        line.request("GET", f"/inference/{path}/events", headers={"Accept-Encoding": "gzip", **headers})
        answer = line.getresponse()
        assert answer.status == 200 and answer.getheader("Content-Encoding") is None
        yield from events_in(raw.decode().rstrip("\n") for raw in answer)

    def end(self) -> None:
        self.process.kill()
        self.listener.close()


@pytest.fixture
def server(
    transactional_db: None, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Server]:
    monkeypatch.setenv("OASST_CHAT_MODEL", str(tiny_folder))
    monkeypatch.setenv("DATABASE_POOL", "3")
    found = Server(tmp_path / "web.log")
    yield found
    found.end()
    connection.close()


@pytest.mark.slow
def test_over_a_real_socket_and_through_a_crash(server: Server, alice: User) -> None:
    """An API client reads an answer; the server is killed in the middle, and the client continues."""
    _, token = tokens.new_token(alice)

    def ask(method: str, path: str, body: Any = None) -> Any:
        status, answer = server.ask(method, path, body, Authorization=f"Bearer {token}")
        assert status == 200, (answer, server.process.said())
        return answer

    (model,) = ask("GET", "configs/model_configs")
    chat = ask("POST", "chats", {})["id"]
    said = ask("POST", f"chats/{chat}/prompter_message", {"parent_id": None, "content": "Hello"})
    body = {"parent_id": said["id"], "model_config_name": model["name"], "sampling_parameters": LONG}
    asked = ask("POST", f"chats/{chat}/assistant_message", body)
    events: list[Event] = []
    with contextlib.suppress(OSError, http.client.HTTPException):
        for event in server.stream(path_of(asked), token):
            events.append(event)
            if len(text_of(events)) > 20:
                server.process.kill()
    assert events[-1][1]["event_type"] == "token"
    server.process.start()
    events += server.stream(path_of(asked), token, events[-1][0])
    content = ask("GET", path_of(asked))["content"]
    assert events[-1][1]["message"]["content"] == content == text_of(events)


@pytest.mark.slow
def test_open_streams_hold_no_connection(server: Server, alice: User, settings: Any) -> None:
    """More readers than the pool has connections wait for an answer, and other calls still work."""
    settings.OASST_CHAT_MODEL, settings.RATE_LIMITS = "of nobody", False
    waiting = ask_a_question(alice)
    path = f"chats/{waiting.message.chat_id}/messages/{waiting.pk}"
    _, token = tokens.new_token(alice)
    opened = [server.stream(path, token) for _ in range(5)]
    assert [next(one)[1]["event_type"] for one in opened] == ["pending"] * 5
    for _ in range(3):
        assert server.ask("GET", "chats", Authorization=f"Bearer {token}")[0] == 200
