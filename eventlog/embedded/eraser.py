"""Overwrites records of the embedded log where they lie, or cuts the oldest off, beside running writers and readers.

A value of the same length is written over the old bytes in place: SQLite moves no cell, so no other copy comes to be.
The write-ahead file is then emptied. Logs made before `secure_delete` was set may hold copies in unused parts of their
pages; those are written anew once (VACUUM).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import islice, takewhile
from pathlib import Path
from types import TracebackType
from typing import Any

import apsw

from contract.errors import LogUnavailable
from eventlog.embedded.turns import Turns

# The application id of a log that has been written with `secure_delete` throughout.
CLEAN = 0x7477_0001
# One turn takes at most so many records, so that appends do not wait for it.
RECORDS_A_TURN = 200
CUT_A_TURN = 5000
PURGE_SECONDS = 60.0
TRY_MS = 500


class SqliteEraser:
    """A connection and a place in the writers' queue of its own; a context manager."""

    def __init__(self, path: Path) -> None:
        self._turns = Turns(path)
        try:
            self._db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        except apsw.Error:
            self._turns.close()
            raise
        self._db.set_busy_timeout(30_000)
        self._db.execute("PRAGMA synchronous=FULL; PRAGMA mmap_size=0; PRAGMA secure_delete=ON").fetchall()

    def __enter__(self) -> SqliteEraser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()
        self._turns.close()

    def overwrite(self, table: str, values: Mapping[int, tuple[str, bytes]]) -> None:
        """Overwrite keys and values by offset; a pair of other lengths than the record's is refused (ValueError)."""
        left = iter(sorted(values.items()))
        while part := list(islice(left, RECORDS_A_TURN)):
            with self._turns.one(), self._db:
                for offset, (key, value) in part:
                    self._db.execute(
                        f"UPDATE {table} SET key=?, value=? "
                        "WHERE position=? AND octet_length(key)=? AND octet_length(value)=?",
                        (key, value, offset, len(key.encode()), len(value)),
                    )
                    if self._db.changes() != 1:
                        raise ValueError(f"no record of that length lies at {offset}")

    def cut(self, table: str, before: int) -> None:
        """Delete the records below this offset; raises LogUnavailable."""
        try:
            while self._cut_some(table, before):
                continue
        except apsw.Error as error:
            raise LogUnavailable(f"The log could not be cut: {error}", "Check the disk's free space.") from error

    def expire(self, table: str, before_ms: int) -> int:
        """Delete the oldest records from before this time, as many as one turn may; raises LogUnavailable."""
        oldest = f"SELECT position, timestamp_ms FROM {table} ORDER BY position LIMIT ?"
        try:
            rows: list[Any] = self._db.execute(oldest, (RECORDS_A_TURN,)).fetchall()
            old = list(takewhile(lambda row: row[1] < before_ms, rows))
            if old:
                with self._turns.one(), self._db:
                    self._db.execute(f"DELETE FROM {table} WHERE position <= ?", (old[-1][0],))
        except apsw.Error as error:
            raise LogUnavailable(f"The log could not be cut: {error}", "Check the disk's free space.") from error
        return len(old)

    def _cut_some(self, table: str, before: int) -> bool:
        """Delete what one turn may and return whether some are left."""
        with self._turns.one(), self._db:
            first = self._db.execute(f"SELECT min(position) FROM {table}").get
            if first is None or first >= before:
                return False
            self._db.execute(f"DELETE FROM {table} WHERE position < ?", (min(before, first + CUT_A_TURN),))
        return bool(first + CUT_A_TURN < before)

    def purge(self) -> None:
        """Empty the write-ahead file into the log; raises LogUnavailable when somebody keeps reading for a minute."""
        if self._db.execute("PRAGMA application_id").get != CLEAN:
            with self._turns.one():
                self._db.execute("VACUUM")
                self._db.execute(f"PRAGMA application_id={CLEAN}")
        self._db.set_busy_timeout(TRY_MS)
        deadline = time.monotonic() + PURGE_SECONDS
        while True:
            with self._turns.one():
                row = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                if row is not None and row[0] == 0:
                    return
            if time.monotonic() > deadline:
                raise LogUnavailable("Somebody reads the log without pause; its write-ahead file cannot be emptied.")
            time.sleep(0.05)
