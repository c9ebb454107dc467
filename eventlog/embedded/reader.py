"""Reads the embedded log on from given offsets; sleeps on a named pipe that writers poke."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import apsw

from contract.topics import REJECTED
from eventlog.embedded.pipes import Pipe
from eventlog.log import Record, offset_not_in_log

# One poll returns at most about this much, whatever `max_records` says.
MAX_POLL_BYTES = 16 * 1024 * 1024
# A writer killed between its commit and its poke must not hold a reader up for longer.
LOOK_SECONDS = 1.0

_SELECT = "SELECT position, key, value, timestamp_ms FROM {name} WHERE position >= ? ORDER BY position LIMIT ?"


def connect_to_read(path: Path) -> apsw.Connection:
    """Return a connection for reading. Opened read-write, because WAL readers share an index file in memory."""
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    db.set_busy_timeout(30_000)
    db.execute("PRAGMA mmap_size=0")
    return db


class SqliteReader:
    """Reads on from given offsets. `poll` from one thread; `wake` from any."""

    def __init__(
        self, path: Path, tables: Mapping[tuple[str, int], str], positions: Mapping[tuple[str, int], int]
    ) -> None:
        self._db = connect_to_read(path)
        self._tables = dict(tables)
        self._next = dict(positions)
        self._places = list(self._tables)
        self._pipe = Pipe(path.parent)

    def poll(self, max_records: int = 1000, wait_s: float = 1.0) -> list[Record]:
        """Return the next records; wait up to `wait_s` seconds for the first one.

        Raises LogUnavailable when the log was cut behind the next offset.
        """
        deadline = time.monotonic() + wait_s
        while True:
            self._pipe.drain()
            records = self._read(max_records)
            remaining = deadline - time.monotonic()
            if records or remaining <= 0 or self._pipe.woken():
                return records
            self._pipe.wait(min(remaining, LOOK_SECONDS))

    def _read(self, max_records: int) -> list[Record]:
        records: list[Record] = []
        room = MAX_POLL_BYTES
        for place in self._places:
            if len(records) >= max_records or room <= 0:
                break
            found = self._read_partition(place, max_records - len(records), room)
            room -= sum(len(record.value) for record in found)
            records.extend(found)
        # The next poll begins one partition further, so that none starves.
        if self._places:
            self._places.append(self._places.pop(0))
        return records

    def _read_partition(self, place: tuple[str, int], limit: int, room: int) -> list[Record]:
        found: list[Record] = []
        select = _SELECT.format(name=self._tables[place])
        # Closed at once: an open statement keeps the log's write-ahead file from being reset.
        with closing(self._db.execute(select, (self._next[place], limit))) as rows:
            for row in rows:
                found.append(Record(*place, *row))
                room -= len(found[-1].value)
                if room <= 0:
                    break
        if found:
            if found[0].offset != self._next[place] and place[0] != REJECTED:
                raise offset_not_in_log(f"{place[0]} {place[1]}: {self._next[place]}, the log starts later")
            self._next[place] = found[-1].offset + 1
        return found

    def wake(self) -> None:
        """Make a `poll` that waits in another thread return at once."""
        self._pipe.wake()

    def close(self) -> None:
        """Release the connection and the pipe."""
        self._pipe.close()
        self._db.close()
