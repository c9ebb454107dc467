"""The embedded log: SQLite in WAL mode through apsw, durable by fsync, several writer processes, ordered offsets.

One table per (topic, partition), the offset its primary key. Threads of one process share a commit (group
commit): one writer thread takes what waits, commits once, answers all. Processes take turns through a lock file,
because SQLite's busy handler starves writers. Readers wait on a named pipe each that writers poke after a commit.
Local file systems only, no mmap.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zlib import crc32

import apsw

from eventlog.errors import LogUnavailable, SettingsError
from eventlog.log import Entry, Position, Record
from eventlog.pipes import Pipe, poke_all
from eventlog.topics import RUNS, TOPICS

# 3.51.3 fixes the WAL-reset bug that can lose committed pages with several writers; 3.44.6 and 3.50.7 carry the fix.
SAFE_SQLITE = (3, 51, 3)
PATCHED_SQLITE = {(3, 44): 6, (3, 50): 7}
# One commit takes at most this much, so that a large import does not hold back the small writes beside it.
MAX_COMMIT_BYTES = 4 * 1024 * 1024
MAX_COMMIT_ENTRIES = 2000
# Appends that wait in memory; past it append() refuses, so that memory stays bounded.
MAX_WAITING_BYTES = 64 * 1024 * 1024
WAL_CHECKPOINT_PAGES = 2000

_SETUP = """
PRAGMA page_size=4096;
PRAGMA journal_mode=WAL;
PRAGMA synchronous=FULL;
PRAGMA mmap_size=0;
"""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS heads(topic TEXT, partition INTEGER, name TEXT, next_offset INTEGER NOT NULL,
                                 PRIMARY KEY(topic, partition)) WITHOUT ROWID;
"""
_TABLE = "CREATE TABLE IF NOT EXISTS {name}(position INTEGER PRIMARY KEY, key TEXT, value BLOB, timestamp_ms INTEGER)"
_INSERT = "INSERT INTO {name} VALUES(?, ?, ?, ?)"
_SELECT = "SELECT position, key, value, timestamp_ms FROM {name} WHERE position >= ? ORDER BY position LIMIT ?"


def check_sqlite_version(version: str) -> None:
    """Raise SettingsError when this SQLite can lose committed pages with several writers."""
    numbers = tuple(int(part) for part in version.split("."))
    if numbers >= SAFE_SQLITE or numbers[2] >= PATCHED_SQLITE.get((numbers[0], numbers[1]), 10**9):
        return
    raise SettingsError(
        "sqlite_version",
        f"SQLite {version} can lose committed pages with several writers.",
        "Install apsw 3.51.3 or newer.",
    )


class _Waiting:
    """One append that waits for its commit."""

    __slots__ = ("entries", "future", "size")

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = entries
        self.size = sum(len(entry.value) + 64 for entry in entries)
        self.future: Future[list[Position | None]] = Future()


