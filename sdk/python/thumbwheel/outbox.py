"""Encoded events that are not known to be stored yet, bounded by count and bytes."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple


class Item(NamedTuple):
    """One event as JSON. `made_at` is monotonic time in seconds."""

    event_id: str
    body: bytes
    made_at: float


class Outbox:
    """A queue whose items stay counted while they travel. Thread-safe."""

    def __init__(self, max_events: int, max_bytes: int) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._changed = threading.Condition()
        self._items: deque[Item] = deque()
        self._travelling = 0
        self._bytes = 0
        self._closed = False

    def add(self, item: Item) -> list[Item] | None:
        """Add an item and return those that had to go to make room, oldest first; None when closed."""
        with self._changed:
            if self._closed:
                return None
            self._items.append(item)
            self._bytes += len(item.body)
            gone = []
            while self._items and (len(self) > self._max_events or self._bytes > self._max_bytes):
                oldest = self._items.popleft()
                self._bytes -= len(oldest.body)
                gone.append(oldest)
            self._changed.notify_all()
            return gone

    def take(self, max_events: int, max_bytes: int, wait: bool = True) -> list[Item]:
        """Take the oldest items within the caps, at least one if any; waits for one unless closed or told not to."""
        with self._changed:
            while not self._items and wait and not self._closed:
                self._changed.wait()
            batch: list[Item] = []
            size = 0
            while self._items and len(batch) < max_events:
                size += len(self._items[0].body) + 1
                if batch and size > max_bytes:
                    break
                batch.append(self._items.popleft())
            self._travelling += len(batch)
            return batch

    def settle(self, done: Iterable[Item], again: Iterable[Item] = ()) -> None:
        """Forget the items that are done and put the others back in front, in their order."""
        with self._changed:
            for item in done:
                self._travelling -= 1
                self._bytes -= len(item.body)
            for item in reversed(list(again)):
                self._travelling -= 1
                self._items.appendleft(item)
            self._changed.notify_all()

    def wait_empty(self, seconds: float) -> bool:
        """Wait until nothing waits or travels; say whether that is so after `seconds`."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while len(self):
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(left)
            return True

    def clear(self) -> list[Item]:
        """Take out what waits; what travels goes on."""
        with self._changed:
            gone = list(self._items)
            self._items.clear()
            self._bytes -= sum(len(item.body) for item in gone)
            self._changed.notify_all()
            return gone

    def close(self) -> None:
        """Take nothing more; wake whoever waits for work."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def __len__(self) -> int:
        return len(self._items) + self._travelling
