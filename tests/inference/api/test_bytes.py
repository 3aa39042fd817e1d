"""The requests of Open-Assistant's own website, byte for byte as its HTTP library (axios) sends them."""

import json
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest

from inference.models import Chat
from oasst.accounts import api_clients
from tests.inference.api.conftest import trusted_header

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("chat_on")]
# The library encodes the empty body of the site as JSON.
POST_CHATS = (
    "POST /inference/chats HTTP/1.1\r\nAccept: application/json, text/plain, */*\r\n"
    "Content-Type: application/json\r\nTrustedClient: {}\r\nUser-Agent: axios/1.3.4\r\nContent-Length: 2\r\n"
    'Accept-Encoding: gzip, compress, deflate, br\r\nHost: {}\r\nConnection: close\r\n\r\n""'
)
POST_TRUSTED = (
    "POST /inference/auth/trusted HTTP/1.1\r\nAccept: application/json, text/plain, */*\r\n"
    "Content-Type: application/json\r\nTrustedClient: {}\r\nUser-Agent: axios/1.3.4\r\n"
    "Accept-Encoding: gzip, compress, deflate, br\r\nHost: {}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
)


def send(place: str, request: str) -> tuple[int, Any]:
    """Return the status and JSON of the response."""
    host, _, port = place.partition(":")
    with socket.create_connection((host, int(port)), timeout=60) as line:
        line.sendall(request.encode("ascii"))
        answer = b"".join(iter(lambda: line.recv(65_536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), json.loads(body)


def test_a_stranger_of_the_website_begins_a_chat(live_server: Any) -> None:
    """404 for an unknown user, after which the site registers the user and asks again."""
    place = urlsplit(live_server.url).netloc
    header = trusted_header(api_clients.create_api_client(name="website", trusted=True)[1])
    status, refusal = send(place, POST_CHATS.format(header, place))
    assert (status, refusal["code"]) == (404, "user_not_found") and not Chat.objects.exists()
    assert send(place, POST_TRUSTED.format(header, place))[0] == 200
    status, begun = send(place, POST_CHATS.format(header, place))
    assert (status, begun["title"]) == (200, None)
    assert str(Chat.objects.get().pk) == begun["id"]
