"""Bodies that stop arriving, around every app: in, requests whose bodies the app reads; out, whole bodies or a 408.

The server's read waits for ever and holds a thread. So a watch looks, once a second while bodies are read, whether one
waits too long, and ends the reading side of its connection: the read returns, and the client is still told. With half
of the threads reading, the watch is far less patient, so that slow clients cannot take all threads from the others.

The server does not tell which connection a request came on, and ending one with a whole request on it would cost that
its answer. `_Watch` finds it from what the kernel and the requests in flight tell, among the connections of the slow
request's address only. Linux only; elsewhere a proxy in front has to do this.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from contract.errors import ThumbwheelError
from runtime import connections
from runtime.connections import Connection

Environ = dict[str, Any]
App = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]

LOOK_SECONDS = 1.0
# The server gives a piece once all of it has arrived, or the body has ended.
_PIECE = 16 * 1024
# Where for so many looks no connection could be told to be the slow one, all of its address end.
_LOOKS = 3


@dataclass(frozen=True)
class Patience:
    """How long, in seconds: a connection without a byte, and a whole body."""

    quiet: float
    body: float


USUAL = Patience(10.0, 60.0)
CROWDED = Patience(0.5, 3.0)


class BodyEnded(ThumbwheelError):
    """The body did not arrive whole, or not in time."""

    retry_after: int | None = None


@dataclass(eq=False, slots=True)
class _Request:
    """A request that is not answered yet; moments are of time.monotonic()."""

    peer: str
    # Since when a piece of its body, and the body, is waited for; NaN: not now, not at all.
    piece_since: float = math.nan
    body_since: float = math.nan
    # When all was read that was asked for.
    whole_at: float = 0.0
    broken: bool = False


class Deadlines:
    """WSGI (PEP 3333) around an app: whatever reads a body raises BodyEnded where it ends early or takes too long."""

    def __init__(
        self, app: App, port: int, threads: int, *, usual: Patience = USUAL, crowded: Patience = CROWDED
    ) -> None:
        """`threads` is how many requests the server hands over at once, of connections to `port`."""
        self._app = app
        self.watch = _Watch(port, max(1, threads // 2), usual=usual, crowded=crowded)

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Pass the request on."""
        request = _Request(connections.plain(environ.get("REMOTE_ADDR", "")))
        in_flight = self.watch.in_flight
        environ["wsgi.input"] = Body(environ, request, self.watch)
        request.whole_at = time.monotonic()
        in_flight[request] = None

        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            in_flight.pop(request, None)
            if request.broken:
                # What is left of the body must not be taken for the next request.
                headers = [
                    *(header for header in headers if header[0].lower() != "connection"),
                    ("Connection", "close"),
                ]
            return start_response(status, headers, *error)

        try:
            return self._app(environ, start)
        except BodyEnded as error:
            said = json.dumps(error.as_dict()).encode()
            start("408 Request Timeout", [("Content-Type", "application/json"), ("Content-Length", str(len(said)))])
            return [said]
        finally:
            in_flight.pop(request, None)


class Body:
    """What an app reads a body from; BodyEnded where it ends early."""

    __slots__ = ("_left", "_read", "_request", "_seen", "_watch")

    def __init__(self, environ: Environ, request: _Request, watch: _Watch) -> None:
        self._read = environ["wsgi.input"].read
        self._request = request
        self._watch = watch
        length = environ.get("CONTENT_LENGTH") or ""
        # None: in chunks, whose end is not known.
        self._left = int(length) if length.isdigit() else None if "HTTP_TRANSFER_ENCODING" in environ else 0
        self._seen: list[Connection] | None = None

    def read(self, size: int | None = -1) -> bytes:
        """Return `size` bytes, fewer only at the end of the body, all of them without a size."""
        left = self._left
        if left is not None and 0 < left <= _PIECE and (size is None or not 0 <= size < left):
            # Nearly every body.
            piece = self._piece(left)
            if len(piece) < left:
                self._check_end()
            self._left = 0
            return piece
        return b"".join(self._pieces(math.inf if size is None or size < 0 else size))

    def _pieces(self, wanted: float) -> Iterator[bytes]:
        while wanted > 0 and self._left != 0:
            asked = int(min(_PIECE, wanted, math.inf if self._left is None else self._left))
            piece = self._piece(asked)
            yield piece
            wanted -= len(piece)
            if self._left is not None:
                self._left -= len(piece)
            if len(piece) < asked:
                self._check_end()
                self._left = 0

    def readline(self, size: int | None = -1) -> bytes:
        """Return the next line, or its first `size` bytes."""
        line = bytearray()
        while (size is None or not 0 <= size <= len(line)) and (piece := self.read(1)):
            line += piece
            if piece == b"\n":
                break
        return bytes(line)

    def __iter__(self) -> Iterator[bytes]:
        """Yield the lines."""
        return iter(self.readline, b"")

    def readlines(self, hint: int | None = -1) -> list[bytes]:
        """Return the lines."""
        return list(self)

    def _piece(self, size: int) -> bytes:
        request, watch = self._request, self._watch
        reading = watch.reading
        now = request.piece_since = time.monotonic()
        if request.body_since != request.body_since:
            request.body_since = now
        reading[request] = None
        if watch.thread is None or len(reading) >= watch.many:
            watch.note()
        if self._left is None and self._seen is None:
            self._seen = watch.asking(request.peer)
        try:
            return self._read(size)  # type: ignore[no-any-return]
        finally:
            del reading[request]
            request.piece_since = math.nan
            request.whole_at = time.monotonic()

    def _check_end(self) -> None:
        """Raise BodyEnded unless the body has ended by itself.

        The server says the same of a body of chunks that is whole and of one whose connection was lost. So one counts
        as whole while each connection that it may have come on is still open.
        """
        if self._left is None and self._seen and not any(map(connections.is_over, self._seen)):
            return
        self._request.broken = True
        raise BodyEnded("too_slow", "The body did not arrive whole, or not in time.", "Send it again.", status=408)


