"""The port of the site: shared evenly by its web processes, and with no other program."""

import errno
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager

import pytest

from oasst.embedded.sockets import listen, listen_shared

CALLERS = 120


def accepted(listener: socket.socket) -> int:
    """Return how many connections wait at this socket."""
    found = 0
    while True:
        try:
            listener.accept()[0].close()
        except BlockingIOError:
            return found
        found += 1


@contextmanager
def open_for_each(address: str, port: int, processes: int) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        yield [stack.enter_context(one) for one in listen_shared(address, port, processes)]


def can_listen_on(address: str) -> bool:
    try:
        listen(address, 0).close()
    except OSError:
        return False
    return True


def call(address: str, port: int, times: int) -> None:
    for _ in range(times):
        socket.create_connection((address, port), timeout=60).close()


def joining(port: int) -> socket.socket:
    """Bind as any program of the same user can if the site lets it."""
    stranger = socket.socket()
    try:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        stranger.bind(("127.0.0.1", port))
        stranger.listen()
    except OSError:
        stranger.close()
        raise
    return stranger


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "0.0.0.0", "::"])
def test_callers_are_dealt_out_among_all_processes(address: str) -> None:
    to = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)
    if ":" in to and not can_listen_on(to):
        pytest.skip("this machine has no IPv6")
    with open_for_each(address, 0, 3) as sockets:
        ports = {one.getsockname()[1] for one in sockets}
        assert len(sockets) == 3 and len(ports) == 1
        call(to, ports.pop(), CALLERS)
        shares = [accepted(one) for one in sockets]
    assert sum(shares) == CALLERS
    assert min(shares) > CALLERS / 10, shares


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("taken_by", [1, 2, "a stranger who would share"])
def test_a_port_in_use_is_refused(taken_by: int | str, processes: int) -> None:
    """Even if the kernel would let us join: half of the connections would go to the other site."""
    with ExitStack() as stack:
        if isinstance(taken_by, int):
            first = stack.enter_context(open_for_each("127.0.0.1", 0, taken_by))
            port = first[0].getsockname()[1]
        else:
            first = [stack.enter_context(closing(joining(0)))]
            first[0].setblocking(False)
            port = first[0].getsockname()[1]
        with pytest.raises(OSError) as refused:
            listen_shared("127.0.0.1", port, processes)
        assert refused.value.errno == errno.EADDRINUSE
        call("127.0.0.1", port, CALLERS)
        assert sum(map(accepted, first)) == CALLERS


@pytest.mark.parametrize("opened", [lambda: listen("127.0.0.1", 0), lambda: listen_shared("127.0.0.1", 0, 1)[0]])
def test_a_site_of_one_process_lets_nobody_join(opened: Callable[[], socket.socket]) -> None:
    with opened() as only, pytest.raises(OSError):
        joining(only.getsockname()[1])


def test_nothing_stays_open_where_one_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """The port is free again after a start that failed halfway."""
    opened: list[socket.socket] = []
    make = socket.socket

    def second_fails(*args: int) -> socket.socket:
        if opened:
            raise OSError(errno.EMFILE, "Too many open files")
        opened.append(make(*args))
        return opened[0]

    monkeypatch.setattr("socket.socket", second_fails)
    with pytest.raises(OSError, match="Too many open files"):
        listen_shared("127.0.0.1", 0, 2)
    assert opened[0].fileno() == -1
