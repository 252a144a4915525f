"""A watch over the other processes of a launch, where torch would wait half an hour for one that is gone.

Gloo notices a closed connection at once. NCCL does not: torch's watchdog ends a process that waits for a lost one after
the time-out of the collective (`TORCH_NCCL_ASYNC_ERROR_HANDLING` in torch's documentation), which here has to be long
enough for slow but living processes. So each process keeps a connection to rank 0, which its system closes if it ends,
and which keepalive probes close if its machine is lost.
"""

import atexit
import os
import secrets
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from selectors import EVENT_READ, DefaultSelector
from threading import Event, Thread

CONNECT_SECONDS = 30.0
"""Longest time in which all processes connect to rank 0."""
GRACE_SECONDS = 10.0
"""Seconds between the loss of a process and the end of this one, in which it can report an error of its own."""
POLL_SECONDS = 1.0
"""Seconds between two checks of whether this process has left."""
KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 4}
"""Options of a connection by which a machine that is gone closes it after half a minute; seconds, seconds, probes."""
LEAVING = b"."
"""Byte that a process sends before it ends as it should."""


class PeerWatch:
    """Call a function soon after another process has ended without having left.

    Args:
        connections: To rank 0; on rank 0, to all others.
        on_loss: Called once, in a thread of its own, unless this process leaves in the seconds after the loss.
    """

    def __init__(self, connections: list[socket.socket], on_loss: Callable[[], None]) -> None:
        self.connections, self.on_loss, self.left = connections, on_loss, Event()
        Thread(target=self._watch, daemon=True).start()
        atexit.register(self._leave_at_exit)

    def leave(self) -> None:
        """Tell the others that this process ends as it should, and stop watching."""
        if not self.left.is_set():
            self.left.set()
            for connection in self.connections:
                with suppress(OSError):
                    connection.sendall(LEAVING)

    def abandon(self) -> None:
        """End the watch without a word, so that the others take this process for lost once it has ended."""
        self.left.set()

    def _leave_at_exit(self) -> None:
        if not hasattr(sys, "last_type"):  # no error ends the script
            self.leave()

    def _watch(self) -> None:
        with DefaultSelector() as selector:
            for connection in self.connections:
                selector.register(connection, EVENT_READ)
            while selector.get_map() and not self.left.is_set():
                for key, _ in selector.select(POLL_SECONDS):
                    assert isinstance(key.fileobj, socket.socket)
                    if not _has_left(key.fileobj):
                        if not self.left.wait(GRACE_SECONDS):
                            self.on_loss()
                        return
                    selector.unregister(key.fileobj)


def open_server() -> tuple[socket.socket, tuple[int, bytes]]:
    """Open the socket of rank 0, and return it with its port and the secret by which the others are known."""
    dual = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if dual else socket.AF_INET
    server = socket.create_server(("", 0), family=family, dualstack_ipv6=dual)
    return server, (server.getsockname()[1], secrets.token_bytes(16))


def accept_peers(server: socket.socket, secret: bytes, count: int) -> list[socket.socket]:
    """Wait for the connections of ``count`` processes that know the secret, and close the server.

    Raises:
        OSError: They did not come in time.
    """
    peers: list[socket.socket] = []
    with server:
        server.settimeout(CONNECT_SECONDS)
        while len(peers) < count:
            connection, _ = server.accept()
            connection.settimeout(CONNECT_SECONDS)
            with suppress(OSError):
                if secrets.compare_digest(connection.recv(len(secret), socket.MSG_WAITALL), secret):
                    peers.append(_keep_alive(connection))
                    continue
            connection.close()
    return peers


def connect_to_main(address: str, port: int, secret: bytes) -> socket.socket:
    """Connect to rank 0, which runs on the machine of this address.

    Raises:
        OSError: It cannot be reached.
    """
    connection = socket.create_connection((address, port), timeout=CONNECT_SECONDS)
    connection.sendall(secret)
    return _keep_alive(connection)


def end_process(message: str, rank: int) -> None:
    """Print a line and end this process at once, since its main thread waits in a call that nothing interrupts."""
    print(f"vaegan: {message}" if rank == 0 else f"[rank {rank}] vaegan: {message}", file=sys.stderr, flush=True)
    os._exit(1)


def _keep_alive(connection: socket.socket) -> socket.socket:
    connection.settimeout(None)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        if hasattr(socket, name):  # not on every system
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return connection


def _has_left(connection: socket.socket) -> bool:
    """Return whether what a connection has to say is that the process behind it ends as it should."""
    try:
        return connection.recv(1) == LEAVING
    except OSError:
        return False
