"""Moves what was committed from the write-ahead file into the log itself, beside the writer: it takes a dozen
milliseconds, which every append would wait for in a writer that did it.

The bulk goes while others write. The file begins anew only when nothing in it is left to move, so the rest goes in a
turn in which nobody writes.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path

import apsw

from eventlog.embedded.turns import Turns


class Checkpointer:
    """Does so when asked, in a thread that the first request starts."""

    def __init__(self, path: Path, db: apsw.Connection) -> None:
        """`db` is a connection to the log at `path` for it alone; raises OSError."""
        self._db = db
        self._turns = Turns(path)
        self._asked = threading.Event()
        self._closing = False
        self._thread: threading.Thread | None = None

    def ask(self) -> None:
        """Return at once; requests made while it works are one."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="log-checkpoint", daemon=True)
            self._thread.start()
        self._asked.set()

    def _work(self) -> None:
        while self._asked.wait() and not self._closing:
            self._asked.clear()
            # A disk that takes no more refuses the commits too, which is told; another process may be at it already.
            with suppress(apsw.Error):
                self._move()
                with self._turns.one():
                    self._move()

    def _move(self) -> None:
        self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)

    def close(self, timeout_s: float) -> None:
        """End the thread and close the connection; where it still waits for its turn then, both stay."""
        self._closing = True
        if self._thread is not None:
            self._asked.set()
            self._thread.join(timeout_s)
            if self._thread.is_alive():
                return
        self._db.close()
        self._turns.close()
