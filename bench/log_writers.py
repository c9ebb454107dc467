"""How long a slow writer of the embedded log waits beside fast ones, in processes of their own.

    python -m bench.log_writers [--seconds 10] [--fast 7] [--pause-ms 20]

The fast writers append 20 rows at a time without a pause; the slow one appends a single row every 20 ms. Printed: p50,
p99 and the longest wait of the slow writer and of the fast ones (no writer of 8 should wait longer than 1 s), the same
with SQLite's busy handler in place of the lock file, and the disk's own fdatasync rate before and after, which bounds
all of it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.machine import disk_rate
from contract.topics import EVENTS
from eventlog.embedded.log import SqliteLog
from eventlog.log import Entry

FAST_ROWS = 20
ROW_BYTES = 600


@contextmanager
def no_turn() -> Iterator[None]:
    """Stand in for the lock file: SQLite's own busy handler decides who writes next."""
    yield


def write(path: Path, rows: int, pause_s: float, seconds: float, lock: bool, start: Any, results: Any) -> None:
    """Append until the time is up and report every append's wait in seconds."""
    log = SqliteLog(path)
    if not lock:
        log._turn = no_turn  # type: ignore[method-assign]
    entries = [Entry(EVENTS, f"{os.getpid()}-{number}", os.urandom(ROW_BYTES)) for number in range(rows)]
    start.wait()
    waits, until = [], time.perf_counter() + seconds
    while time.perf_counter() < until:
        began = time.perf_counter()
        confirmed = log.append(entries, timeout_s=60.0)
        waits.append(time.perf_counter() - began if None not in confirmed else float("inf"))
        time.sleep(pause_s)
    results.put((rows, waits))
    log.close()


def measure(folder: Path, fast: int, pause_s: float, seconds: float, lock: bool) -> dict[str, list[list[float]]]:
    """Run one slow writer beside `fast` fast ones; return each writer's waits."""
    path = folder / ("lock" if lock else "busy") / "events.db"
    SqliteLog(path).close()
    context = multiprocessing.get_context("spawn")
    results, start = context.Queue(), context.Barrier(fast + 1)
    plans = [(1, pause_s)] + [(FAST_ROWS, 0.0)] * fast
    processes = [
        context.Process(target=write, args=(path, rows, pause, seconds, lock, start, results)) for rows, pause in plans
    ]
    for process in processes:
        process.start()
    waits: dict[str, list[list[float]]] = {"slow": [], "fast": []}
    for _ in processes:
        rows, found = results.get(timeout=seconds + 120)
        waits["slow" if rows == 1 else "fast"].append(sorted(found))
    for process in processes:
        process.join(30)
    return waits


def line(name: str, waits: list[float]) -> str:
    """Return p50, p99 and the longest of sorted waits as text, in milliseconds."""
    p50, p99 = waits[len(waits) // 2], waits[min(len(waits) - 1, len(waits) * 99 // 100)]
    return (
        f"  {name:<22} {len(waits):7,} appends   p50 {p50 * 1e3:8.1f} ms   p99 {p99 * 1e3:8.1f} ms"
        f"   longest {waits[-1] * 1e3:8.1f} ms"
    )


def report(title: str, waits: dict[str, list[list[float]]]) -> None:
    print(title)
    print(line("slow writer", waits["slow"][0]))
    print(line("all fast writers", sorted(wait for found in waits["fast"] for wait in found)))
    print(line("least served fast one", min(waits["fast"], key=len)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each of the two runs lasts")
    parser.add_argument("--fast", type=int, default=7, help="fast writers beside the slow one")
    parser.add_argument("--pause-ms", type=float, default=20.0, help="pause of the slow writer between appends")
    parser.add_argument("--folder", type=Path, help="a folder on the disk to measure (default: a temporary one)")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="log-writers-", dir=options.folder))
    try:
        print(f"before, {disk_rate(folder)}; {os.cpu_count()} cores")
        for lock, title in ((True, "turns through the lock file"), (False, "SQLite's busy handler instead")):
            report(title, measure(folder, options.fast, options.pause_ms / 1e3, options.seconds, lock))
        print(f"after, {disk_rate(folder)}")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
