"""Network ports at which processes meet."""

import socket


def find_free_port() -> int:
    """Return the number of a port that no process listens on."""
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        return int(listener.getsockname()[1])
