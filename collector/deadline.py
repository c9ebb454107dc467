"""Bodies that stop arriving. The server's read waits for ever, and answering while it waits would freeze the process.

So a watch looks once a second whether any read has waited too long, and if so ends the reading side of the connections
that went quiet: their reads return what there is, and the client is still told 408. It knows them from the kernel's
own clocks (tcp(7), TCP_INFO), and touches only addresses that keep a read waiting. With many reads waiting it is far
less patient, so that slow clients cannot take all the threads from the others. Idle connections that are closed with
them cost their clients a reconnect. Linux only; elsewhere a proxy in front has to do this.
"""

from __future__ import annotations

import logging
import os
import socket
import stat
import struct
import threading
import time
from collections.abc import Callable
from itertools import count

from collector.errors import too_slow

log = logging.getLogger(__name__)

# Without a byte for this long, or without the whole body after that long, the client is told 408.
PIECE_SECONDS = 10.0
BODY_SECONDS = 60.0
LOOK_SECONDS = 1.0
# Of the threads that answer, when this many wait for bodies there is no such patience: bodies that are there need none.
CROWD = 64
CROWDED_PIECE_SECONDS = 0.5
CROWDED_BODY_SECONDS = 3.0
# struct tcp_info: eight bytes, then numbers of 32 bits, of which the 10th and 12th are milliseconds since data was
# last sent and received.
_TCP_INFO = struct.Struct("=8x36xI4xI")

# How an IPv4 address looks on a socket that serves both kinds (RFC 4291, section 2.5.5.2).
_MAPPED = "::ffff:"

Read = Callable[[int], bytes]
Cut = Callable[[float, float, frozenset[str]], object]


class Deadline:
    """Gives bodies a deadline; one for all requests of a process."""

    def __init__(self, cut: Cut, piece_seconds: float = PIECE_SECONDS, body_seconds: float = BODY_SECONDS) -> None:
        """`cut(quiet, unanswered, peers)` ends these peers' connections quiet, or unanswered, for so many seconds."""
        self._cut = cut
        self._piece = piece_seconds
        self._body = body_seconds
        self._waiting: dict[int, tuple[float, str]] = {}
        self._last_cut = float("-inf")
        self._numbers = count()
        self._starting = threading.Lock()
        self._crowded = threading.Event()
        self._watch: threading.Thread | None = None

    def reading(self, read: Read, peer: str) -> Read:
        """Return a `read` that raises 408 when it returned early because the client at this address was too slow."""

        def read_in_time(size: int) -> bytes:
            number = next(self._numbers)
            began = time.monotonic()
            self._waiting[number] = (began, peer.removeprefix(_MAPPED))
            if self._watch is None:
                self._start()
            if len(self._waiting) >= CROWD:
                self._crowded.set()
            try:
                piece = read(size)
            finally:
                del self._waiting[number]
            # A connection can be cut while its request waits for a thread, before this read.
            if len(piece) < size and self._last_cut >= began - self._body:
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
            self._crowded.wait(min(LOOK_SECONDS, self._piece))
            crowded = len(self._waiting) >= CROWD
            piece = min(self._piece, CROWDED_PIECE_SECONDS) if crowded else self._piece
            body = min(self._body, CROWDED_BODY_SECONDS) if crowded else self._body
            if crowded:
                # Most of a crowd is gone by itself: bodies that are on their way.
                time.sleep(piece / 2)
            self._crowded.clear()
            now = time.monotonic()
            slow = frozenset(peer for began, peer in list(self._waiting.values()) if now - began >= piece)
            if slow:
                self._last_cut = now
                self._cut(piece, body, slow)


def cut_connections(port: int, quiet: float, unanswered: float, peers: frozenset[str]) -> int:
    """End the reading side of this port's connections that these addresses keep quiet, or unanswered; return how many.

    `quiet` and `unanswered` are in seconds.
    """
    if not hasattr(socket, "TCP_INFO") or not os.path.isdir("/proc/self/fd"):
        return 0
    try:
        descriptors = [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError as error:
        log.warning("Slow connections cannot be looked for: %s.", error.strerror)
        return 0
    return sum(_cut_one(descriptor, port, quiet, unanswered, peers) for descriptor in descriptors)


def _cut_one(descriptor: int, port: int, quiet: float, unanswered: float, peers: frozenset[str]) -> bool:
    try:
        # A copy stays the same connection even if the server closes its own meanwhile.
        copy = os.dup(descriptor)
    except OSError:
        return False
    if not stat.S_ISSOCK(os.fstat(copy).st_mode):
        os.close(copy)
        return False
    with socket.socket(fileno=copy) as connection:
        try:
            if connection.family not in (socket.AF_INET, socket.AF_INET6) or connection.getsockname()[1] != port:
                return False
            if connection.getpeername()[0].removeprefix(_MAPPED) not in peers:
                return False
            info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
            sent, received = (milliseconds / 1000 for milliseconds in _TCP_INFO.unpack(info))
            if min(sent, received) < quiet and sent < unanswered:
                return False
            connection.shutdown(socket.SHUT_RD)
        except OSError:
            return False
    return True