class SqliteLog:
    """The embedded `Log`. One instance per process; open it after a fork."""

    promise = "fsync"

    def __init__(self, path: str | Path, partitions: int = 1) -> None:
        check_sqlite_version(apsw.sqlite_lib_version())
        self.path = Path(path)
        self._folder = self.path.parent
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock_file = os.open(self._folder / (self.path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
            with self._turn():
                self._db = self._connect()
                self._names = self._create(partitions)
        except (OSError, apsw.Error) as error:
            raise LogUnavailable(
                f"Cannot open the log {self.path}: {error}", "Check the folder and its free space."
            ) from error
        self._queue: list[_Waiting] = []
        self._queued_bytes = 0
        self._wakeup = threading.Condition()
        self._closing = False
        self._local = threading.local()
        self._failure: str | None = None
        self._writer = threading.Thread(target=self._write_loop, name="log-writer", daemon=True)
        self._writer.start()

    # -- opening

    def _connect(self) -> apsw.Connection:
        db = apsw.Connection(str(self.path))
        db.set_busy_timeout(30_000)
        db.execute(_SETUP)
        db.execute(f"PRAGMA wal_autocheckpoint={WAL_CHECKPOINT_PAGES}")
        return db

    def _create(self, partitions: int) -> dict[str, list[str]]:
        """Create missing topics and return each topic's table names by partition."""
        self._db.execute(_SCHEMA)
        names: dict[str, list[str]] = {}
        with self._db:
            for topic in TOPICS:
                count = self._db.execute("SELECT count(*) FROM heads WHERE topic=?", (topic,)).get
                wanted = 1 if topic == RUNS else partitions
                if count not in (0, wanted):
                    raise SettingsError(
                        "log_partitions", f"{topic} has {count} partitions, {wanted} were asked for.",
                        "The number is fixed at creation; copy the log to change it.",
                    )  # fmt: skip
                names[topic] = []
                for partition in range(wanted):
                    table = f"log_{TOPICS.index(topic)}_{partition}"
                    names[topic].append(table)
                    self._db.execute(_TABLE.format(name=table))
                    self._db.execute("INSERT OR IGNORE INTO heads VALUES(?, ?, ?, 0)", (topic, partition, table))
        return names

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Hold the lock file: writers of different processes take turns."""
        fcntl.flock(self._lock_file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._lock_file, fcntl.LOCK_UN)

    # -- writing

    def append(self, entries: Sequence[Entry], timeout_s: float = 10.0) -> list[Position | None]:
        """Append in one commit and return positions once synced; all None when the commit failed or took too long."""
        if not entries:
            return []
        for entry in entries:
            if entry.topic not in self._names:
                raise SettingsError("log_topic", f"Unknown topic {entry.topic!r}.", f"Use one of {TOPICS}.")
        waiting = _Waiting(entries)
        with self._wakeup:
            if self._closing:
                raise LogUnavailable("The log is closed.")
            if self._queued_bytes + waiting.size > MAX_WAITING_BYTES and self._queue:
                return [None] * len(entries)
            self._queue.append(waiting)
            self._queued_bytes += waiting.size
            self._wakeup.notify()
        try:
            return waiting.future.result(timeout_s)
        except FutureTimeout:
            return [None] * len(entries)

    def _take(self) -> list[_Waiting]:
        """Wait for appends and take as many as one commit may hold; empty when the log closes."""
        with self._wakeup:
            while not self._queue:
                if self._closing:
                    return []
                self._wakeup.wait()
            taken, size, count = 0, 0, 0
            for waiting in self._queue:
                if taken and (size + waiting.size > MAX_COMMIT_BYTES or count >= MAX_COMMIT_ENTRIES):
                    break
                taken, size, count = taken + 1, size + waiting.size, count + len(waiting.entries)
            batch, self._queue = self._queue[:taken], self._queue[taken:]
            self._queued_bytes -= size
            return batch

    def _write_loop(self) -> None:
        while batch := self._take():
            try:
                answers = self._commit(batch)
                self._failure = None
            except (apsw.Error, OSError) as error:
                self._failure = str(error)
                answers = [[None] * len(waiting.entries) for waiting in batch]
            for waiting, answer in zip(batch, answers, strict=True):
                if not waiting.future.done():
                    waiting.future.set_result(answer)

    def _commit(self, batch: list[_Waiting]) -> list[list[Position | None]]:
        now_ms = time.time_ns() // 1_000_000
        with self._turn():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                answers = self._insert(batch, now_ms)
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        poke_all(self._folder)
        return answers

    def _insert(self, batch: list[_Waiting], now_ms: int) -> list[list[Position | None]]:
        rows: dict[tuple[str, int], list[tuple[int, str, bytes, int]]] = {}
        heads: dict[tuple[str, int], int] = {}
        answers: list[list[Position | None]] = []
        for waiting in batch:
            answer: list[Position | None] = []
            for topic, key, value in waiting.entries:
                place = (topic, crc32(key.encode()) % len(self._names[topic]))
                if place not in heads:
                    heads[place] = self._head(*place)
                    rows[place] = []
                rows[place].append((heads[place], key, value, now_ms))
                answer.append(Position(*place, heads[place]))
                heads[place] += 1
            answers.append(answer)
        for (topic, partition), values in rows.items():
            self._db.executemany(_INSERT.format(name=self._names[topic][partition]), values)
            self._db.execute(
                "UPDATE heads SET next_offset=? WHERE topic=? AND partition=?",
                (heads[topic, partition], topic, partition),
            )
        return answers

    def _head(self, topic: str, partition: int) -> int:
        return int(
            self._db.execute("SELECT next_offset FROM heads WHERE topic=? AND partition=?", (topic, partition)).get
        )

    # -- reading

    def _reading(self) -> apsw.Connection:
        """Return this thread's read connection."""
        db = getattr(self._local, "db", None)
        if db is None:
            db = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READWRITE)
            db.set_busy_timeout(30_000)
            db.execute("PRAGMA mmap_size=0")
            self._local.db = db
        return db

    def partitions(self, topic: str) -> int:
        """Return how many partitions the topic has."""
        return len(self._names[topic])

    def start_offset(self, topic: str, partition: int) -> int:
        """Return the offset of the oldest record still there; the end when there is none."""
        table = self._names[topic][partition]
        first = self._reading().execute(f"SELECT min(position) FROM {table}").get
        return self.end_offset(topic, partition) if first is None else int(first)

    def end_offset(self, topic: str, partition: int) -> int:
        """Return the offset the next record will get."""
        row = self._reading().execute("SELECT next_offset FROM heads WHERE topic=? AND partition=?", (topic, partition))
        return int(row.get)

    def reader(self, positions: Mapping[tuple[str, int], int]) -> SqliteReader:
        """Return a reader that starts at the given next offsets, by (topic, partition)."""
        return SqliteReader(self.path, {place: self._names[place[0]][place[1]] for place in positions}, positions)

    def check(self) -> None:
        """Raise LogUnavailable when the last commit failed or the log cannot be read."""
        if self._failure:
            raise LogUnavailable(f"The last commit failed: {self._failure}", "Check the disk's free space.")
        if not self._writer.is_alive():
            raise LogUnavailable("The log's writer has stopped.", "Restart this process.")
        try:
            self.end_offset(RUNS, 0)
        except apsw.Error as error:
            raise LogUnavailable(f"The log cannot be read: {error}", "Check the folder.") from error

    def close(self, timeout_s: float = 5.0) -> None:
        """Commit what waits, answer it, and stop."""
        with self._wakeup:
            if self._closing:
                return
            self._closing = True
            self._wakeup.notify_all()
        self._writer.join(timeout_s)
        if not self._writer.is_alive():
            self._db.close()
            os.close(self._lock_file)


class SqliteReader:
    """Reads on from given offsets; waits on a named pipe that writers poke."""

    def __init__(
        self, path: Path, tables: Mapping[tuple[str, int], str], positions: Mapping[tuple[str, int], int]
    ) -> None:
        self._db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        self._db.set_busy_timeout(30_000)
        self._db.execute("PRAGMA mmap_size=0")
        self._tables = dict(tables)
        self._next = dict(positions)
        self._places = list(self._tables)
        self._pipe = Pipe(path.parent)

    def poll(self, max_records: int = 1000, wait_s: float = 1.0) -> list[Record]:
        """Return the next records; wait up to `wait_s` seconds for the first one."""
        deadline = time.monotonic() + wait_s
        while True:
            self._pipe.drain()
            records = self._read(max_records)
            remaining = deadline - time.monotonic()
            if records or remaining <= 0 or self._pipe.woken():
                return records
            # A second at most: a writer killed between its commit and its poke must not hold the reader up.
            self._pipe.wait(min(remaining, 1.0))

    def _read(self, max_records: int) -> list[Record]:
        records: list[Record] = []
        for place in self._places:
            if len(records) >= max_records:
                break
            select = _SELECT.format(name=self._tables[place])
            found: list[Any] = list(self._db.execute(select, (self._next[place], max_records - len(records))))
            if found:
                self._next[place] = found[-1][0] + 1
                records.extend(Record(*place, *row) for row in found)
        # The next poll begins behind the partition that was read last, so that none starves.
        self._places.append(self._places.pop(0))
        return records

    def wake(self) -> None:
        """Make a `poll` that waits in another thread return at once."""
        self._pipe.wake()

    def close(self) -> None:
        """Release the connection and the pipe."""
        self._pipe.close()
        self._db.close()
