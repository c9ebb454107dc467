"""How much: a rate per key, and how many requests may be in flight."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from collector.errors import busy, too_many

# Events a second of one key, averaged, and how many at once, in seconds of that. It stops a loop, not a product.
RATE = 2_000.0
BURST_SECONDS = 10.0
# Each waits for one durable write. Fewer than the server has threads, so that there is one left to say 503.
MAX_IN_FLIGHT = 96


class Rates:
    """A token bucket per key (Tanenbaum, Computer Networks, section 5.3), per process; a rate of 0 is no limit."""

    def __init__(self, rate: float = RATE, burst: float | None = None) -> None:
        """`rate` in events a second; `burst` in events (default: ten seconds' worth)."""
        self._rate = rate
        self._burst = rate * BURST_SECONDS if burst is None else burst
        self._left: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def take(self, key_id: str, events: int) -> None:
        """Count events; raises 429 with the wait when the key has used up its rate."""
        if self._rate <= 0:
            return
        now = time.monotonic()
        with self._lock:
            left, at = self._left.get(key_id, (self._burst, now))
            left = min(self._burst, left + (now - at) * self._rate)
            # A batch larger than the whole bucket goes when the bucket is full.
            lacking = min(events, self._burst) - left
            self._left[key_id] = (left if lacking > 0 else left - events, now)
        if lacking > 0:
            raise too_many(max(1, math.ceil(lacking / self._rate)))


class Slots:
    """A bounded number of requests in flight; past it the answer is 503 at once, never a growing queue."""

    def __init__(self, most: int = MAX_IN_FLIGHT) -> None:
        self._free = threading.BoundedSemaphore(most)

    @contextmanager
    def one(self) -> Iterator[None]:
        """Hold a slot; raises 503 when none is free."""
        if not self._free.acquire(blocking=False):
            raise busy()
        try:
            yield
        finally:
            self._free.release()