class _Watch:
    """Looks after all reads of a process, in a thread that starts with the first of them."""

    def __init__(self, port: int, many: int, *, usual: Patience, crowded: Patience) -> None:
        self.in_flight: dict[_Request, None] = {}
        self.reading: dict[_Request, None] = {}
        self._port = port
        self.many = many
        self._usual, self._in_a_crowd = usual, crowded
        self._starting = threading.Lock()
        self._crowd = threading.Event()
        self.thread: threading.Thread | None = None
        # Of each connection that asks: how much it was answered before, and since when it asks.
        self._asks: dict[int, tuple[int, float]] = {}
        # Those whose reading has been ended, and at how many looks in a row nothing was found to end for an address.
        self._ended: set[int] = set()
        self._vain: dict[str, int] = {}

    def note(self) -> None:
        """A read begins, the first or one of many."""
        if self.thread is None:
            with self._starting:
                if self.thread is None:
                    self.thread = threading.Thread(target=self._run, name="body-watch", daemon=True)
                    self.thread.start()
        if len(self.reading) >= self.many:
            self._crowd.set()

    def asking(self, peer: str) -> list[Connection]:
        """Return the connections of an address that a request may have come on now."""
        return [one for one in connections.find(self._port, frozenset((peer,))) if one.heard and not _idle(one)]

    def _run(self) -> None:
        pause = min(LOOK_SECONDS, self._usual.quiet)
        crowded = False
        while True:
            # Most of a crowd is gone by itself: bodies that are on their way.
            if self._crowd.wait(0 if crowded else pause):
                time.sleep(self._in_a_crowd.quiet / 2)
            self._crowd.clear()
            crowded = len(self.reading) >= self.many
            if crowded:
                self._crowd.set()
            self._look(self._in_a_crowd if crowded else self._usual, time.monotonic())

    def _look(self, patience: Patience, now: float) -> None:
        reading = list(self.reading)
        old = {request.peer for request in reading if now - request.body_since >= patience.body}
        late = old.union(request.peer for request in reading if now - request.piece_since >= patience.quiet)
        found = connections.find(self._port, frozenset(late)) if late else []
        self._ended &= {one.inode for one in found}
        self._follow(found, now)
        self._vain = {peer: looks for peer, looks in self._vain.items() if peer in old}
        for peer in late:
            own = [one for one in found if one.peer == peer and one.inode not in self._ended]
            chosen = self._slow(own, peer, patience, now)
            if peer in old and not chosen:
                self._vain[peer] = self._vain.get(peer, 0) + 1
                chosen = own if self._vain[peer] >= _LOOKS else []
            for one in chosen:
                self._ended.add(one.inode)
                connections.end_reading(one)

    def _follow(self, found: list[Connection], now: float) -> None:
        """Keep since when each connection asks: the kernel tells of the last bytes only, not of the first."""
        asks = {}
        for one in found:
            if one.asks:
                answers, since = self._asks.get(one.inode, (-1, now))
                first = now - (one.received if one.answers else one.sent)
                asks[one.inode] = (one.answers, min(since, first) if answers == one.answers else first)
        self._asks = asks

    def _slow(self, own: list[Connection], peer: str, patience: Patience, now: float) -> list[Connection]:
        """Return which of an address's connections to end: they are being read from, and quiet or old.

        Requests are handed over about in the order in which they came. So, but for those whose requests are whole, the
        ones that have asked longest are being read from, and the others wait for a thread. Where that was wrong, the
        next ones follow at the next look.
        """
        asking = sorted((one for one in own if one.asks), key=lambda one: self._asks[one.inode][1])
        requests = [request for request in list(self.in_flight) if request.peer == peer]
        whole = [request.whole_at for request in requests if request.piece_since != request.piece_since]
        for moment in whole:
            before = [one for one in asking if now - one.received <= moment + _TICK]
            if before:
                asking.remove(max(before, key=lambda one: now - one.received))
        read = asking[: len(requests) - len(whole)]
        return [
            one for one in read if one.received >= patience.quiet or now - self._asks[one.inode][1] >= patience.body
        ]


# The kernel's clock counts in steps of up to 10 ms.
_TICK = 0.02


def _idle(one: Connection) -> bool:
    """Say whether a connection was answered last, well after anything came."""
    return one.answers > 0 and one.sent + _TICK < one.received
