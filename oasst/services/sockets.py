"""The listening socket of the site."""

import socket

BACKLOG = 512


def listen(address: str, port: int) -> socket.socket:
    """A socket that children may inherit. OSError when the port is taken."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Not for sharing: only so that connections of the last run, still closing, are not in the way.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener
