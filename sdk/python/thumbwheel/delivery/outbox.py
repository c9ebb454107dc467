"""Encoded events that are not known to be stored yet, bounded by count and bytes."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable

from thumbwheel.delivery.journal import Item
from thumbwheel.delivery.spool import Spool

# Events of processes that are gone, taken in at a time.
REFILL_EVENTS = 100
REFILL_BYTES = 512 * 1024
# How often an idle process looks for some.
SWEEP_SECONDS = 10.0


class Outbox:
    """A queue whose items stay counted while they travel. Thread-safe.

    With a spool every item is on disk too until it is settled, and while `adopting` it takes in what processes that are
    gone left there.
    """

    def __init__(self, max_events: int, max_bytes: int, spool: Spool | None = None, *, adopting: bool = True) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._changed = threading.Condition()
        self._items: deque[Item] = deque()
        self._travelling = 0
        self._bytes = 0
        self._closed = False
        self._spool = spool
        self._on_disk: set[str] = set()
        self._left = spool is not None and spool.anything_left()
        self.adopting = adopting

    @property
    def left(self) -> bool:
        """Say whether the spool may hold events of processes that are gone."""
        return self._left and self.adopting

    @property
    def closed(self) -> bool:
        """Say whether nothing is taken any more."""
        return self._closed

    @property
    def lasting(self) -> bool:
        """Say whether what waits outlasts this process."""
        return self._spool is not None

    def add(self, item: Item) -> list[Item] | None:
        """Add an item and return those that had to go to make room, oldest first; None when closed."""
        with self._changed:
            if self._closed:
                return None
            if self._spool is not None:
                self._spool.keep(item)
            self._items.append(item)
            self._bytes += len(item.body)
            gone = []
            while self._items and (len(self) > self._max_events or self._bytes > self._max_bytes):
                oldest = self._items.popleft()
                self._bytes -= len(oldest.body)
                gone.append(oldest)
            self._changed.notify_all()
            self._forget(gone)
            return gone

    def take(self, max_events: int, max_bytes: int, wait: bool = True) -> list[Item]:
        """Take the oldest items within the caps, at least one if any; waits for one unless closed or told not to.

        Nothing is returned, too, when it is time to `refill`.
        """
        with self._changed:
            if not self._items and wait and not self._closed and not self.left:
                self._changed.wait(SWEEP_SECONDS if self._spool is not None else None)
            batch: list[Item] = []
            size = 0
            while self._items and len(batch) < max_events:
                size += len(self._items[0].body) + 1
                if batch and size > max_bytes:
                    break
                batch.append(self._items.popleft())
            self._travelling += len(batch)
            return batch

    def settle(self, done: Iterable[Item], again: Iterable[Item] = (), aside: bool = False) -> list[str]:
        """Forget the items that are done and put the others back in front, in their order; with `aside` at the end.

        Once nothing is taken any more, returns the ids of those others that no disk holds.
        """
        settled, back = list(done), list(again)
        self._forget(settled)
        with self._changed:
            self._travelling -= len(settled) + len(back)
            gone = [*settled, *back] if self._closed else settled
            self._bytes -= sum(len(item.body) for item in gone)
            if not self._closed and aside:
                self._items.extend(back)
            elif not self._closed:
                self._items.extendleft(reversed(back))
            self._changed.notify_all()
            return [item.event_id for item in back if item.event_id not in self._on_disk] if self._closed else []

    def refill(self) -> bool:
        """Take in some of what processes that are gone left behind; say whether there was any."""
        found = []
        if self._spool is not None and self.adopting:
            found = self._spool.left_behind(min(REFILL_EVENTS, self._max_events), min(REFILL_BYTES, self._max_bytes))
        with self._changed:
            self._left = bool(found) and not self._closed
            if self._left:
                self._items.extendleft(reversed(found))
                self._bytes += sum(len(item.body) for item in found)
            self._changed.notify_all()
            return self._left

    def wait_empty(self, seconds: float) -> bool:
        """Wait until nothing waits or travels; say whether that is so after `seconds`."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while len(self) or self.left:
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(left)
            return True

    def clear(self) -> list[str]:
        """Forget what waits, here and left behind by processes that are gone; what travels goes on. Returns the ids."""
        with self._changed:
            gone = self._take_all()
        self._forget(gone)
        while self._spool is not None and (more := self._spool.left_behind(REFILL_EVENTS, REFILL_BYTES)):
            self._forget(more)
            gone += more
        return [item.event_id for item in gone]

    def leave(self) -> list[str]:
        """Take nothing more, and wake whoever waits for work; returns the ids of what waits and is not on disk."""
        with self._changed:
            self._closed = True
            if self._spool is not None:
                self._on_disk = self._spool.close()
            return [item.event_id for item in self._take_all() if item.event_id not in self._on_disk]

    def abandon(self) -> None:
        """In a forked child: let go of the parent's files."""
        if self._spool is not None:
            self._spool.abandon()

    def _take_all(self) -> list[Item]:
        gone = list(self._items)
        self._items.clear()
        self._bytes -= sum(len(item.body) for item in gone)
        self._changed.notify_all()
        return gone

    def _forget(self, items: list[Item]) -> None:
        if self._spool is not None and items:
            self._spool.settle(item.event_id for item in items)

    def __len__(self) -> int:
        return len(self._items) + self._travelling
