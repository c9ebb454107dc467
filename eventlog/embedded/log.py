"""The embedded log: SQLite in WAL mode through apsw, durable by fsync, several writer processes, ordered offsets.

One table per (topic, partition), the offset its primary key. Threads of one process share a commit (group
commit): one writer thread takes what waits, commits once, answers all. Processes take turns through a lock file,
because SQLite's busy handler starves writers. Readers wait on a named pipe each that writers poke after a commit.
Local file systems only, no mmap.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import apsw

from contract.errors import LogUnavailable, SettingsError
from contract.topics import EVENTS, REJECTED, RUNS, TOPICS, partition_of
from eventlog.embedded.checkpoint import Checkpointer
from eventlog.embedded.eraser import CLEAN, SqliteEraser
from eventlog.embedded.pipes import poke_all
from eventlog.embedded.reader import SqliteReader, connect_to_read
from eventlog.embedded.rows import HEADS, RECORDS, insert_rows
from eventlog.embedded.turns import Turns
from eventlog.embedded.waiting import Place, Waiting
from eventlog.log import Entry, Position, offset_not_in_log
from eventlog.membership import Member, SoleOwner
from runtime.disk import check_room

# 3.51.3 fixes the WAL-reset bug that can lose committed pages with several writers; 3.44.6 and 3.50.7 carry the fix.
SAFE_SQLITE = (3, 51, 3)
PATCHED_SQLITE = {(3, 44): 6, (3, 50): 7}
# One commit takes at most this much, so that a large import does not hold back the small writes beside it.
MAX_COMMIT_BYTES = 4 * 1024 * 1024
MAX_COMMIT_ENTRIES = 2000
# Appends that wait in memory; past it append() refuses, so that memory stays bounded.
MAX_WAITING_BYTES = 64 * 1024 * 1024
# The write-ahead file is emptied after so many pages, beside the writer; by the writer itself when it is so long.
CHECKPOINT_PAGES = 2000
LATE_CHECKPOINT_PAGES = 8 * CHECKPOINT_PAGES

# How long check() waits for a trial commit after a failed one, and close() for the writer after answering callers.
PROBE_SECONDS = 2.0
_NO_ROOM = "Check the disk's free space."

_SETUP = """
PRAGMA page_size=4096;
PRAGMA synchronous=FULL;
PRAGMA mmap_size=0;
PRAGMA secure_delete=ON;
"""
# Into the write-ahead file, by this connection.
_PAGES_WRITTEN = apsw.SQLITE_DBSTATUS_CACHE_WRITE


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


class SqliteLog:
    """The embedded `Log`. One instance per process; open it after a fork."""

    promise, keeps_all = "fsync", True

    def __init__(self, path: str | Path, partitions: int | None = None) -> None:
        """Open or create the log; `partitions` is checked against an existing one (1 for a new one unless told)."""
        check_sqlite_version(apsw.sqlite_lib_version())
        self.path = Path(path)
        self._folder = self.path.parent
        self._pid = os.getpid()
        self._open(partitions)
        self._places = {topic: [(topic, n) for n in range(len(names))] for topic, names in self._names.items()}
        self._queue: list[Waiting] = []
        self._queued_bytes = 0
        self._wakeup = threading.Condition()
        self._closing = False
        self._local = threading.local()
        self._failure: str | None = None
        self._writer = threading.Thread(target=self._write_loop, name="log-writer", daemon=True)
        self._writer.start()

    # -- opening

    def _open(self, partitions: int | None) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._turns = Turns(self.path)
        except OSError as error:
            raise self._cannot_open(error) from error
        try:
            with self._turn():
                self._db = self._connect()
                try:
                    self._names = self._create(partitions)
                    self._checkpointer = Checkpointer(self.path, self._connect())
                except BaseException:
                    self._db.close()
                    raise
        except (OSError, apsw.Error) as error:
            self._turns.close()
            raise self._cannot_open(error) from error
        except BaseException:
            self._turns.close()
            raise

    def _cannot_open(self, error: Exception) -> LogUnavailable:
        return LogUnavailable(f"Cannot open the log {self.path}: {error}", "Check the folder and its free space.")

    def _connect(self) -> apsw.Connection:
        # Content: readable by its owner only; SQLite gives the write-ahead file the same mode.
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        db = apsw.Connection(str(self.path))
        db.set_busy_timeout(30_000)
        mode = db.execute("PRAGMA journal_mode=WAL").get
        if mode != "wal":
            db.close()
            raise OSError(f"this file system does not support SQLite's WAL mode (got {mode})")
        db.execute(_SETUP).fetchall()  # To its end: apsw stops at each row, and some of these answer with one.
        db.execute(f"PRAGMA wal_autocheckpoint={LATE_CHECKPOINT_PAGES}")
        return db

    def _create(self, partitions: int | None) -> dict[str, list[str]]:
        """Create missing topics and return each topic's table names by partition."""
        self._db.execute(HEADS)
        names: dict[str, list[str]] = {}
        with self._db:
            if not self._db.execute("SELECT count(*) FROM heads").get:
                # From its first page on nothing that was written twice stays behind.
                self._db.execute(f"PRAGMA application_id={CLEAN}")
            for topic in TOPICS:
                count = self._db.execute("SELECT count(*) FROM heads WHERE topic=?", (topic,)).get
                wanted = 1 if topic == RUNS else partitions or count or 1
                if count not in (0, wanted):
                    raise SettingsError(
                        "log_partitions", f"{topic} has {count} partitions, {wanted} were asked for.",
                        "The number is fixed at creation; copy the log to change it.",
                    )  # fmt: skip
                names[topic] = []
                for partition in range(wanted):
                    table = f"log_{TOPICS.index(topic)}_{partition}"
                    names[topic].append(table)
                    self._db.execute(RECORDS.format(name=table))
                    self._db.execute("INSERT OR IGNORE INTO heads VALUES(?, ?, ?, 0)", (topic, partition, table))
        return names

    def _turn(self) -> AbstractContextManager[None]:
        return self._turns.one()

    # -- writing

    def append(self, entries: Sequence[Entry], timeout_s: float = 10.0) -> list[Position | None]:
        """Append in one commit and return positions once synced; all None when the commit failed or took too long."""
        if os.getpid() != self._pid:
            raise LogUnavailable("This log was opened before a fork.", "Open it in the worker process.")
        if not entries:
            return []
        return self._wait_for_commit(Waiting(entries, [self._place(entry) for entry in entries]), timeout_s)

    def _place(self, entry: Entry) -> Place:
        places = self._places.get(entry.topic)
        if places is None:
            raise SettingsError("log_topic", f"Unknown topic {entry.topic!r}.", f"Use one of {TOPICS}.")
        return places[0] if len(places) == 1 else places[partition_of(entry.key, len(places))]

    def _wait_for_commit(self, waiting: Waiting, timeout_s: float) -> list[Position | None]:
        with self._wakeup:
            if self._closing:
                raise LogUnavailable("The log is closed.")
            if self._queued_bytes + waiting.size > MAX_WAITING_BYTES and self._queue:
                return [None] * len(waiting)
            self._queue.append(waiting)
            self._queued_bytes += waiting.size
            self._wakeup.notify()
        return waiting.positions(timeout_s)

    def _take(self) -> list[Waiting]:
        """Wait for appends and take as many as one commit may hold; empty when the log closes."""
        with self._wakeup:
            while not self._queue:
                if self._closing:
                    return []
                self._wakeup.wait()
            taken, size, rows = 0, 0, 0
            for waiting in self._queue:
                if taken and (size + waiting.size > MAX_COMMIT_BYTES or rows >= MAX_COMMIT_ENTRIES):
                    break
                taken, size, rows = taken + 1, size + waiting.size, rows + len(waiting)
            batch, self._queue = self._queue[:taken], self._queue[taken:]
            self._queued_bytes -= size
            return batch

    def _write_loop(self) -> None:
        while batch := self._take():
            try:
                self._commit(batch)
            except (apsw.Error, OSError) as error:
                self._failure = str(error)
                for waiting in batch:
                    waiting.answer(durable=False)
                continue
            self._failure = None
            # Before the answers: a reader must not lie behind a caller that was told. What is committed stays so.
            with suppress(OSError):
                poke_all(self._folder)
            for waiting in batch:
                waiting.answer(durable=True)
            if self._db.status(_PAGES_WRITTEN)[0] >= CHECKPOINT_PAGES:
                self._db.status(_PAGES_WRITTEN, True)
                self._checkpointer.ask()

    def _commit(self, batch: list[Waiting]) -> None:
        now_ms = time.time_ns() // 1_000_000
        with self._turn():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._insert_all(batch, now_ms)
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _insert_all(self, batch: list[Waiting], now_ms: int) -> None:
        # By place: the first offset, and key and value of all rows one after another.
        tables: dict[Place, tuple[int, list[str | bytes]]] = {}
        for waiting in batch:
            for place, rows in waiting.rows.items():
                if place not in tables:
                    tables[place] = (self._head(*place), [])
                first, values = tables[place]
                waiting.first[place] = first + len(values) // 2
                values += rows
        if not tables:
            # A trial commit has to write something, or it would prove nothing.
            self._db.execute(f"PRAGMA user_version={now_ms % 2**31}")
        for (topic, partition), (first, values) in tables.items():
            insert_rows(self._db, self._names[topic][partition], first, now_ms, values)
            self._db.execute(
                "UPDATE heads SET next_offset=? WHERE topic=? AND partition=?",
                (first + len(values) // 2, topic, partition),
            )

    def _head(self, topic: str, partition: int) -> int:
        return int(
            self._db.execute("SELECT next_offset FROM heads WHERE topic=? AND partition=?", (topic, partition)).get
        )

    # -- reading

    def _reading(self) -> apsw.Connection:
        """Return this thread's read connection."""
        db = getattr(self._local, "db", None)
        if db is None:
            db = self._local.db = connect_to_read(self.path)
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

    def start_offsets(self, places: Collection[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """Return the offsets of the oldest records still there."""
        return {place: self.start_offset(*place) for place in places}

    def end_offsets(self, places: Collection[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """Return the offsets the next records will get."""
        return {place: self.end_offset(*place) for place in places}

    def reader(self, positions: Mapping[tuple[str, int], int]) -> SqliteReader:
        """Return a reader that starts at the given next offsets, by (topic, partition).

        Raises LogUnavailable when the log does not hold one of them; expired rejected events are passed over.
        """
        for (topic, partition), offset in positions.items():
            start, end = self.start_offset(topic, partition), self.end_offset(topic, partition)
            if offset > end or (offset < start and topic != REJECTED):
                raise offset_not_in_log(f"{topic} {partition}: {offset} of {start}..{end}")
        return SqliteReader(self.path, {place: self._names[place[0]][place[1]] for place in positions}, positions)

    def member(self, name: str, session_s: float) -> Member:
        """Return the owner of all partitions: there is one processor per embedded log."""
        return SoleOwner(self.partitions(EVENTS))

    # -- taking away

    def overwrite(self, topic: str, partition: int, values: Mapping[int, tuple[str, bytes]]) -> None:
        """Put another key and value of the same lengths in the place of records, by offset; nobody else waits long.

        Call `purge` afterwards: until then the write-ahead file may hold what was there.
        """
        with SqliteEraser(self.path) as eraser:
            eraser.overwrite(self._names[topic][partition], values)

    def purge(self) -> None:
        """Empty the write-ahead file, so that no file of the log holds what was overwritten; raises LogUnavailable."""
        with SqliteEraser(self.path) as eraser:
            eraser.purge()

    def cut(self, topic: str, partition: int, before: int) -> None:
        """Delete the records below this offset; offsets stay as they are. Raises LogUnavailable."""
        with SqliteEraser(self.path) as eraser:
            eraser.cut(self._names[topic][partition], before)

    def expire(self, topic: str, partition: int, before_ms: int) -> int:
        """Delete some of the oldest records from before this time and return how many. Raises LogUnavailable."""
        with SqliteEraser(self.path) as eraser:
            return eraser.expire(self._names[topic][partition], before_ms)

    # -- health

    def check(self) -> None:
        """Raise LogUnavailable when the log cannot be read, its disk is full, or the last and a trial commit failed."""
        if not self._writer.is_alive():
            raise LogUnavailable("The log's writer has stopped.", "Restart this process.")
        try:
            self.end_offset(RUNS, 0)
        except apsw.Error as error:
            raise LogUnavailable(f"The log cannot be read: {error}", "Check the folder.") from error
        try:
            # A trial commit may fit into what the files have room for, and the events after it not.
            check_room(self._folder, doubtful=self._failure is not None)
        except OSError as error:
            raise LogUnavailable(f"The disk of the log is full: {error.strerror}", _NO_ROOM) from error
        if self._failure:
            # Nobody may send events to a process that is not ready, so it has to find out by itself.
            self._wait_for_commit(Waiting((), ()), PROBE_SECONDS)
        if self._failure:
            raise LogUnavailable(f"The last commit failed: {self._failure}", _NO_ROOM)

    def close(self, timeout_s: float = 5.0) -> None:
        """Commit what waits, answer it, and stop; what is not committed in time is answered as not known durable."""
        with self._wakeup:
            if self._closing:
                return
            self._closing = True
            self._wakeup.notify_all()
        self._writer.join(timeout_s)
        if self._writer.is_alive():
            with self._wakeup:
                unanswered, self._queue = self._queue, []
            for waiting in unanswered:
                waiting.answer(durable=False)
            return
        self._checkpointer.close(timeout_s)
        self._db.close()
        self._turns.close()
