"""What this client had to give up, told to the collector with the next batch."""

from __future__ import annotations

import json
import threading
from collections import Counter
from typing import Optional

from thumbwheel.ids import uuid7

# Without consent nothing is told, not even that.
UNTOLD = frozenset({"consent"})


class Reports:
    """Counts by reason until a batch that carried them was answered. Thread-safe.

    A report keeps its id until then, so that one that arrives twice is known to be the same.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: Counter[str] = Counter()
        self._closed: Optional[bytes] = None
        self._travels = False

    def add(self, reason: str, events: int) -> None:
        """Count events that will not arrive."""
        if reason not in UNTOLD:
            with self._lock:
                self._open[reason] += events

    def take(self) -> Optional[bytes]:
        """Return the report to send as JSON, None when there is none or it is on its way; `settle` must follow."""
        with self._lock:
            if self._travels:
                return None
            if self._closed is None and self._open:
                self._closed = json.dumps({"event_id": str(uuid7()), "counts": dict(self._open)}).encode()
                self._open = Counter()
            self._travels = self._closed is not None
            return self._closed

    def settle(self, delivered: bool) -> None:
        """Forget the report that `take` returned, or keep it for the next batch."""
        with self._lock:
            self._travels = False
            if delivered:
                self._closed = None
