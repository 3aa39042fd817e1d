"""The listening sockets of the site."""

import socket

BACKLOG = 512


def listen(address: str, port: int) -> socket.socket:
    """A socket that children may inherit. OSError when the port is taken."""
    return _listening(address, port, shared=False)


def listen_for_each(address: str, port: int, processes: int) -> list[socket.socket]:
    """One socket on the same port for each of so many processes: the kernel deals connections out among them.

    A single socket that several processes wait on gives most connections to whichever wakes up first. The caller keeps
    all sockets open for as long as the site runs, and hands a process that starts again the socket of the one before:
    closing one resets the connections that wait in its backlog. OSError when the port is taken.

    While the site runs, another program of the same user that sets SO_REUSEPORT can join the port; clearing the option
    afterwards does not help. And while one process cannot start, its share of the callers waits.
    """
    # Alone at first. With SO_REUSEPORT on both sides the kernel lets any program of the same user join in, so a second
    # site would start without an error and take a part of the callers.
    sockets = [listen(address, port)]
    try:
        if processes > 1:
            sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            found: int = sockets[0].getsockname()[1]
            sockets += [_listening(address, found, shared=True) for _ in range(processes - 1)]
    except OSError:
        for one in sockets:
            one.close()
        raise
    return sockets


def _listening(address: str, port: int, *, shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Not for sharing: only so that connections of the last run, still closing, are not in the way.
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
