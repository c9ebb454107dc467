"""What this client had to give up, told to the collector with the next batch."""

from __future__ import annotations

import json
import threading
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any, Optional

from thumbwheel.ids import uuid7

# Without consent nothing is told, not even that.
UNTOLD = frozenset({"consent"})

# Writes down what is not told yet, empty when there is nothing.
Note = Callable[[bytes], None]


class Reports:
    """Counts by reason until a batch that carried them was answered. Thread-safe.

    A report keeps its id until then, so that one that arrives twice is known to be the same. Reports of processes that
    are gone are told after one's own.
    """

    def __init__(self, note: Optional[Note] = None) -> None:
        self._lock = threading.Lock()
        self._open: Counter[str] = Counter()
        self._closed: list[dict[str, Any]] = []
        self._travelling: Optional[str] = None
        self._note = note

    def add(self, reason: str, events: int) -> None:
        """Count events that will not arrive."""
        if reason not in UNTOLD:
            with self._lock:
                self._open[reason] += events
                self._write()

    def take(self) -> Optional[bytes]:
        """Return the report to send as JSON, None when there is none or it is on its way; `settle` must follow."""
        with self._lock:
            if self._travelling is not None:
                return None
            if not self._closed and self._open:
                self._closed.append({"event_id": uuid7(), "counts": dict(self._open)})
                self._open.clear()
                self._write()
            if not self._closed:
                return None
            self._travelling = self._closed[0]["event_id"]
            return json.dumps(self._closed[0]).encode()

    def settle(self, delivered: bool) -> None:
        """Forget the report that `take` returned, or keep it for the next batch."""
        with self._lock:
            told, self._travelling = self._travelling, None
            if delivered:
                self._closed = [report for report in self._closed if report["event_id"] != told]
                self._write()

    def take_over(self, name: str, noted: bytes) -> None:
        """Take in what the process whose journal has this `name` had not told; twice is as good as once."""
        left = json.loads(noted)
        if left["open"]:
            left["closed"].append({"event_id": str(uuid.uuid5(uuid.NAMESPACE_OID, name)), "counts": left["open"]})
        with self._lock:
            known = {report["event_id"] for report in self._closed}
            self._closed += [report for report in left["closed"] if report["event_id"] not in known]
            self._write()

    def clear(self) -> None:
        """Forget everything, as when consent is taken back."""
        with self._lock:
            self._open.clear()
            self._closed.clear()
            self._write()

    def _write(self) -> None:
        if self._note is not None:
            nothing = not self._open and not self._closed
            self._note(b"" if nothing else json.dumps({"open": self._open, "closed": self._closed}).encode())
