"""Deletes the oldest records of the embedded log, beside running writers and readers."""

from __future__ import annotations

import fcntl
import os
from contextlib import closing
from pathlib import Path

import apsw

from eventlog.errors import LogUnavailable

# One turn deletes at most so many, so that appends do not wait for it.
RECORDS_A_TURN = 5000


def cut_table(path: Path, table: str, before: int) -> None:
    """Delete the records of one partition's `table` below this offset; raises LogUnavailable."""
    try:
        with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)) as db:
            db.set_busy_timeout(30_000)
            db.execute("PRAGMA synchronous=FULL").fetchall()
            # A lock file of its own: the log's writer in this process takes turns like any other.
            lock = os.open(path.parent / (path.name + ".lock"), os.O_RDWR)
            try:
                while _cut_some(db, lock, table, before):
                    continue
            finally:
                os.close(lock)
    except (apsw.Error, OSError) as error:
        raise LogUnavailable(f"The log {path} could not be cut: {error}", "Check the disk's free space.") from error


def _cut_some(db: apsw.Connection, lock: int, table: str, before: int) -> bool:
    """Delete up to RECORDS_A_TURN records and return whether some are left."""
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        with db:
            first = db.execute(f"SELECT min(position) FROM {table}").get
            if first is not None and first < before:
                db.execute(f"DELETE FROM {table} WHERE position < ?", (min(before, first + RECORDS_A_TURN),))
        return first is not None and first + RECORDS_A_TURN < before
    finally:
        fcntl.flock(lock, fcntl.LOCK_UN)
