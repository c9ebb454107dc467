"""Takes in the parts of other processors, up to where the folder goes."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Collection
from pathlib import Path

from contract.errors import ThumbwheelError
from processor import metrics
from processor.parts.contents import forgets, held, take_in
from processor.parts.folder import SCRATCH, Part, PartsFolder, next_part
from processor.tables.store import Store

log_lines = logging.getLogger("processor.parts")


class Intake:
    """Brings partitions of one store up to the folder. Used by one thread at a time."""

    def __init__(self, store: Store, folder: PartsFolder, version: str) -> None:
        self._store = store
        self._folder = folder
        self._version = version

    def catch_up(self, partitions: Collection[int]) -> int:
        """Take in what the folder holds of these partitions, and return how many parts that took.

        Raises ThumbwheelError while the folder cannot be reached.
        """
        there = self._folder.parts() if partitions else {}
        return sum(self._catch_up(partition, there.get(partition, [])) for partition in sorted(partitions))

    def _catch_up(self, partition: int, parts: list[Part]) -> int:
        taken = 0
        while part := self._next(partition, parts):
            try:
                moved = self._take(part)
            except ThumbwheelError as error:
                if error.code != "part_damaged":
                    raise
                log_lines.warning("%s %s", part.name, error.message)
                # Without a base its owner publishes the partition whole.
                self._folder.remove(one for one in parts if one.base or one == part)
                break
            if not moved:
                break
            taken += 1
        return taken

    def _next(self, partition: int, parts: list[Part]) -> Part | None:
        with self._store.read() as cursor:
            reached, forgotten = held(cursor, partition), forgets(cursor)
        return next_part(parts, reached, self._version, forgotten)

    def _take(self, part: Part) -> bool:
        with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=self._store.path.parent) as folder:
            file = Path(folder) / "part"
            if not self._folder.fetch(part, file):
                return False
            taken = take_in(self._store, part, file)
        metrics.PARTS.labels("taken").inc(taken)
        return taken
