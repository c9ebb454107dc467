"""How far the WAL of the tables grows before DuckDB writes it into the file: the further, the larger the file is.

A checkpoint writes every part of the indexes anew that changed since the last one, and with random ids that is nearly
all of them: at ten million events more than the WAL holds. So that this costs an event about the same at any size, the
WAL may grow with the file. It bounds how long a start after a crash takes (some 5 ms a megabyte), the memory for
what is not in the file yet, and how long a commit waits for the checkpoint within it.
"""

from __future__ import annotations

import os
from pathlib import Path

import duckdb

LEAST = 128 * 10**6
MOST = 512 * 10**6
FILE_SHARE = 4
# Of what DuckDB may take.
MEMORY_SHARE = 8
STEP = 64 * 10**6


def checkpoint_at(file_bytes: int, memory: int | None) -> int:
    """Return the size of the WAL, in bytes, that a checkpoint follows."""
    most = MOST if memory is None else min(MOST, memory // MEMORY_SHARE)
    return max(LEAST, min(most, file_bytes // FILE_SHARE // STEP * STEP))


class Checkpoints:
    """Keeps one connection's setting at what suits its file."""

    def __init__(self, path: Path, memory: int | None) -> None:
        self._path = path
        self._memory = memory
        self._at = 0

    def space(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Look at the file's size and have the next checkpoint wait for as large a WAL as that calls for."""
        try:
            size = os.stat(self._path).st_size
        except FileNotFoundError:
            size = 0
        if (wanted := checkpoint_at(size, self._memory)) != self._at:
            # Other threads use the connection itself.
            cursor = connection.cursor()
            cursor.execute(f"SET GLOBAL checkpoint_threshold = '{wanted}B'")
            cursor.close()
            self._at = wanted
