"""Which partitions the tables lag behind: being rebuilt, or without an owner.

A partition is behind while the tables have not reached where the log ended ALLOWED_S ago, or while nobody has looked
for so long: the log is away, or this processor is no member.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping

from contract.topics import EVENTS

ALLOWED_S = 30.0


class Freshness:
    """Compares where the tables are with where the log ended a while ago. Thread-safe."""

    def __init__(self, allowed_s: float = ALLOWED_S) -> None:
        self._allowed_s = allowed_s
        self._lock = threading.Lock()
        # (when, end offset by partition), oldest first: one that is old enough, and those since.
        self._ends: deque[tuple[float, dict[int, int]]] = deque()
        self._state: dict[int, tuple[int, int]] = {}

    def sample(
        self, reached: Mapping[tuple[str, int], int], behind: Mapping[tuple[str, int], int], at: float | None = None
    ) -> None:  # fmt: skip
        """Take where the tables are and how many records follow, by (topic, partition); once a second or so.

        `at`: when that was, on the monotonic clock; now unless told.
        """
        now = time.monotonic() if at is None else at
        state = {
            partition: (reached.get((topic, partition), 0), reached.get((topic, partition), 0) + records)
            for (topic, partition), records in behind.items() if topic == EVENTS
        }  # fmt: skip
        with self._lock:
            self._state = state
            self._ends.append((now, {partition: end for partition, (_, end) in state.items()}))
            while len(self._ends) > 1 and self._ends[1][0] <= now - self._allowed_s:
                self._ends.popleft()

    def partitions(self) -> list[dict[str, int | bool]]:
        """Return, by partition: the next offset of the tables, the log's end, and whether it is behind."""
        with self._lock:
            if not self._ends:
                return []
            now = time.monotonic()
            (when, old), (last, _) = self._ends[0], self._ends[-1]
            due = old if now - when >= self._allowed_s else {}
            unknown = now - last > self._allowed_s
            return [
                {
                    "partition": partition, "next_offset": reached, "end_offset": end,
                    "behind": unknown or reached < min(due.get(partition, 0), end),
                }
                for partition, (reached, end) in sorted(self._state.items())
            ]  # fmt: skip

    def behind(self) -> list[int]:
        """Return the partitions that are behind."""
        return [int(found["partition"]) for found in self.partitions() if found["behind"]]
