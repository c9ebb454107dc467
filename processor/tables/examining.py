"""Reading every row once, to find a damaged block before a page or a batch meets it.

DuckDB checks a block when it reads it, so a file can be damaged where nobody has looked.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import duckdb

from processor.tables.faults import StoreError, unusable
from processor.tables.store import Store

log_lines = logging.getLogger("processor.tables.examining")

# Rows read at once: a checkpoint and a rewrite of the file wait for the reading.
ROWS = 500_000
_TABLES = """
SELECT database_name || '.' || schema_name || '.' || table_name FROM duckdb_tables()
WHERE database_name = 'tables' AND NOT internal
ORDER BY estimated_size, 1
"""
Read = Callable[[], AbstractContextManager[duckdb.DuckDBPyConnection]]


def examine(read: Read, stopping: threading.Event | None = None) -> int:
    """Read all rows of all tables, a stretch at a time, and return how many; raises what the reading raises."""
    with read() as cursor:
        tables = [str(name) for (name,) in cursor.execute(_TABLES).fetchall()]
    return sum(_examine_table(read, table, stopping) for table in tables)


def _examine_table(read: Read, table: str, stopping: threading.Event | None) -> int:
    first, seen = 0, 0
    while not (stopping and stopping.is_set()):
        with read() as cursor:
            # Of all columns of a row: only what is used is read.
            found = cursor.execute(
                f"SELECT count(*), max(hash(one)), (SELECT max(rowid) FROM {table}) FROM {table} one "
                "WHERE rowid >= $first AND rowid < $first + $rows",
                {"first": first, "rows": ROWS},
            ).fetchone()
        assert found is not None
        seen, first = seen + found[0], first + ROWS
        if found[2] is None or first > found[2]:
            break
    return seen


def examine_file(path: Path) -> int:
    """Read all rows of a file that no process has open, which stays as it is. Raises StoreError."""
    connection = duckdb.connect()
    try:
        where = str(path).replace("'", "''")
        connection.execute(f"ATTACH '{where}' AS tables (READ_ONLY)")
        return examine(connection.cursor)
    except duckdb.Error as error:
        raise unusable(path, error) from error
    finally:
        connection.close()


class Examiner:
    """Reads a store's rows once, in a thread; the store notes and logs what is damaged."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tables-examiner", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout_s: float = 1.0) -> None:
        """End after the stretch in hand."""
        self._stopping.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            examine(self._store.read, self._stopping)
        except (StoreError, duckdb.Error) as error:
            log_lines.warning("The tables could not be looked through: %s", str(error).splitlines()[0])
