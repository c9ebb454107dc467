"""Log in, DuckDB out: poll, the steps, one transaction per batch with the offsets it moved.

A polling thread reads the next batches and makes their rows while this one is written (`processor.ingest.ahead`). A
batch closes at 10,000 records or 32 MiB of them, when the writer is free, or when nothing came for LINGER_S. A crash
anywhere leaves either all of a batch or none of it.
"""

from __future__ import annotations

import gc
import logging
import queue
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext, suppress

import duckdb

from contract.errors import LogUnavailable
from contract.topics import REJECTED, TOPICS
from eventlog.log import Log, Reader, Record
from processor import metrics
from processor.ingest.ahead import POISON, Ahead
from processor.ingest.batch import Batch, Made, make_rows
from processor.ingest.beginning import check_beginning
from processor.ingest.freshness import Freshness
from processor.ingest.known import load_held
from processor.parts.contents import note_changes
from processor.privacy.forgetting import brings_forget, load_forgets, note_erasures, take_out
from processor.steps import decode
from processor.steps.batch import Decoded, Forgets
from processor.steps.decode import refusal
from processor.tables.arrow import REPLACED_BY
from processor.tables.faults import StoreMemory
from processor.tables.store import Position, Store, delete_keys, insert

log_lines = logging.getLogger("processor.ingest.runner")

BATCH_RECORDS = 10_000
# Above what so many usual events take; as many of the largest ones would take gigabytes.
BATCH_BYTES = 32 * 1024 * 1024
LINGER_S = 0.02
POLL_WAIT_S = 1.0
LAG_EVERY_S = 1.0
# Batches made and not yet taken by the writer: as many as one takes whose commit makes a checkpoint (two or three
# times as long as others), so that neither side waits.
READY_BATCHES = 3


def tune_interpreter() -> None:
    """Set what suits batches, for the whole process.

    A batch's many short-lived tuples pass without a collection: half a million objects are there when five batches
    are. The thread that inserts needs the interpreter for some microseconds at a time, about ten times a table, and
    would wait 5 ms each time for the one that makes rows.
    """
    gc.set_threshold(1_000_000, 20, 100)
    sys.setswitchinterval(0.0005)


class Runner:
    """Follows the log into the store until `stop`. `failed` is called once, with what ended it."""

    def __init__(
        self, store: Store, log: Log, owner: str = "processor-0", *,
        failed: Callable[[BaseException], None] | None = None, batch_records: int = BATCH_RECORDS,
        freshness: Freshness | None = None,
    ) -> None:  # fmt: skip
        self._store = store
        self._log = log
        self._owner = owner
        self._failed = failed
        self._batch_records = batch_records
        self._freshness = freshness or Freshness()
        self._watched: frozenset[Position] = frozenset()
        self._stopping = threading.Event()
        self._ahead = Ahead(store)
        self._ready: queue.Queue[tuple[Sequence[Record], Batch] | None] = queue.Queue(maxsize=READY_BATCHES)
        self._reader: Reader | None = None
        self._threads: list[threading.Thread] = []
        self._watcher = threading.Thread(target=self._watch, name="processor-lag", daemon=True)
        self.error: BaseException | None = None

    @property
    def running(self) -> bool:
        """Say whether a thread that moves records has yet to end."""
        return any(thread.is_alive() for thread in self._threads)

    def start(self, places: Collection[Position] | None = None, watched: Collection[Position] = ()) -> None:
        """Claim these partitions (default: all) and begin, in threads; `watched` are looked at for lag too."""
        if places is None:
            places = [(topic, partition) for topic in TOPICS for partition in range(self._log.partitions(topic))]
        starts = self._log.start_offsets(places)
        known = self._store.offsets()
        check_beginning(self._log, {place: start for place, start in starts.items() if place not in known})
        self._watched = frozenset(places) | frozenset(watched)
        metrics.LAG.clear()
        positions = self._store.claim(self._owner, starts)
        # Rejections are kept for 30 days only: what left the log while we were away is not missed.
        gone = {place: max(offset, starts[place]) for place, offset in positions.items() if place[0] == REJECTED}
        self._reader = self._log.reader(positions | gone)
        for name, work in (("processor-poll", self._poll), ("processor-write", self._write)):
            thread = threading.Thread(target=self._guarded, args=(work,), name=name, daemon=True)
            self._threads.append(thread)
            thread.start()
        self._watcher.start()

    def stop(self, timeout_s: float = 8.0) -> None:
        """End after the batch in hand."""
        self._stopping.set()
        self._ahead.close()
        if self._reader is not None:
            self._reader.wake()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(timeout_s)
        if self._watcher.is_alive():
            # It may wait for brokers that are away.
            self._watcher.join(1.0)
        if self._reader is not None and not self.running:
            self._reader.close()
            self._reader = None

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  (a thread reports whatever ended it)
            self._stopping.set()
            self._ahead.close()
            if self.error is None:
                self.error = error
                log_lines.error("The processor stops: %s: %s", type(error).__name__, str(error).splitlines()[:1])
                if self._failed is not None:
                    self._failed(error)

    def _poll(self) -> None:
        reader = self._reader
        assert reader is not None
        pending: list[Record] = []
        size = 0
        while not self._stopping.is_set():
            wait_s = 0.0 if len(pending) >= self._batch_records else (LINGER_S if pending else POLL_WAIT_S)
            found = reader.poll(self._batch_records - len(pending), wait_s) if wait_s else []
            pending.extend(found)
            size += sum([len(record.value) for record in found])
            full = len(pending) >= self._batch_records or size >= BATCH_BYTES
            # While one batch is written the rows of the next are made, once it is full or nothing more comes.
            if pending and (full or self._ahead.unwritten <= (0 if found else 1)):
                self._hand_over((pending, self._ahead.prepare(decode(pending))))
                pending, size = [], 0
        self._hand_over(None)

    def _hand_over(self, item: tuple[Sequence[Record], Batch] | None) -> None:
        while not self._stopping.is_set():
            with suppress(queue.Full):
                self._ready.put(item, timeout=0.2)
                return

    def _write(self) -> None:
        while not self._stopping.is_set():
            try:
                item = self._ready.get(timeout=0.5)
            except queue.Empty:
                continue
            if item is None:
                return
            records, batch = item
            whole = store_records(self._store, records, batch if batch.made else None)
            self._ahead.written(batch, whole)

    def _watch(self) -> None:
        """Show how far the tables are behind, beside the threads that would wait for the answer."""
        while not self._stopping.is_set():
            try:
                self._show_lag()
            except Exception:
                if not self._stopping.is_set():
                    log_lines.exception("How far the processor is behind could not be shown")
            self._stopping.wait(LAG_EVERY_S)

    def _show_lag(self) -> None:
        held = self._store.offsets()
        reached = {place: held.get(place, 0) for place in self._watched}
        behind = records_behind(self._log, reached)
        if behind is None or self._stopping.is_set():
            return
        self._freshness.sample(reached, behind)
        for (topic, partition), records in behind.items():
            metrics.LAG.labels(topic, partition).set(records)


