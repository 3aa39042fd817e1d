"""No page of another site can open a WebSocket, at any URL and with any headers."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.db import connections
from django.test import Client

from inference.routing import websocket_urlpatterns as chat_sockets
from oasst.accounts.models import User
from oasst.asgi import application
from oasst.core.http.websocket_origins import has_allowed_origin
from oasst.site.notices.routing import websocket_urlpatterns as bell_sockets

PUBLIC = "https://chat.example.org"
OWN = ("chat.example.org", PUBLIC)
HOSTILE = (
    # The attacker's name points at this machine (DNS rebinding), so Host and Origin agree.
    *(("evil.example", "http://evil.example"), ("evil.example:8000", "http://evil.example:8000")),
    *(("evil.example", "https://evil.example"), ("192.168.1.7:8000", "http://192.168.1.7:8000")),
    *(("evil.example", PUBLIC), ("chat.example.org.evil.example", "https://chat.example.org.evil.example")),
    # A page of another site, port or scheme, or no Origin.
    *(("chat.example.org", "https://evil.example"), ("chat.example.org", "https://chat.example.org:444")),
    *(("chat.example.org", "http://chat.example.org"), ("localhost:8000", "http://localhost:3000")),
    *(("chat.example.org", "null"), ("chat.example.org", ""), ("chat.example.org", "http://[")),
    *(("chat.example.org", f"{PUBLIC}.evil.example"), ("chat.example.org", "https://u@chat.example.org")),
    *(("chat.example.org", f"{PUBLIC}/path"), ("chat.example.org", "chat.example.org"), ("", PUBLIC)),
    *(("", "://"), ("[::1", "http://[::1"), ("chat.example.org", "file://chat.example.org")),
)


@pytest.fixture(autouse=True)
def _public_site(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["chat.example.org", "localhost", "127.0.0.1", "[::1]"]
    settings.CSRF_TRUSTED_ORIGINS = [PUBLIC]
    settings.SESSION_COOKIE_SECURE = True


def headers(host: str, origin: str) -> list[tuple[bytes, bytes]]:
    return [(b"host", host.encode()), *([(b"origin", origin.encode())] if origin else [])]


class TestOrigin:
    @pytest.mark.parametrize(
        ("host", "origin"),
        [
            OWN,
            ("CHAT.example.org", "https://Chat.Example.Org"),
            ("localhost:8000", PUBLIC),  # a proxy that does not pass Host on
            ("localhost:8000", "http://localhost:8000"),
            ("127.0.0.1:8000", "http://127.0.0.1:8000"),
            ("[::1]:8000", "http://[::1]:8000"),
        ],
    )
    def test_our_pages(self, host: str, origin: str) -> None:
        assert has_allowed_origin(headers(host, origin))

    @pytest.mark.parametrize(("host", "origin"), HOSTILE)
    def test_hostile_pairs(self, host: str, origin: str) -> None:
        assert not has_allowed_origin(headers(host, origin))

    def test_said_twice(self) -> None:
        assert not has_allowed_origin([*headers(*OWN), (b"origin", b"https://evil.example")])
        assert not has_allowed_origin([*headers(*OWN), (b"host", b"evil.example")])

    def test_a_site_without_https(self, settings: Any) -> None:
        settings.SESSION_COOKIE_SECURE = False
        settings.CSRF_TRUSTED_ORIGINS = ["http://chat.example.org"]
        assert has_allowed_origin(headers("chat.example.org", "http://chat.example.org"))


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("threads_close_connections")
@pytest.mark.parametrize("route", [*(str(one.pattern) for one in (*chat_sockets, *bell_sockets)), "ws/elsewhere/"])
def test_every_route_refuses_them(alice: User, route: str) -> None:
    """With the cookie of a signed-in user, because the attacker's page has that."""
    client = Client()
    client.force_login(alice)
    cookie = (b"cookie", f"sessionid={client.cookies['sessionid'].value}".encode())
    path = "/" + route.replace("<uuid:message_id>", str(uuid4()))
    assert "<" not in path, "say here what stands in this route"

    async def is_accepted(host: str, origin: str) -> bool:
        socket = WebsocketCommunicator(application, path, headers=[*headers(host, origin), cookie])
        accepted, _ = await socket.connect(60)
        if accepted:
            await socket.receive_output(60)  # it learns that there is no such answer, and nothing runs any more
        await socket.disconnect()
        return accepted

    async def steps() -> list[bool]:
        told = [await is_accepted(host, origin) for host, origin in (*HOSTILE, OWN)]
        for sensitive in (True, False):  # both kinds of threads keep connections
            await sync_to_async(connections.close_all, thread_sensitive=sensitive)()
        return told

    *hostile, own = asyncio.run(steps())
    assert not any(hostile)
    assert own == (route != "ws/elsewhere/")
