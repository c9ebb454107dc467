"""The processor's store: one DuckDB file, one process, one transaction per batch.

    with Store.open(home / "processor" / "thumbwheel.duckdb") as store:
        with store.read() as cursor: cursor.execute("SELECT count(*) FROM events").fetchone()

Readers in other threads of the process use `read()`; no other process may open the file while this one has it.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import resources
from pathlib import Path
from types import TracebackType

import duckdb
import pyarrow as pa

from processor.steps.batch import Forgets
from processor.tables.admission import Gate
from processor.tables.arrow import uuid_array
from processor.tables.checkpoints import Checkpoints
from processor.tables.faults import (
    Fenced,
    StoreDamaged,
    StoreError,
    StoreFatal,
    damaged,
    full_disk,
    is_damage,
    out_of_memory,
    stopped,
    uncommitted,
    unusable,
)
from runtime.disk import check_room

log_lines = logging.getLogger("processor.tables.store")

STORAGE_VERSION = "v1.5.0"
# A checkpoint writes the last row group of each table anew, and commits wait for it.
ROW_GROUP_ROWS = 30_720
_USE = "USE tables"
_ADVANCE = """
UPDATE offsets SET next_offset = moved.next_offset
FROM (SELECT unnest(?::TEXT[]) AS topic, unnest(?::INTEGER[]) AS "partition", unnest(?::BIGINT[]) AS next_offset) moved
WHERE offsets.topic = moved.topic AND offsets."partition" = moved."partition" AND offsets.epoch = ?
"""
_SET_META = "INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value"
_MIGRATION = re.compile(r"(\d{4})_\w+\.sql\Z")


Position = tuple[str, int]


class Store:
    """The open database. Thread-safe: every `read` and `transaction` has its own cursor."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, path: Path, memory: int | None = None) -> None:
        self._connection = connection
        self.path = path
        self._memory = memory
        # After it what DuckDB holds in memory may not be what was committed, and must not reach the file.
        self._broken: StoreFatal | None = None
        self._damage: StoreDamaged | None = None
        self.epoch = 0
        self._gate = Gate()
        self._checkpoints = Checkpoints(path, memory)
        # Who is forgotten, None until read. `to_erase` wakes the eraser; `marking` and `marks_version` tell the
        # follower that prompts left the tables.
        self.forgets: Forgets | None = None
        self.to_erase = threading.Event()
        self.marking = threading.Lock()
        self.marks_version = 0
        # Whether what a batch changed is noted, to be published for other processors.
        self.publishes = False

    @classmethod
    def open(cls, path: Path, memory: int | None = None) -> Store:
        """Open or create the file, replay its WAL into it, and bring its tables up to date.

        `memory` bounds what DuckDB takes, in bytes; None leaves it to DuckDB: 80 % of what the machine has. Raises
        StoreError when another process has it open, or a newer release wrote it.
        """
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        had_wal = Path(f"{path}.wal").exists()
        try:
            connection = _connect(path, memory)
            if had_wal:
                connection.execute("CHECKPOINT")
            store = cls(connection, path, memory)
            store._migrate()
        except duckdb.Error as error:
            # A file that was cut off opens; only reading it fails.
            raise unusable(path, error) from error
        return store

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Write the WAL into the file, unless DuckDB broke down, and release it."""
        if not self._broken and not self._damage:
            with suppress(duckdb.Error):
                self._connection.execute("CHECKPOINT")
        self._connection.close()

    @contextmanager
    def read(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield a cursor that sees one consistent state of the tables; use it in one thread."""
        with self._gate.reader():
            cursor = self._cursor()
            cursor.begin()
            try:
                with self._naming():
                    yield cursor
            finally:
                with suppress(duckdb.Error):
                    cursor.rollback()
                cursor.close()

    @contextmanager
    def transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield a cursor inside one transaction: committed at the end, undone on an error.

        Raises StoreMemory when its memory did not suffice, and StoreFatal when DuckDB can no longer be used by this
        process; it is not trusted either after a commit that failed.
        """
        with self._gate.writer():
            self._refuse_if_broken()
            self._checkpoints.space(self._connection)
            try:
                with self._committed() as cursor:
                    yield cursor
            except StoreFatal as error:
                self._broken = error
                raise

    def check(self) -> None:
        """Raise StoreError when the file is known to be damaged, DuckDB broke down, or the disk takes nothing more."""
        self._refuse_if_broken()
        try:
            check_room(self.path.parent)
        except OSError as error:
            raise full_disk(error) from error

    def _refuse_if_broken(self) -> None:
        if broken := self._damage or self._broken:
            raise broken

    @contextmanager
    def _naming(self) -> Iterator[None]:
        """Raise StoreMemory where DuckDB says that its memory did not suffice, StoreDamaged where a block is not whole.

        Nothing more is written into a damaged file.
        """
        try:
            yield
        except duckdb.OutOfMemoryException as error:
            raise out_of_memory(error) from error
        except duckdb.Error as error:
            if not is_damage(error):
                raise
            first = self._damage is None
            self._damage = damaged(self.path, error)
            if first:
                log_lines.error("%s", self._damage.line())
            raise self._damage from error

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        cursor = self._connection.cursor()
        cursor.execute(_USE)
        return cursor

    @contextmanager
    def _committed(self) -> Iterator[duckdb.DuckDBPyConnection]:
        cursor = self._cursor()
        try:
            cursor.begin()
            with self._naming():
                yield cursor
            _commit(cursor)
        except (duckdb.FatalException, duckdb.InternalException) as error:
            raise stopped(error) from error
        except BaseException:
            with suppress(duckdb.Error):
                cursor.rollback()
            raise
        finally:
            cursor.close()

    def offsets(self) -> dict[Position, int]:
        """Return the next offset to read, by (topic, partition)."""
        with self.read() as cursor:
            rows = cursor.execute('SELECT topic, "partition", next_offset FROM offsets').fetchall()
        return {(topic, partition): next_offset for topic, partition, next_offset in rows}

    def claim(self, owner: str, starts: Mapping[Position, int]) -> dict[Position, int]:
        """Become the owner of these partitions and return where to read them on; earlier owners are fenced."""
        with self.transaction() as cursor:
            row = cursor.execute("SELECT coalesce(max(epoch), 0) + 1 FROM offsets").fetchone()
            self.epoch = int(row[0]) if row else 1
            for (topic, partition), start in starts.items():
                cursor.execute(
                    "INSERT INTO offsets VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET epoch = excluded.epoch, "
                    "owner = excluded.owner",
                    [topic, partition, start, self.epoch, owner],
                )
        return {place: offset for place, offset in self.offsets().items() if place in starts}

    def advance(self, cursor: duckdb.DuckDBPyConnection, positions: Mapping[Position, int]) -> None:
        """Move the offsets within the caller's transaction; raise Fenced when another process took them."""
        if not positions:
            return
        moved = [
            list(column) for column in zip(*((*place, offset) for place, offset in positions.items()), strict=True)
        ]
        row = cursor.execute(_ADVANCE, [*moved, self.epoch]).fetchone()
        if row is None or row[0] != len(positions):
            held = cursor.execute('SELECT topic, "partition" FROM offsets WHERE epoch = ?', [self.epoch]).fetchall()
            topic, partition = next(place for place in positions if place not in set(held))
            raise Fenced("fenced", f"Another processor took over {topic} partition {partition}.", "Run one per file.")

    def share(self, shared: bool) -> None:
        """Have what changes noted for other processors; without, all is published anew should there be some again."""
        self.publishes = shared
        if not shared:
            with self.transaction() as cursor:
                cursor.execute("DELETE FROM published")
                cursor.execute("DELETE FROM unpublished")

    def meta(self) -> dict[str, str]:
        """Return what the tables depend on besides the log: code version, settings digest, schema version."""
        with self.read() as cursor:
            return dict(cursor.execute("SELECT key, value FROM meta").fetchall())

    def set_meta(self, values: Mapping[str, str]) -> None:
        """Record meta values."""
        with self.transaction() as cursor:
            for key, value in values.items():
                cursor.execute(_SET_META, [key, value])

    def rewrite(self, timeout_s: float = 30.0) -> None:
        """Write the tables into a new file and swap it in: in the old one freed blocks keep what was deleted.

        Writers wait for the copy, readers only for the swap. Raises TimeoutError, with nothing changed, when somebody
        reads or writes for longer than `timeout_s`.
        """
        target = self.path.with_name(self.path.name + ".rewrite")
        for name in (target, self.path.with_name(self.path.name + ".replay")):
            for leftover in (name, Path(f"{name}.wal")):
                leftover.unlink(missing_ok=True)
        with self._gate.without_writers(timeout_s), self._naming():
            self._copy_to(target)
            with self._gate.alone(timeout_s):
                self._refuse_if_broken()
                self._connection.execute("CHECKPOINT")
                self._connection.close()
                try:
                    # What a WAL would hold is in the copy too; beside the new file it would be replayed into it.
                    Path(f"{self.path}.wal").unlink(missing_ok=True)
                    os.replace(target, self.path)
                finally:
                    self._connection = _connect(self.path, self._memory)
                    self._checkpoints = Checkpoints(self.path, self._memory)

    def _copy_to(self, target: Path) -> None:
        copying = self._cursor()
        try:
            copying.execute(_attach(target, "rewritten"))
            try:
                copying.execute("COPY FROM DATABASE tables TO rewritten")
                copying.execute("CHECKPOINT rewritten")
            finally:
                copying.execute("DETACH rewritten")
        finally:
            copying.close()

    def _migrate(self) -> None:
        # A result of the connection itself would stay open: a transaction beside which DuckDB makes no checkpoint.
        with self.read() as reading:
            has_meta = reading.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'meta'").fetchall()
        done = int(self.meta().get("schema_version", "0")) if has_meta else 0
        migrations = _migrations()
        if done > migrations[-1][0]:
            raise StoreError(
                "store_newer", f"{self.path} was written by a newer release (schema {done}).", "Upgrade, or replay."
            )
        for number, sql in migrations:
            if number <= done:
                continue
            with self.transaction() as transaction:
                transaction.execute(sql)
                transaction.execute(_SET_META, ["schema_version", str(number)])
            self._connection.execute("CHECKPOINT")


