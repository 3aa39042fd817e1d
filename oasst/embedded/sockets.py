"""The listening sockets of the site."""

import socket

BACKLOG = 512


def listen(address: str, port: int) -> socket.socket:
    """Return a listening socket that children can inherit. Raise OSError if the port is taken."""
    return _open_socket(address, port, shared=False)


def listen_shared(address: str, port: int, processes: int) -> list[socket.socket]:
    """Return one socket per process on the same port; the kernel distributes connections among them.

    With a single socket for several processes, most connections go to the process that wakes up first. The caller keeps
    all sockets open while the site runs and gives a restarted process the socket of the one before: closing a socket
    resets the connections in its backlog. Raise OSError if the port is taken.

    While the site runs, another program of the same user that sets SO_REUSEPORT can join the port; clearing the option
    afterwards does not help. While one process cannot start, its share of the connections waits.
    """
    # The first socket is bound without SO_REUSEPORT: with it, a second site would start without an error and take some
    # of the connections.
    sockets = [listen(address, port)]
    try:
        if processes > 1:
            sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            bound_port: int = sockets[0].getsockname()[1]
            sockets += [_open_socket(address, bound_port, shared=True) for _ in range(processes - 1)]
    except OSError:
        for each in sockets:
            each.close()
        raise
    return sockets


def _open_socket(address: str, port: int, *, shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Connections of the last run that are still closing must not block the port.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((address, port))
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener
