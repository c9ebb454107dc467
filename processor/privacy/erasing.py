"""Removes forgotten people from the log's bytes and from the database's file, behind ingestion.

A thread wakes when the tables have taken somebody out, reads the noted stretches of the log, overwrites each record
of theirs in place, empties the write-ahead file, and writes the database's file anew. What was not finished is noted
in `erasing` and done after the next start. Kafka's records cannot be overwritten: docs/concepts/privacy.md.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw

from contract.errors import ThumbwheelError
from eventlog.log import Erasable, Log, Record
from processor.privacy.forgetting import load_forgotten, overwritten
from processor.steps import decode
from processor.steps.batch import Forgets, Held
from processor.tables.store import Store

log_lines = logging.getLogger("processor.privacy.erasing")

CHUNK = 1000
RETRY_S = 5.0
_NOTES = 'SELECT topic, "partition", start, stop, note FROM erasing ORDER BY topic, "partition", start'
_DONE = "DELETE FROM erasing WHERE note IN (SELECT unnest($notes::UUID[]))"
_FORGETS = 'SELECT project, actor_digest, epoch_us("before") FROM forgets'


class Eraser:
    """Follows the store's notes until `stop`. `neighbours`: the folder of the embeddings' index."""

    def __init__(self, store: Store, log: Log, neighbours: Path) -> None:
        self._store = store
        self._log = log
        self._neighbours = neighbours
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="processor-erase", daemon=True)

    def start(self) -> None:
        """Begin with what an earlier process left."""
        self._store.to_erase.set()
        self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        """End after the chunk in hand."""
        self._stopping.set()
        self._store.to_erase.set()
        self._thread.join(timeout_s)

    def _follow(self) -> None:
        while True:
            self._store.to_erase.wait()
            if self._stopping.is_set():
                return
            self._store.to_erase.clear()
            try:
                self.erase()
            except (ThumbwheelError, TimeoutError, OSError, apsw.Error) as error:
                log_lines.warning("Erasing goes on in %d s: %s", RETRY_S, str(error).splitlines()[:1])
                self._stopping.wait(RETRY_S)
                self._store.to_erase.set()

    def erase(self) -> None:
        """Do what is noted: the log first, then the file of the tables."""
        with self._store.read() as cursor:
            notes = cursor.execute(_NOTES).fetchall()
            forgets = Forgets(cursor.execute(_FORGETS).fetchall())
        of_log, of_file = [n for n in notes if n[0]], [n for n in notes if not n[0]]
        if of_log:
            if isinstance(self._log, Erasable):
                for topic, partition, start, stop in merged([note[:4] for note in of_log]):
                    self._erase_stretch(self._log, forgets, (topic, partition), start, stop)
                self._log.purge()
            self._finish(of_log)
        if of_file:
            for file in self._neighbours.glob("*"):
                file.unlink(missing_ok=True)
            self._store.rewrite()
            self._finish(of_file)

    def _finish(self, notes: list[tuple[Any, ...]]) -> None:
        with self._store.transaction() as cursor:
            cursor.execute(_DONE, {"notes": [str(note[4]) for note in notes]})

    def _erase_stretch(self, log: Erasable, forgets: Forgets, place: tuple[str, int], start: int, stop: int) -> None:
        for records in self._records(place, start, stop):
            found = self._to_overwrite(records, forgets)
            if found:
                log.overwrite(*place, found)

    def _records(self, place: tuple[str, int], start: int, stop: int) -> Iterator[list[Record]]:
        start = max(start, self._log.start_offset(*place))
        if start >= stop:
            return
        reader = self._log.reader({place: start})
        try:
            while start < stop:
                if self._stopping.is_set():
                    raise TimeoutError("the process stops")
                records = [record for record in reader.poll(CHUNK, 1.0) if record.offset < stop]
                if not records:
                    return
                start = records[-1].offset + 1
                yield records
        finally:
            reader.close()

    def _to_overwrite(self, records: list[Record], forgets: Forgets) -> dict[int, tuple[str, bytes]]:
        together = decode(records)
        with self._store.read() as cursor:
            forgotten = load_forgotten(cursor, together, Held(forgets))
        marks = {(row.event_key, row.actor_digest) for row in forgotten}
        return overwritten(records, forgets, marks)


def merged(stretches: list[tuple[str, int, int, int]]) -> list[tuple[str, int, int, int]]:
    """Return stretches of the log, in order, with those that meet made one."""
    found: list[tuple[str, int, int, int]] = []
    for topic, partition, start, stop in stretches:
        if found and found[-1][:2] == (topic, partition) and start <= found[-1][3]:
            found[-1] = (topic, partition, found[-1][2], max(stop, found[-1][3]))
        else:
            found.append((topic, partition, start, stop))
    return found
