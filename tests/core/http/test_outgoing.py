"""Sending requests to URLs that users chose."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from oasst.core.http import outgoing
from tests.wire.receiver import Receiver


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    settings.WEBHOOKS_TO_LOOPBACK = True
    found = Receiver()
    yield found
    found.end()


def names(*addresses: str) -> Any:
    return lambda *args, **kwargs: [(2, 1, 6, "", (one, 443)) for one in addresses]


def _connect(address: tuple[str, int], timeout: float) -> Any:
    assert address[0] == "127.0.0.1"
    found = socket.socket()
    found.connect(address)
    return found


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),
        *("224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1%eth0", "fc00::1", "::ffff:10.0.0.1"),
        *("2002:a00:1::", "64:ff9b::a00:1", "ff02::1", "64:ff9b:1::7f00:1", "::127.0.0.1", "fec0::1"),
    ],
)
def test_private_ones_are_not_sent_to(address: str) -> None:
    assert not outgoing.is_allowed(address)


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:4700::1111", "::ffff:93.184.215.14"])
def test_public_ones_are(address: str) -> None:
    assert outgoing.is_allowed(address)


def test_the_checked_address_is_the_one_that_is_used(receiver: Receiver, monkeypatch: Any) -> None:
    """A host name is resolved only once, because the second result could differ."""
    port = receiver.server.server_port
    answers = [[(2, 1, 6, "", ("127.0.0.1", port))]]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: answers.pop(0))
    monkeypatch.setattr(socket, "create_connection", _connect)
    assert outgoing.post(f"http://changing.example:{port}/x", b"{}", {}) == 200
    assert receiver.got[0][0]["host"] == f"changing.example:{port}"


def test_one_private_address_among_public_ones_is_enough(monkeypatch: Any) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", names("93.184.215.14", "10.0.0.1"))
    with pytest.raises(outgoing.NoResponse):
        outgoing.post("https://both.example/", b"{}", {})