def insert(cursor: duckdb.DuckDBPyConnection, table: str, rows: pa.Table) -> None:
    """Insert an Arrow table, columns matched by name. `table` is one of ours, never from outside."""
    if rows.num_rows:
        cursor.register("arriving", rows)
        cursor.execute(f"INSERT INTO {table} BY NAME SELECT * FROM arriving")
        cursor.unregister("arriving")


def delete_keys(cursor: duckdb.DuckDBPyConnection, table: str, column: str, keys: Sequence[bytes]) -> None:
    """Delete the rows of `table` whose UUID `column` is among `keys`."""
    if keys:
        cursor.register("leaving", pa.table({"key": uuid_array(keys)}))
        cursor.execute(f"DELETE FROM {table} WHERE {column} IN (SELECT key FROM leaving)")
        cursor.unregister("leaving")


def _connect(path: Path, memory: int | None) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    try:
        if memory is not None:
            connection.execute(f"SET memory_limit = '{int(memory)}B'")
        Checkpoints(path, memory).space(connection)
        # `Store.close` does that, where it may.
        connection.execute("PRAGMA disable_checkpoint_on_shutdown")
        connection.execute("SET autoinstall_known_extensions = false")
        # `ORDER BY ... LIMIT` would look rows up by the row ids it found, which a checkpoint in between may change.
        connection.execute("SET GLOBAL late_materialization_max_rows = 0")
        connection.execute("SET temp_directory = $1", [f"{path}.tmp"])
        connection.execute(_attach(path, "tables"))
        connection.execute(_USE)
    except BaseException:
        connection.close()
        raise
    return connection


def _attach(path: Path, name: str) -> str:
    """Return what opens or creates the file, with a storage version that an older DuckDB 1.5 still reads."""
    where = str(path).replace("'", "''")
    return f"ATTACH '{where}' AS {name} (STORAGE_VERSION '{STORAGE_VERSION}', ROW_GROUP_SIZE {ROW_GROUP_ROWS})"


def _migrations() -> list[tuple[int, str]]:
    found = []
    for entry in resources.files("processor.tables").joinpath("sql").iterdir():
        if match := _MIGRATION.fullmatch(entry.name):
            found.append((int(match[1]), entry.read_text(encoding="utf-8")))
    return sorted(found)


def _commit(cursor: duckdb.DuckDBPyConnection) -> None:
    try:
        cursor.commit()
    except duckdb.IntegrityError:
        raise
    except duckdb.Error as error:
        # DuckDB 2.0 undoes such a commit in part: keys can stay in the indexes without their rows. The file is whole.
        raise uncommitted(error) from error
