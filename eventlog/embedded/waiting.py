"""An append between the thread that asks for it and the writer that commits it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import count

from eventlog.log import Entry, Position

Place = tuple[str, int]


class Waiting:
    """One append that waits for its commit; without entries a trial commit.

    The caller's thread lays out keys and values by place, one after another, so that the writer only joins lists.
    """

    __slots__ = ("_answered", "_durable", "_places", "first", "rows", "size")

    def __init__(self, entries: Sequence[Entry], places: Sequence[Place]) -> None:
        self.rows: dict[Place, list[str | bytes]] = {place: [] for place in places}
        self.size = 0
        for entry, place in zip(entries, places, strict=True):
            self.rows[place] += (entry.key, entry.value)
            self.size += len(entry.value) + 64
        # The offset of the first row in each place; the writer's.
        self.first: dict[Place, int] = {}
        self._places = places
        self._durable = False
        self._answered = threading.Lock()
        self._answered.acquire()

    def __len__(self) -> int:
        return len(self._places)

    def answer(self, durable: bool) -> None:
        """Answer the caller, once; not durable means not known to be."""
        self._durable = durable
        self._answered.release()

    def positions(self, timeout_s: float) -> list[Position | None]:
        """Wait for the answer and return the position of each entry; all None when it did not come or was no."""
        if not self._answered.acquire(timeout=timeout_s) or not self._durable:
            return [None] * len(self)
        offsets = {place: count(first) for place, first in self.first.items()}
        return [Position(*place, next(offsets[place])) for place in self._places]
