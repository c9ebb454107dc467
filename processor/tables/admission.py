"""Lets many read and write at once, and now and then one alone: first without writers, then without anybody."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Gate:
    """Counts who is inside. Waiting is bounded: a reader that takes long is never waited for without end."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._readers = 0
        self._writers = 0
        self._closed_to_writers = False
        self._closed = False
        self._mine = threading.local()

    @contextmanager
    def reader(self) -> Iterator[None]:
        """Be inside as a reader; one who is inside already is let in at once."""
        inside = getattr(self._mine, "readers", 0)
        with self._changed:
            self._changed.wait_for(lambda: inside > 0 or not self._closed)
            self._readers += 1
        self._mine.readers = inside + 1
        try:
            yield
        finally:
            self._mine.readers = inside
            with self._changed:
                self._readers -= 1
                self._changed.notify_all()

    @contextmanager
    def writer(self) -> Iterator[None]:
        """Be inside as a writer."""
        with self._changed:
            self._changed.wait_for(lambda: not self._closed_to_writers)
            self._writers += 1
        try:
            yield
        finally:
            with self._changed:
                self._writers -= 1
                self._changed.notify_all()

    @contextmanager
    def without_writers(self, timeout_s: float) -> Iterator[None]:
        """Wait until no writer is inside and keep them out; raises TimeoutError."""
        with self._changed:
            self._closed_to_writers = True
            try:
                self._wait(lambda: self._writers == 0, timeout_s)
            except TimeoutError:
                self._open()
                raise
        try:
            yield
        finally:
            with self._changed:
                self._open()

    @contextmanager
    def alone(self, timeout_s: float) -> Iterator[None]:
        """Within `without_writers`: wait until no reader is inside and keep them out; raises TimeoutError."""
        with self._changed:
            self._closed = True
            try:
                self._wait(lambda: self._readers == 0, timeout_s)
            except TimeoutError:
                self._closed = False
                self._changed.notify_all()
                raise
        try:
            yield
        finally:
            with self._changed:
                self._closed = False
                self._changed.notify_all()

    def _wait(self, met: Callable[[], bool], timeout_s: float) -> None:
        started = time.monotonic()
        if not self._changed.wait_for(met, timeout_s):
            raise TimeoutError(f"somebody stayed inside for {time.monotonic() - started:.0f} s")

    def _open(self) -> None:
        self._closed_to_writers = False
        self._changed.notify_all()
