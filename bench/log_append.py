"""The embedded log against bare SQLite: rows/s when the same batches are committed.

    python -m bench.log_append [--seconds 8] [--rows 20] [--bytes 600]

Both sides write the same rows, 20 in a commit, each commit synced: 2 writer processes through `eventlog.embedded` with
one reader beside them, and 2 writer processes of bare apsw inserts (same schema, same pragmas, SQLite's own busy
handler). The two take turns, second by second, so that a busy disk meets both alike. Printed: rows/s of each, and the
ratio (target 0.5).
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import shutil
import tempfile
import time
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import apsw

from bench.machine import disk_rate
from contract.topics import EVENTS
from eventlog.embedded.log import SqliteLog
from eventlog.log import Entry

WRITERS = 2
SLICE_SECONDS = 1.0


def rows(number: int, count: int, size: int) -> list[tuple[str, bytes]]:
    """Return one batch: keys as interaction ids, values of about `size` bytes."""
    rng = random.Random(number)
    return [(f"interaction-{rng.getrandbits(64):016x}", rng.randbytes(size)) for _ in range(count)]


def write_log(folder: Path, batch: list[tuple[str, bytes]], go: Event, stop: Event, results: Any) -> None:
    """Append batches through the embedded log while `go` is set."""
    log = SqliteLog(folder / "log" / "events.db")
    entries = [Entry(EVENTS, key, value) for key, value in batch]
    written = 0
    while not stop.is_set():
        if not go.wait(0.1):
            continue
        written += sum(position is not None for position in log.append(entries))
    results.put(("log", written))
    log.close()


def write_bare(folder: Path, batch: list[tuple[str, bytes]], go: Event, stop: Event, results: Any) -> None:
    """Insert the same batches with apsw alone while `go` is set."""
    db = apsw.Connection(str(folder / "bare.db"))
    db.set_busy_timeout(30_000)
    db.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=2000")
    written = 0
    while not stop.is_set():
        if not go.wait(0.1):
            continue
        now = time.time_ns() // 1_000_000
        db.execute("BEGIN IMMEDIATE")
        db.executemany("INSERT INTO log(key, value, timestamp_ms) VALUES(?, ?, ?)", [(*row, now) for row in batch])
        db.execute("COMMIT")
        written += len(batch)
    results.put(("bare", written))
    db.close()


def read_log(folder: Path, stop: Event, results: Any) -> None:
    """Read along, as a processor does."""
    log = SqliteLog(folder / "log" / "events.db")
    reader = log.reader({(EVENTS, 0): 0})
    count = 0
    while not stop.is_set():
        count += len(reader.poll(wait_s=0.2))
    results.put(("read", count))
    reader.close()
    log.close()


def measure(folder: Path, seconds: float, batch: list[tuple[str, bytes]]) -> tuple[dict[str, int], float]:
    """Let both sides write in turn for `seconds` each; return rows by side, and the seconds each had."""
    SqliteLog(folder / "log" / "events.db").close()
    db = apsw.Connection(str(folder / "bare.db"))
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("CREATE TABLE log(position INTEGER PRIMARY KEY, key TEXT, value BLOB, timestamp_ms INTEGER)")
    db.close()
    context = multiprocessing.get_context("spawn")
    results, stop = context.Queue(), context.Event()
    turns = {"log": context.Event(), "bare": context.Event()}
    sides = {"log": write_log, "bare": write_bare}
    processes = [
        context.Process(target=sides[side], args=(folder, batch, turns[side], stop, results))
        for side in sides
        for _ in range(WRITERS)
    ]
    processes.append(context.Process(target=read_log, args=(folder, stop, results)))
    for process in processes:
        process.start()
    time.sleep(1.5)
    slices = max(1, round(seconds / SLICE_SECONDS))
    for _ in range(slices):
        for go in turns.values():
            go.set()
            time.sleep(SLICE_SECONDS)
            go.clear()
            time.sleep(0.1)
    stop.set()
    written: dict[str, int] = {}
    for _ in processes:
        side, count = results.get(timeout=60)
        written[side] = written.get(side, 0) + count
    for process in processes:
        process.join(30)
    return written, slices * SLICE_SECONDS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8.0, help="how long each side writes")
    parser.add_argument("--rows", type=int, default=20, help="rows in a commit")
    parser.add_argument("--bytes", type=int, default=600, help="bytes in a row's value")
    parser.add_argument("--folder", type=Path, help="a folder on the disk to measure (default: a temporary one)")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="log-append-", dir=options.folder))
    try:
        disk = disk_rate(folder)
        written, seconds = measure(folder, options.seconds, rows(0, options.rows, options.bytes))
    finally:
        shutil.rmtree(folder)
    log, bare = written["log"] / seconds, written["bare"] / seconds
    print(f"{WRITERS} writers, {options.rows} rows of {options.bytes} bytes a commit, {os.cpu_count()} cores; {disk}")
    print(f"embedded log, with 1 reader (it read {written['read']} of {written['log']}): {log:10,.0f} rows/s")
    print(f"bare SQLite inserts of the same batches: {bare:26,.0f} rows/s")
    print(f"ratio: {log / bare:.2f}")


if __name__ == "__main__":
    main()
