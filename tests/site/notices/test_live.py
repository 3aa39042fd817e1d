"""The bell of an open page: who may listen, what it hears and when, and what happens without Redis."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any
from unittest import mock

import pytest
from asgiref.sync import sync_to_async
from channels.layers import channel_layers
from channels.testing import WebsocketCommunicator
from django.conf import settings as site
from django.core.cache import cache
from django.db import OperationalError, connection, connections, transaction
from django.db.backends.utils import CursorWrapper
from django.test import Client

from oasst.accounts.models import Session, User
from oasst.asgi import application
from oasst.core import ratelimit
from oasst.site.models import Notice
from oasst.site.notices import bell, choices, consumers, storing
from tests.factories import decide, new_prompt
from tests.site.notices.test_writing import read_all

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("threads_close_connections")]
HOST = "testserver"
BOUND = 60  # seconds


class BellSocket(WebsocketCommunicator):
    """The socket of an open page."""

    def __init__(self, person: User | None, origin: str = f"http://{HOST}") -> None:
        cookies = b""
        if person is not None:
            client = Client()
            client.force_login(person)
            cookies = f"{site.SESSION_COOKIE_NAME}={client.cookies[site.SESSION_COOKIE_NAME].value}".encode()
        headers = [(b"host", HOST.encode()), (b"cookie", cookies), (b"origin", origin.encode())]
        super().__init__(application, "/ws/bell/", headers=headers)

    async def hear(self) -> dict[str, Any]:
        frame = await self.receive_output(BOUND)
        if frame["type"] == "websocket.close":
            return {"type": "closed", "code": frame.get("code")}
        return json.loads(frame["text"])  # type: ignore[no-any-return]


@pytest.fixture(autouse=True)
def _all_are_closed() -> Iterator[None]:
    yield
    assert not consumers._sockets


def run(steps: Callable[[], Awaitable[Any]]) -> Any:
    async def bounded() -> Any:
        try:
            return await asyncio.wait_for(steps(), BOUND)
        finally:
            await channel_layers["default"].close_pools()
            await sync_to_async(connections.close_all, thread_sensitive=False)()

    return asyncio.run(bounded())


def in_thread(function: Callable[..., Any], *args: Any) -> Awaitable[Any]:
    """Run the function as another process would, with a connection of its own."""

    def call() -> Any:
        try:
            return function(*args)
        finally:
            connections.close_all()

    return sync_to_async(call, thread_sensitive=False)()


def accept_one(person: User) -> None:
    decide(new_prompt(person))
    read_all()


def first_words(person: User | None, origin: str = f"http://{HOST}") -> dict[str, Any]:
    socket = BellSocket(person, origin)

    async def steps() -> dict[str, Any]:
        accepted, _ = await socket.connect(BOUND)
        heard = await socket.hear() if accepted else {"type": "refused"}
        await socket.disconnect()
        return heard

    return run(steps)  # type: ignore[no-any-return]


class TestWhoMay:
    def test_it_begins_with_the_number(self, alice: User) -> None:
        accept_one(alice)
        assert first_words(alice) == {"unread": 1, "shown": "1", "said": "1 unread", "news": ""}

    def test_nobody_without_signing_in(self) -> None:
        assert first_words(None) == {"type": "closed", "code": consumers.REFUSED}

    def test_nobody_who_is_suspended(self, alice: User) -> None:
        User.objects.filter(pk=alice.pk).update(enabled=False)
        assert first_words(alice) == {"type": "closed", "code": consumers.REFUSED}

    def test_no_page_of_another_site(self, alice: User) -> None:
        assert first_words(alice, "https://evil.example") == {"type": "refused"}

    def test_only_so_many_at_once(self, alice: User, bob: User, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(consumers, "MAX_SOCKETS_PER_USER", 2)
        sockets = [BellSocket(person) for person in (alice, alice, alice, bob)]

        async def steps() -> list[Any]:
            heard = []
            for socket in sockets:
                await socket.connect(BOUND)
                heard.append((await socket.hear()).get("code", "ok"))
            for socket in sockets:
                with suppress(Exception):
                    await socket.disconnect()
            return heard

        assert run(steps) == ["ok", "ok", consumers.TOO_MANY, "ok"]

    def test_only_so_often(self, alice: User, settings: Any) -> None:
        settings.LIMITS = {ratelimit.BELL_LISTENS.name: "1 per minute"}
        assert [first_words(alice).get("code") for _ in range(2)] == [None, consumers.TOO_MANY]

    @pytest.mark.parametrize("end", ["session", "ban"])
    def test_nobody_whose_session_was_ended_meanwhile(self, alice: User, end: str) -> None:
        socket = BellSocket(alice)

        def stop() -> None:
            if end == "session":
                Session.end_all_of(alice)
            else:
                User.objects.filter(pk=alice.pk).update(enabled=False)
            accept_one(alice)

        async def steps() -> dict[str, Any]:
            await socket.connect(BOUND)
            await socket.hear()
            await in_thread(stop)
            heard = await socket.hear()
            await socket.disconnect()
            return heard

        assert run(steps) == {"type": "closed", "code": consumers.REFUSED}


class TestWhatItHears:
    def test_news_of_this_person_on_each_open_page(self, alice: User, bob: User) -> None:
        sockets, stranger = [BellSocket(alice), BellSocket(alice)], BellSocket(bob)

        async def steps() -> list[Any]:
            for socket in (*sockets, stranger):
                await socket.connect(BOUND)
                await socket.hear()
            await in_thread(accept_one, alice)
            new = [await socket.hear() for socket in sockets]
            await in_thread(accept_one, alice)
            newer = [await socket.hear() for socket in sockets]
            await in_thread(lambda: choices.mark_read(alice.pk, newest=Notice.objects.latest("pk").pk))
            read = [await socket.hear() for socket in sockets]
            quiet = await stranger.receive_nothing(0.05)
            for socket in (*sockets, stranger):
                await socket.disconnect()
            return [new, newer, read, quiet]

        new, newer, read, quiet = run(steps)
        assert new == [{"unread": 1, "shown": "1", "said": "1 unread", "news": "You have a new notice."}] * 2
        assert [frame["unread"] for frame in newer] == [2, 2]
        assert read == [{"unread": 0, "shown": "0", "said": "0 unread", "news": ""}] * 2
        assert quiet

    def test_nothing_of_what_was_rolled_back(self, alice: User) -> None:
        socket = BellSocket(alice)

        def fail() -> None:
            with suppress(ZeroDivisionError), transaction.atomic():
                assert storing.store([Notice(person=alice, kind="level_reached", level=2)])
                raise ZeroDivisionError

        async def steps() -> bool:
            await socket.connect(BOUND)
            await socket.hear()
            await in_thread(fail)
            quiet = await socket.receive_nothing(0.05)
            await socket.disconnect()
            return quiet

        assert run(steps) and not Notice.objects.exists()

    def test_an_open_page_costs_no_statement_while_nothing_happens(self, alice: User) -> None:
        bell.count_unread(alice.pk)
        socket, statements = BellSocket(alice), []
        run_sql = CursorWrapper.execute

        def note(self: Any, sql: Any, params: Any = None) -> Any:
            statements.append(str(sql))
            return run_sql(self, sql, params)

        async def steps() -> tuple[int, bool]:
            await socket.connect(BOUND)
            await socket.hear()
            statements.clear()
            quiet = await socket.receive_nothing(0.3)
            number = len(statements)
            await socket.send_to(text_data="hello")
            await socket.disconnect()
            return number, quiet

        with mock.patch.object(CursorWrapper, "execute", note):
            assert run(steps) == (0, True)


class TestWithoutRedis:
    def test_notices_are_written_and_the_next_page_shows_them(self, alice: User) -> None:
        with mock.patch.object(bell, "_wake", side_effect=ConnectionError):
            accept_one(alice)
        cache.clear()
        assert bell.count_unread(alice.pk) == 1

    def test_a_page_that_cannot_listen_is_told_to_try_again(self, alice: User) -> None:
        socket = BellSocket(alice)

        async def steps() -> dict[str, Any]:
            layer = channel_layers["default"]
            with mock.patch.object(layer, "group_add", side_effect=ConnectionError):
                await socket.connect(BOUND)
                heard = await socket.hear()
            await socket.disconnect()
            return heard

        assert run(steps) == {"type": "closed", "code": consumers.BROKEN}

    def test_waking_waits_only_so_long(self, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(bell, "WAKE_SECONDS", 0.01)

        async def never(*args: Any) -> None:
            await asyncio.Event().wait()

        with mock.patch.object(channel_layers["default"], "group_send", never):
            accept_one(alice)
        assert Notice.objects.count() == 1
        assert connection.connection is not None


class TestWhatFails:
    """However a socket ends, its person gets a new one, and the page is told that it may try again."""

    def test_the_database(self, alice: User) -> None:
        socket = BellSocket(alice)

        async def steps() -> dict[str, Any]:
            with mock.patch.object(consumers, "_frame", side_effect=OperationalError):
                await socket.connect(BOUND)
                heard = await socket.hear()
            await socket.disconnect()
            return heard

        assert run(steps) == {"type": "closed", "code": consumers.BROKEN}

    def test_redis_while_it_waits(self, alice: User) -> None:
        socket = BellSocket(alice)

        async def steps() -> dict[str, Any]:
            lost = asyncio.Event()

            async def receive(channel: str) -> None:
                await lost.wait()
                raise ConnectionError

            with mock.patch.object(channel_layers["default"], "receive", receive):
                await socket.connect(BOUND)
                await socket.hear()
                lost.set()
                heard = await socket.hear()
            with suppress(Exception):
                await socket.disconnect()
            return heard

        assert run(steps) == {"type": "closed", "code": consumers.BROKEN}

    def test_a_server_that_gives_up_waiting(self, alice: User) -> None:
        socket = BellSocket(alice)

        async def steps() -> None:
            await socket.connect(BOUND)
            await socket.hear()
            assert consumers._sockets.number_of(alice.pk) == 1
            socket.future.cancel()  # as Daphne does with a socket whose end takes too long
            with suppress(asyncio.CancelledError):
                await socket.future

        run(steps)
