"""The WebSocket of an answer: access, events and commands."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from html import escape
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings as site
from django.db import connections
from django.test import Client
from django.utils import timezone

from inference import consumers
from inference.chats import deletion
from inference.models import ChatMessage, Turn
from inference.turns import rendering
from inference.turns.events import Token
from inference.turns.runtime import Runtime
from inference.turns.states import TurnState
from oasst.accounts.models import Session, User
from oasst.asgi import application
from oasst.core import ratelimit
from oasst.core.markdown.rendering import render
from oasst.core.markdown.streaming import MarkdownStream, Patch
from tests.core.markdown.test_rendering import assert_harmless
from tests.inference.conftest import Brake
from tests.inference.talking import BOUND, ENDLESS, ask, content, fresh, wait_for_text

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("chat_on", "threads_close_connections")]
HOST = "testserver"


class Socket(WebsocketCommunicator):
    """A browser's socket on the page of an answer."""

    def __init__(self, turn: object, person: User | None, after: int = 0, origin: str = f"http://{HOST}") -> None:
        cookies = b""
        if person is not None:
            client = Client()
            client.force_login(person)
            cookies = f"{site.SESSION_COOKIE_NAME}={client.cookies[site.SESSION_COOKIE_NAME].value}".encode()
        message_id = turn.pk if isinstance(turn, Turn) else turn
        headers = [(b"host", HOST.encode()), (b"cookie", cookies)]
        if origin:
            headers.append((b"origin", origin.encode()))
        super().__init__(application, f"/ws/chat/{message_id}/?after={after}", headers=headers)

    async def hear(self) -> dict[str, Any]:
        frame = await self.receive_output(BOUND)
        if frame["type"] == "websocket.close":
            return {"type": "closed", "code": frame.get("code")}
        return json.loads(frame["text"])

    async def hear_all(self) -> list[dict[str, Any]]:
        heard: list[dict[str, Any]] = []
        while not heard or heard[-1]["type"] != "closed":
            heard.append(await self.hear())
        return heard


class Page:
    """Return what a page shows after these frames."""

    def __init__(self) -> None:
        self.blocks: list[str] = []
        self.place = self.final = 0

    def take(self, event: dict[str, Any]) -> "Page":
        if event["type"] == "blocks":
            assert event["id"] >= self.place and event["final"] >= self.final
            self.place, self.final = event["id"], event["final"]
            self.blocks[event["from"] :] = event["html"]
            if event.get("code"):
                assert event["html"] == [] and event["from"] == len(self.blocks)
                self.blocks[-1] = self.blocks[-1].replace("</code>", f"{escape(event['code'])}</code>")
        return self

    @property
    def html(self) -> str:
        return "".join(self.blocks)


def run(steps: Callable[[], Awaitable[Any]]) -> Any:
    async def bounded() -> Any:
        result = await asyncio.wait_for(steps(), BOUND)
        await sync_to_async(connections.close_all, thread_sensitive=False)()
        return result

    return asyncio.run(bounded())


@pytest.fixture(autouse=True)
def _all_are_closed() -> Iterator[None]:
    yield
    assert not consumers._sockets and not rendering._renderings


def coming(turn: Turn, text: str) -> None:
    """Save the text so far, as an engine does at a checkpoint."""
    Turn.objects.filter(pk=turn.pk).update(state="in_progress", lease_until=timezone.now(), owner="x", text=text)


def over(turn: Turn, text: str) -> None:
    """Complete the answer."""
    ChatMessage.objects.filter(pk=turn.pk).update(content=text)
    Turn.objects.filter(pk=turn.pk).update(
        state="complete", text="", owner="", lease_until=None, ended_at=timezone.now()
    )


def close_code(turn: object, person: User | None) -> int:
    socket = Socket(turn, person)

    async def steps() -> int:
        assert (await socket.connect(BOUND))[0]
        heard = await socket.hear()
        await socket.disconnect()
        assert heard["type"] == "closed"
        return heard["code"]

    return run(steps)


