"""What waits to be sent: bounded by count and bytes; the oldest goes first, a full queue refuses the newest."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

BATCH_EVENTS = 100
BATCH_BYTES = 512 * 1024


class Queue:
    """A bounded queue that a sender takes batches from."""

    def __init__(self, max_events: int, max_bytes: int) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._items: deque[tuple[dict[str, Any], int]] = deque()
        self._bytes = 0
        self._in_flight = 0
        self._changed = threading.Condition()

    def put(self, event: dict[str, Any], size: int) -> bool:
        """Add an event; False when full."""
        with self._changed:
            if len(self._items) >= self._max_events or self._bytes + size > self._max_bytes:
                return False
            self._items.append((event, size))
            self._bytes += size
            self._changed.notify_all()
            return True

    def take(self, wait_s: float | None, most: int = BATCH_EVENTS) -> list[tuple[dict[str, Any], int]]:
        """Wait for events and take a batch, counted as in flight until `settle`."""
        with self._changed:
            if not self._items:
                self._changed.wait(wait_s)
            batch: list[tuple[dict[str, Any], int]] = []
            size = 0
            while self._items and len(batch) < most and (not batch or size + self._items[0][1] <= BATCH_BYTES):
                item = self._items.popleft()
                size += item[1]
                batch.append(item)
            self._bytes -= size
            self._in_flight += len(batch)
            return batch

    def settle(self, count: int, again: list[tuple[dict[str, Any], int]]) -> None:
        """End a batch of `count`; `again` goes back to the front, in order, even over the bounds."""
        with self._changed:
            self._in_flight -= count
            self._items.extendleft(reversed(again))
            self._bytes += sum(size for _, size in again)
            self._changed.notify_all()

    def wait_empty(self, timeout_s: float) -> bool:
        """Wait until nothing waits and nothing is in flight."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._items and not self._in_flight, timeout_s)

    def clear(self) -> int:
        """Forget what waits; return how much that was."""
        with self._changed:
            count = len(self._items)
            self._items.clear()
            self._bytes = 0
            self._changed.notify_all()
            return count

    def wake(self) -> None:
        """Wake whoever waits."""
        with self._changed:
            self._changed.notify_all()

    def pause(self, seconds: float) -> None:
        """Sleep, but no longer than until something is woken by `wake` at shutdown."""
        with self._changed:
            self._changed.wait(seconds)
