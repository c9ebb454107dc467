"""Bodies that stop arriving. The server's read waits for ever, and answering while it waits would freeze the process.

So a watch looks once a second whether any read has waited too long, and if so ends the reading side of the connections
that went quiet: their reads return what there is, and the client is still told 408. It knows them from the kernel's
own clocks (tcp(7), TCP_INFO). Idle connections that are closed with them cost their clients a reconnect. Linux only;
elsewhere a proxy in front has to do this.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Callable
from itertools import count

from collector.errors import too_slow

# Without a byte for this long, or without the whole body after that long, the client is told 408.
PIECE_SECONDS = 10.0
BODY_SECONDS = 60.0
LOOK_SECONDS = 1.0
# struct tcp_info: eight bytes, then numbers of 32 bits, of which the 10th and 12th are milliseconds since data was
# last sent and received.
_TCP_INFO = struct.Struct("=8x36xI4xI")

Read = Callable[[int], bytes]
Cut = Callable[[float, float], object]


class Deadline:
    """Gives bodies a deadline; one for all requests of a process."""

    def __init__(self, cut: Cut, piece_seconds: float = PIECE_SECONDS, body_seconds: float = BODY_SECONDS) -> None:
        """`cut(quiet, unanswered)` ends connections quiet, or unanswered, for at least so many seconds."""
        self._cut = cut
        self._piece = piece_seconds
        self._body = body_seconds
        self._waiting: dict[int, float] = {}
        self._last_cut = float("-inf")
        self._numbers = count()
        self._starting = threading.Lock()
        self._watch: threading.Thread | None = None

    def reading(self, read: Read) -> Read:
        """Return a `read` that raises 408 when it returned early because the client was too slow."""

        def read_in_time(size: int) -> bytes:
            number = next(self._numbers)
            began = self._waiting[number] = time.monotonic()
            if self._watch is None:
                self._start()
            try:
                piece = read(size)
            finally:
                del self._waiting[number]
            if len(piece) < size and self._last_cut >= began:
                raise too_slow()
            return piece

        return read_in_time

    def _start(self) -> None:
        with self._starting:
            if self._watch is None:
                self._watch = threading.Thread(target=self._look, name="body-watch", daemon=True)
                self._watch.start()

    def _look(self) -> None:
        while True:
            time.sleep(min(LOOK_SECONDS, self._piece))
            oldest = min(list(self._waiting.values()), default=float("inf"))
            if time.monotonic() - oldest >= self._piece:
                self._last_cut = time.monotonic()
                self._cut(self._piece, self._body)


def cut_connections(port: int, quiet: float, unanswered: float) -> int:
    """End the reading side of this port's connections quiet, or unanswered, for so many seconds; return how many."""
    if not hasattr(socket, "TCP_INFO") or not os.path.isdir("/proc/self/fd"):
        return 0
    return sum(_cut_one(int(name), port, quiet, unanswered) for name in os.listdir("/proc/self/fd"))


def _cut_one(descriptor: int, port: int, quiet: float, unanswered: float) -> bool:
    try:
        # A copy stays the same connection even if the server closes its own meanwhile.
        connection = socket.socket(fileno=os.dup(descriptor))
    except OSError:
        return False
    with connection:
        try:
            if connection.family not in (socket.AF_INET, socket.AF_INET6) or connection.getsockname()[1] != port:
                return False
            connection.getpeername()
            info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
            sent, received = (milliseconds / 1000 for milliseconds in _TCP_INFO.unpack(info))
            if min(sent, received) < quiet and sent < unanswered:
                return False
            connection.shutdown(socket.SHUT_RD)
        except OSError:
            return False
    return True
