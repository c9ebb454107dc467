"""Publishes what this processor's partitions gained: a part a partition, every few seconds while there is something."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Collection
from pathlib import Path

from processor import metrics
from processor.parts.contents import forgets, held, note_published, published, write_part
from processor.parts.folder import SCRATCH, Part, PartsFolder, Reached
from processor.tables.store import Store

# A partition is published whole again once its changes outweigh it, or when it has this many, so that a processor
# that takes it over reads at most twice its size, in not too many files.
CHANGES = 200
CHANGES_BYTES = 4 * 1024 * 1024
WHOLE: Reached = Reached(0, 0)


class Publisher:
    """Writes the parts of one store. `version`: that of its rows; used by one thread at a time."""

    def __init__(
        self, store: Store, folder: PartsFolder, owner: str, *, version: str, changes: int = CHANGES
    ) -> None:  # fmt: skip
        self._store = store
        self._folder = folder
        self._owner = owner
        self._version = version
        self._changes = changes
        self._tidy = False

    def publish(self, partitions: Collection[int], generation: int, whole: bool = True) -> int:
        """Publish what these partitions gained since, and return how many parts that took.

        Without `whole` a partition that is to be published whole is left for later: that takes its time.
        Raises ThumbwheelError while the folder cannot be reached.
        """
        if not self._tidy:
            self._folder.remove_unfinished(self._owner)
            self._tidy = True
        there = self._folder.parts() if partitions else {}
        written = 0
        for partition in sorted(partitions):
            parts = [part for part in there.get(partition, []) if part.version == self._version]
            written += self._publish(partition, parts, there.get(partition, []), generation, whole)
        return written

    def _publish(self, partition: int, parts: list[Part], there: list[Part], generation: int, whole: bool) -> bool:
        started = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=self._store.path.parent) as folder:
            file = Path(folder) / "part"
            with self._store.read() as cursor:
                reached, since = held(cursor, partition), published(cursor, partition)
                base = since is None or not any(part.base for part in parts) or self._outweigh(parts)
                forgotten = forgets(cursor)
                if since is not None:
                    # Nobody who has forgotten as much takes these.
                    self._folder.remove(part for part in there if part.forgets < forgotten)
                if reached is None or reached == WHOLE or (not whole if base else reached == since):
                    return False
                begin = WHOLE if base or since is None else since
                part = Part(partition, begin, reached, forgotten, self._version, generation, self._owner)
                write_part(cursor, part, file)
            size = file.stat().st_size
            self._folder.put(part, file)
        with self._store.marking, self._store.transaction() as cursor:
            # Somebody forgotten meanwhile wants the partition published whole.
            if forgets(cursor) == part.forgets:
                note_published(cursor, part)
        if base:
            self._folder.remove(old for old in there if _superseded(old, part))
        kind = "base" if base else "changes"
        metrics.PARTS.labels(kind).inc()
        metrics.PART_BYTES.labels(kind).inc(size)
        metrics.PUBLISH.observe(time.perf_counter() - started)
        return True

    def _outweigh(self, parts: list[Part]) -> bool:
        """Say whether the changes since the last base weigh more than it, or are too many."""
        base = max((part for part in parts if part.base), key=lambda part: part.stop)
        since = [part for part in parts if not part.base and part.stop > base.stop]
        return len(since) > self._changes or sum(part.size for part in since) > max(base.size, CHANGES_BYTES)


def _superseded(old: Part, base: Part) -> bool:
    """Say whether a base makes a part needless, or it may hold somebody forgotten since."""
    return old.name != base.name and (
        (old.stop.events <= base.stop.events and old.stop.rejected <= base.stop.rejected) or old.forgets < base.forgets
    )