def records_behind(log: Log, positions: Mapping[Position, int]) -> dict[Position, int] | None:
    """Return how many records lie after these next offsets; None while the log is away."""
    try:
        ends = log.end_offsets(positions)
    except LogUnavailable as error:
        log_lines.warning("How far the processor is behind is not known: %s", error.message)
        return None
    return {place: max(0, ends[place] - offset) for place, offset in positions.items()}


def store_records(store: Store, records: Sequence[Record], batch: Batch | None = None) -> bool:
    """Store records in one transaction; one that cannot be stored becomes a row of `rejected`.

    `batch` holds the rows made of them ahead. Returns False when they were not stored as they are. Raises StoreMemory
    when not even one at a time goes through.
    """
    started = time.perf_counter()
    whole = True
    try:
        store_batch(store, batch or Batch(decode(records)))
    except (*POISON, StoreMemory) as error:
        whole = False
        if isinstance(error, StoreMemory):
            if len(records) == 1:
                raise
            log_lines.warning("%d records are stored in halves. %s", len(records), error.line())
        if len(records) > 1:
            middle = len(records) // 2
            store_records(store, records[:middle])
            store_records(store, records[middle:])
            return whole
        _reject(store, records[0], error)
    metrics.BATCH.observe(len(records))
    metrics.COMMIT.observe(time.perf_counter() - started)
    return whole


def store_batch(store: Store, batch: Batch) -> None:
    """Run the steps on a batch, unless that is done, and commit its rows with its offsets."""
    decoded, new = batch.decoded, Forgets()
    # Marks are numbered anew when somebody is forgotten: not while the follower adds some.
    with store.marking if brings_forget(decoded) else nullcontext(), store.transaction() as cursor:
        if batch.made:
            made = batch.made
            write_rows(cursor, made)
        else:
            forgets, new = load_forgets(cursor, store, decoded)
            made = _carry_out(cursor, decoded, forgets)
        store.advance(cursor, decoded.positions)
        if store.publishes:
            note_changes(cursor, decoded, whole=bool(new))
        if new:
            take_out(cursor, new, forgets, _carry_out)
            store.marks_version += 1
        erased = made.remaining.erased
        note_erasures(cursor, erased)
    if new or erased:
        metrics.FORGOTTEN.inc(len(erased))
        store.to_erase.set()


def _carry_out(cursor: duckdb.DuckDBPyConnection, decoded: Decoded, forgets: Forgets) -> Made:
    made = make_rows(decoded, load_held(cursor, decoded, forgets))
    write_rows(cursor, made)
    return made


def write_rows(cursor: duckdb.DuckDBPyConnection, made: Made) -> None:
    """Replace and add a batch's rows, a table at a time."""
    for table, keys in made.gone.items():
        delete_keys(cursor, table, REPLACED_BY[table], keys)
    for table, rows in made.added.items():
        insert(cursor, table, rows)
        metrics.ROWS.labels(table).inc(rows.num_rows)


def _reject(store: Store, record: Record, error: BaseException) -> None:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    row = refusal(record, "store_refused", f"{type(error).__name__}: {reason}")
    after = {(record.topic, record.partition): record.offset + 1}
    store_batch(store, Batch(Decoded(rejected=[row], positions=after, records=1)))