class TestWhoMay:
    def test_a_stranger_hears_that_there_is_no_such_answer(self, alice: User, bob: User) -> None:
        turn = ask(alice)
        assert close_code(turn, bob) == close_code(uuid4(), bob) == consumers.NOT_FOUND

    def test_nobody_without_signing_in(self, alice: User) -> None:
        assert close_code(ask(alice), None) == consumers.REFUSED

    def test_nobody_who_is_suspended(self, alice: User) -> None:
        turn = ask(alice)
        User.objects.filter(pk=alice.pk).update(enabled=False)
        assert close_code(turn, alice) == consumers.REFUSED

    def test_no_answer_of_a_deleted_chat(self, alice: User) -> None:
        turn = ask(alice)
        deletion.delete_chat(user=alice, chat_id=turn.message.chat_id)
        assert close_code(turn, alice) == consumers.NOT_FOUND

    @pytest.mark.parametrize("end", ["session", "ban"])
    def test_nobody_whose_session_was_ended_meanwhile(
        self, alice: User, end: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(consumers, "HEARTBEAT_SECONDS", 0.02)
        socket = Socket(ask(alice), alice)

        def stop() -> None:
            if end == "session":
                Session.end_all_of(alice)
            else:
                User.objects.filter(pk=alice.pk).update(enabled=False)

        async def steps() -> list[dict[str, Any]]:
            assert (await socket.connect(BOUND))[0]
            await socket.hear()
            await sync_to_async(stop, thread_sensitive=False)()
            heard = await socket.hear_all()
            await socket.disconnect()
            return heard

        assert run(steps)[-1]["code"] == consumers.REFUSED

    @pytest.mark.parametrize("origin", ["https://evil.example", "", "null", "http://[", f"http://{HOST}.evil.example"])
    def test_no_page_of_another_site(self, alice: User, origin: str) -> None:
        socket = Socket(ask(alice), alice, origin=origin)
        accepted, _ = run(lambda: socket.connect(BOUND))
        assert not accepted

    def test_no_other_address(self, alice: User) -> None:
        socket = WebsocketCommunicator(application, "/ws/elsewhere/", headers=[(b"host", HOST.encode())])
        accepted, _ = run(lambda: socket.connect(BOUND))
        assert not accepted

    def test_a_person_has_only_so_many_at_once(self, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(consumers, "MAX_SOCKETS_PER_USER", 2)
        turn = ask(alice)
        sockets = [Socket(turn, alice) for _ in range(3)]

        async def steps() -> list[str]:
            kinds = []
            for socket in sockets:
                await socket.connect(BOUND)
                kinds.append((await socket.hear())["type"])
            for socket in sockets:
                with suppress(Exception):
                    await socket.disconnect()
            return kinds

        assert run(steps) == ["queued", "queued", "closed"]


class TestWhatComes:
    def test_the_place_in_the_queue_the_text_and_the_end(self, alice: User, answering: Callable[..., Runtime]) -> None:
        turn = ask(alice)
        sockets = [Socket(turn, alice) for _ in range(3)]

        async def steps() -> list[list[dict[str, Any]]]:
            for socket in sockets:
                await socket.connect(BOUND)
                assert (await socket.hear()) == {
                    "type": "queued", "id": 0, "position": 1, "size": 1, "wait_seconds": 20,
                }  # fmt: skip
            await sync_to_async(answering, thread_sensitive=False)()
            heard = await asyncio.gather(*[socket.hear_all() for socket in sockets])
            for socket in sockets:
                await socket.disconnect()
            return list(heard)

        for heard in run(steps):
            *blocks, done, closed = heard
            assert closed == {"type": "closed", "code": consumers.ENDED}
            assert done["type"] == "done" and done["text"] == content(turn) and done["state"] == "complete"
            page = Page()
            for event in blocks:
                page.take(event)
            assert page.html == render(content(turn)) != ""
            assert page.place == len(content(turn))
            assert {event["type"] for event in blocks} == {"blocks"}, "no raw text"

    def test_it_goes_on_behind_the_last_event_that_was_seen(
        self, alice: User, answering: Callable[..., Runtime], brake: Brake
    ) -> None:
        brake.hold(30)  # or the answer may be complete before the socket is connected
        answering()
        turn = ask(alice)
        first = Socket(turn, alice)

        async def begin() -> dict[str, Any]:
            await first.connect(BOUND)
            heard = await first.hear()
            while heard["type"] != "blocks":
                heard = await first.hear()
            await first.disconnect()
            return heard

        seen = run(begin)
        brake.release()
        second = Socket(turn, alice, after=seen["id"])

        async def go_on() -> list[dict[str, Any]]:
            await second.connect(BOUND)
            heard = await second.hear_all()
            await second.disconnect()
            return heard

        heard = run(go_on)
        assert heard[-2]["type"] == "done" and heard[-2]["text"] == content(turn)
        if len(heard) == 2:  # it had ended before, so the reloaded page has it
            return
        first_blocks, *rest = [event for event in heard if event["type"] == "blocks"]
        assert first_blocks["id"] >= seen["id"] and first_blocks["from"] == 0  # all of it
        page = Page().take(seen).take(first_blocks)
        for event in rest:
            page.take(event)
        assert page.html == render(content(turn))

    def test_a_page_that_has_all_there_is_hears_nothing_before_there_is_more(self, alice: User) -> None:
        turn = ask(alice)
        coming(turn, "Some **words**")
        sockets = [Socket(turn, alice), Socket(turn, alice, after=len("Some **words**"))]

        async def steps() -> list[dict[str, Any]]:
            for socket in sockets:
                await socket.connect(BOUND)
            told = await sockets[0].hear()
            assert await sockets[1].receive_nothing(0.01)
            await sync_to_async(coming, thread_sensitive=False)(turn, "Some **words** more")
            told_later = await sockets[1].hear()
            for socket in sockets:
                await socket.disconnect()
            return [told, told_later]

        assert run(steps) == [
            {"type": "blocks", "id": 14, "from": 0, "html": [render("Some **words**")], "final": 0},
            {"type": "blocks", "id": 19, "from": 0, "html": [render("Some **words** more")], "final": 0},
        ]

    def test_what_comes_is_harmless_and_grows_block_by_block(self, alice: User) -> None:
        turn = ask(alice)
        text = "<script>alert(1)</script>\n\n[x](javascript:alert(1)) **bo"
        coming(turn, text)
        socket = Socket(turn, alice)

        async def steps() -> list[dict[str, Any]]:
            await socket.connect(BOUND)
            heard = [await socket.hear()]
            await sync_to_async(coming, thread_sensitive=False)(turn, f"{text}ld**")
            heard.append(await socket.hear())
            await socket.disconnect()
            return heard

        first, second = run(steps)
        assert (first["final"], second["from"], second["final"]) == (1, 1, 1)
        assert_harmless("".join(first["html"] + second["html"]))
        assert "<strong>bo</strong>" in first["html"][1] and "<strong>bold</strong>" in second["html"][0]

    def test_a_slow_reader_is_told_less_often_and_in_the_end_all(
        self, alice: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(rendering, "MIN_INTERVAL_SECONDS", 0)
        taken: list[dict[str, Any]] = []

        async def steps() -> None:
            chat = asyncio.Event()
            first = asyncio.Event()

            async def send(frame: dict[str, Any]) -> None:
                taken.append(frame)
                first.set()
                await chat.wait()

            async with rendering.AnswerPage(uuid4(), send, 0) as page:
                for number in range(100):
                    page.add(Token((number + 1) * 6, "word\n\n"))
                    await asyncio.sleep(0)
                await first.wait()
                chat.set()
                await page.finish("word\n\n" * 100)

        run(steps)
        assert len(taken) <= 3
        page = Page()
        for event in taken:
            page.take(event)
        assert page.html == render("word\n\n" * 100)

    def test_an_answer_is_rendered_once_for_all_sockets(self, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
        turn = ask(alice)
        coming(turn, "Some")
        calls: list[str] = []
        add, finish = MarkdownStream.add, MarkdownStream.finish

        def counted_add(stream: MarkdownStream, piece: str) -> Patch | None:
            calls.append("add")
            return add(stream, piece)

        def counted_finish(stream: MarkdownStream, text: str) -> Patch | None:
            calls.append("finish")
            return finish(stream, text)

        monkeypatch.setattr(MarkdownStream, "add", counted_add)
        monkeypatch.setattr(MarkdownStream, "finish", counted_finish)
        sockets = [Socket(turn, alice) for _ in range(8)]

        async def all_see(text: str) -> None:
            await sync_to_async(coming, thread_sensitive=False)(turn, text)
            for socket in sockets:
                while (heard := await socket.hear())["type"] != "blocks":
                    pass
                assert heard["html"] == [render(text)]

        async def steps() -> None:
            for socket in sockets:
                await socket.connect(BOUND)
            for text in ("Some", "Some words", "Some words **more**"):
                await all_see(text)
            await sync_to_async(over, thread_sensitive=False)(turn, "The whole.")
            for socket in sockets:
                *_, blocks, done, _ = await socket.hear_all()
                assert blocks["html"] == [render("The whole.")] and done["type"] == "done"
                await socket.disconnect()

        run(steps)
        assert calls == ["add", "add", "add", "finish"]

    def test_an_answer_that_is_over_is_not_rendered_again(self, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
        turn = ask(alice)
        over(turn, "The whole.")
        monkeypatch.setattr(rendering, "MarkdownStream", None)
        for after in (0, 4):
            socket = Socket(turn, alice, after)

            async def steps(socket: Socket = socket) -> list[dict[str, Any]]:
                await socket.connect(BOUND)
                heard = await socket.hear_all()
                await socket.disconnect()
                return heard

            done, closed = run(steps)
            assert (done["type"], done["id"], done["text"]) == ("done", len("The whole.") + 1, "The whole.")
            assert closed["code"] == consumers.ENDED

    def test_a_page_that_comes_later_gets_open_code_whole(self) -> None:
        code = "```python\n" + "x = 1\n" * 3

        async def steps() -> list[str]:
            pages = [Page(), Page()]
            heard = asyncio.Event()

            def to(page: Page) -> Callable[[dict[str, Any]], Awaitable[None]]:
                async def send(frame: dict[str, Any]) -> None:
                    page.take(frame)
                    heard.set()

                return send

            async def until(page: Page, words: str) -> None:
                while words not in page.html:
                    heard.clear()
                    await heard.wait()

            answer = uuid4()
            async with rendering.AnswerPage(answer, to(pages[0]), 0) as first:
                first.add(Token(len(code), code))
                await until(pages[0], "x = 1")
                first.add(Token(len(code) + 6, "y < 2\n"))
                await until(pages[0], "y &lt; 2")
                async with rendering.AnswerPage(answer, to(pages[1]), 0) as second:
                    second.add(Token(len(code) + 6, f"{code}y < 2\n"))
                    await until(pages[1], "y &lt; 2")
                    alike = [page.html for page in pages]
                    await second.finish(f"{code}y < 2\n")
                    await first.finish(f"{code}y < 2\n")
            whole = render(f"{code}y < 2\n")
            assert [page.html for page in pages] == [whole, whole]
            return alike

        assert len(set(run(steps))) == 1

    def test_a_beat_when_there_is_nothing_to_say(self, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(consumers, "HEARTBEAT_SECONDS", 0.05)
        socket = Socket(ask(alice), alice)

        async def steps() -> list[str]:
            await socket.connect(BOUND)
            kinds: list[str] = []
            while "queued" not in kinds or kinds.count("ping") < 3:
                kinds.append((await socket.hear())["type"])
            await socket.disconnect()
            return kinds

        assert set(run(steps)) == {"queued", "ping"}

    def test_what_breaks_on_our_side_is_closed_so_that_the_reader_comes_back(
        self, alice: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: object) -> object:
            raise OSError("the database is away")

        monkeypatch.setattr(consumers, "watch_turn", broken)
        assert close_code(ask(alice), alice) == consumers.BROKEN


class TestStopping:
    def test_stop_over_the_socket(self, alice: User, answering: Callable[..., Runtime]) -> None:
        answering()
        turn = ask(alice, **ENDLESS)
        socket = Socket(turn, alice)

        async def steps() -> list[dict[str, Any]]:
            await socket.connect(BOUND)
            await sync_to_async(wait_for_text, thread_sensitive=False)(turn)
            await socket.send_to(text_data='{"type": "stop"}')
            heard = await socket.hear_all()
            await socket.disconnect()
            return heard

        heard = run(steps)
        assert heard[-2]["state"] == TurnState.STOPPED
        assert heard[-2]["text"] == content(turn) != ""

    @pytest.mark.parametrize("noise", ["null", "stop", "[]", '{"type": "go"}', "{" * 5000])
    def test_noise_changes_nothing(self, alice: User, noise: str) -> None:
        turn = ask(alice)
        socket = Socket(turn, alice)

        async def steps() -> None:
            await socket.connect(BOUND)
            assert (await socket.hear())["type"] == "queued"
            await socket.send_to(text_data=noise)
            await socket.disconnect()

        run(steps)
        assert fresh(turn).state == TurnState.PENDING


def test_who_stops_too_often_is_told_when_to_come_back(alice: User, settings: Any) -> None:
    turn = ask(alice)
    settings.RATE_LIMITS = True
    for _ in range(120):
        ratelimit.count_use(ratelimit.CHAT_STOPS, alice.pk)
    socket = Socket(turn, alice)

    async def steps() -> dict[str, Any]:
        assert (await socket.connect(BOUND))[0]
        await socket.send_to(json.dumps({"type": "stop"}))
        while (heard := await socket.hear())["type"] != "refused":
            pass
        await socket.disconnect()
        return heard

    heard = run(steps)
    assert heard["code"] == "rate_limited" and 0 < heard["retry_after"] <= 600
    assert fresh(turn).state == TurnState.PENDING


def test_who_connects_too_often_is_sent_away_for_a_while(alice: User, settings: Any) -> None:
    turn = ask(alice)
    settings.RATE_LIMITS = True
    for _ in range(120):
        ratelimit.count_use(ratelimit.CHAT_LISTENS, alice.pk)
    assert close_code(turn, alice) == consumers.TOO_MANY
