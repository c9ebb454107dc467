"""Turns at the embedded log: whoever writes it holds its lock file, in this process or another.

SQLite's own busy handler starves writers.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Turns:
    """One place in the queue; two threads that write need one each."""

    def __init__(self, path: Path) -> None:
        """`path` is the log's; raises OSError."""
        self._file = os.open(path.parent / (path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)

    @contextmanager
    def one(self) -> Iterator[None]:
        """Wait for a turn and hold it."""
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Leave the queue."""
        os.close(self._file)
