"""Bodies that stop arriving. The server's read waits for ever, so another thread reads, and the request may give up.

Each request thread has its reading thread, which lives as long; a hand-over costs two switches. A reading thread whose
client went quiet is left behind and ends with that connection; their number is bounded.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue

from collector.errors import busy, too_slow

# Without this many seconds between two pieces of a body, or for the whole of it.
PIECE_SECONDS = 10.0
BODY_SECONDS = 60.0
MAX_LEFT_BEHIND = 256

Read = Callable[[int], bytes]


class _Reader:
    """One reading thread: sizes to read go in, pieces come out."""

    def __init__(self) -> None:
        self._wanted: SimpleQueue[tuple[Read, int] | None] = SimpleQueue()
        self._pieces: SimpleQueue[bytes | BaseException] = SimpleQueue()
        self.thread = threading.Thread(
            target=_read_on, args=(self._wanted, self._pieces), name="body-reader", daemon=True
        )
        self.thread.start()

    def read(self, read: Read, size: int, seconds: float) -> bytes:
        """Return up to `size` bytes; raises Empty after `seconds`, and then the reader is of no more use."""
        self._wanted.put((read, size))
        piece = self._pieces.get(timeout=seconds)
        if isinstance(piece, BaseException):
            raise piece
        return piece

    def __del__(self) -> None:
        self._wanted.put(None)


def _read_on(wanted: SimpleQueue[tuple[Read, int] | None], pieces: SimpleQueue[bytes | BaseException]) -> None:
    while (job := wanted.get()) is not None:
        read, size = job
        try:
            pieces.put(read(size))
        except Exception as error:  # noqa: BLE001  (raised again in the request's thread)
            pieces.put(error)
        del job, read


class Deadline:
    """Gives bodies a deadline; one for all requests of a process."""

    def __init__(self, piece_seconds: float = PIECE_SECONDS, body_seconds: float = BODY_SECONDS) -> None:
        self.piece_seconds = piece_seconds
        self.body_seconds = body_seconds
        self._local = threading.local()
        self._lock = threading.Lock()
        self._left_behind: list[threading.Thread] = []

    def reading(self, read: Read) -> Read:
        """Return a `read` that raises 408 when bytes do not come in time, and 503 when too many clients do that."""
        left = self.body_seconds

        def read_in_time(size: int) -> bytes:
            nonlocal left
            reader = getattr(self._local, "reader", None)
            if reader is None:
                reader = self._local.reader = self._new_reader()
            started = time.monotonic()
            try:
                piece: bytes = reader.read(read, size, min(left, self.piece_seconds))
            except Empty:
                self._leave(reader)
                raise too_slow() from None
            left -= time.monotonic() - started
            return piece

        return read_in_time

    def _new_reader(self) -> _Reader:
        with self._lock:
            self._left_behind = [thread for thread in self._left_behind if thread.is_alive()]
            if len(self._left_behind) >= MAX_LEFT_BEHIND:
                raise busy()
        return _Reader()

    def _leave(self, reader: _Reader) -> None:
        self._local.reader = None
        with self._lock:
            self._left_behind.append(reader.thread)
