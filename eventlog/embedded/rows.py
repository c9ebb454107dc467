"""The embedded log's tables, and rows into them.

Many rows go in with few statements: apsw gives up the interpreter's lock at each, and has to win it back from all the
threads that decode.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import apsw

HEADS = """
CREATE TABLE IF NOT EXISTS heads(topic TEXT, partition INTEGER, name TEXT, next_offset INTEGER NOT NULL,
                                 PRIMARY KEY(topic, partition)) WITHOUT ROWID;
"""
RECORDS = "CREATE TABLE IF NOT EXISTS {name}(position INTEGER PRIMARY KEY, key TEXT, value BLOB, timestamp_ms INTEGER)"
# Rows a statement; apsw keeps statements of up to 16 KiB prepared. What is left has one for each number of rows.
SIZES = (512, 256, 128, 64)


def insert_rows(db: apsw.Connection, table: str, first: int, now_ms: int, values: Sequence[str | bytes]) -> None:
    """Insert rows from this offset on; `values` are key and value of each, one after another."""
    at, rows = 0, len(values) // 2
    while left := rows - at:
        size = next((size for size in SIZES if size <= left), left)
        db.execute(_statement(table, size), (first + at, now_ms, *values[2 * at : 2 * (at + size)]))
        at += size


@cache
def _statement(table: str, rows: int) -> str:
    """Return the statement for so many rows: the first offset, the time, then key and value of each."""
    values = (f"(?1+{row},?{2 * row + 3},?{2 * row + 4},?2)" for row in range(rows))
    return f"INSERT INTO {table} VALUES {','.join(values)}"
