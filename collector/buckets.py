"""Token buckets by name that any number of workers fill together: in one file that all have mapped, without a lock.

A bucket of rate r holds what was taken, C(t), against what has flowed back since. With both in seconds of the rate and
Y(t) = C(t) - t, the level is Y(t) - min over s <= t of Y(s), and a minimum lies just before something is taken. So each
worker keeps, in a region only it writes, how much it took itself (C is the sum over the regions) and the lowest Y it
has seen (the minimum over the regions). No update is lost. Two workers that look at the same moment may both take what
only one could have had: the total may pass the limit by one batch for each other worker, and by no more.

Each region is a hash table of rows (tag, taken, lowest). A row whose bucket is empty says nothing, and is overwritten;
where none of the rows a name may stand in is, the emptiest goes. Tags are digests: no key and no actor is in the file.
Its times are of this run of the machine: whoever starts the first worker removes what an earlier run left.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import threading
import time
import weakref
from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

REGIONS = 32
# A set is the tags of its rows, then what was taken from each, then the lowest Y of each.
WAYS = 4
_SET = 3 * WAYS
_HEADER = 1


class Buckets:
    """Buckets of one rate; thread-safe. Open it after the fork, with the same `names` in every worker."""

    def __init__(self, folder: Path, names: int, burst_s: float) -> None:
        """Claim a region in `folder`, made if missing; raises OSError.

        There is room for about `names` names at a time; a bucket that is full to `burst_s` seconds of its rate takes
        nothing more.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._burst = burst_s
        self._sets = max(1, names // WAYS)
        self._region_cells = self._sets * _SET
        with (folder / "table").open("a+b") as file:
            # Held while a region is claimed; a worker's claim is a lock of its own, which ends with it.
            fcntl.flock(file, fcntl.LOCK_EX)
            size = 8 * (_HEADER + REGIONS * self._region_cells)
            if os.fstat(file.fileno()).st_size < size:
                os.ftruncate(file.fileno(), size)
            view = memoryview(mmap.mmap(file.fileno(), size))
            self._tags, self._seconds = view.cast("Q"), view.cast("d")
            self._region = self._claim(folder)
            self._tags[0] = max(self._tags[0], self._region + 1)
            # The map has the file open on.
            fcntl.flock(file, fcntl.LOCK_UN)
        self._lock = threading.Lock()

    def _claim(self, folder: Path) -> int:
        for region in range(REGIONS):
            owner = os.open(folder / f"owner-{region}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(owner)
                continue
            weakref.finalize(self, os.close, owner)
            return region
        raise OSError(f"more than {REGIONS} workers share {folder}")

    def take(self, wanted: Mapping[str, float]) -> dict[str, float]:
        """Take seconds of the rate from each bucket; return those that had too little left, and the seconds to wait.

        What is larger than a whole bucket goes when the bucket is empty.
        """
        lacking = {}
        with self._lock:
            now = time.monotonic()
            for name, cost in wanted.items():
                tag = _tag(name)
                total, lowest, mine = self._look(tag)
                low = min(lowest, total - now)
                level = total - now - low
                if level > 0 and level + cost > self._burst:
                    lacking[name] = min(level, level + cost - self._burst)
                    continue
                row = self._make_room(tag, now) if mine is None else mine
                self._seconds[row + 2 * WAYS] = low
                self._seconds[row + WAYS] += cost
        return lacking

    def _look(self, tag: int) -> tuple[float, float, int | None]:
        """Return what was taken, the lowest Y seen, and this worker's own row where it has one."""
        total, lowest, mine = 0.0, float("inf"), None
        first = _HEADER + tag % self._sets * _SET
        for region in range(self._tags[0]):
            start = first + region * self._region_cells
            tags = self._tags[start : start + WAYS].tolist()
            if tag in tags:
                row = start + tags.index(tag)
                total += self._seconds[row + WAYS]
                lowest = min(lowest, self._seconds[row + 2 * WAYS])
                if region == self._region:
                    mine = row
        return total, lowest, mine

    def _make_room(self, tag: int, now: float) -> int:
        """Return a row of this worker's for the tag: a free one, else the one whose bucket is emptiest."""
        first = _HEADER + tag % self._sets * _SET + self._region * self._region_cells
        row = min(range(first, first + WAYS), key=lambda row: self._level(self._tags[row], now))
        self._tags[row] = 0
        self._seconds[row + WAYS], self._seconds[row + 2 * WAYS] = 0.0, float("inf")
        self._tags[row] = tag
        return row

    def _level(self, tag: int, now: float) -> float:
        if tag == 0:
            return float("-inf")
        total, lowest, _ = self._look(tag)
        return total - now - lowest


@lru_cache(maxsize=4096)
def _tag(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little") or 1
