"""How the processor's rate holds as its tables grow: ten million stored events against the first hundred thousand.

    python -m bench.processor_growth [--events 1_000_000] [--ids v7 random] [--memory 1GiB] [--wal 128MB] [--folder F]
    python -m bench.processor_growth --events 10_000_000 --ids v7       # 15 GB of disk, half an hour

In: a log made on the way and not kept: the stories of `bench.processor`, 100,000 events again and again, every id in
them made new each time, so that nothing is stored twice. Ids are UUIDs of version 7, as the SDKs make them, or random
ones, as a product's own may be. Each batch of 10,000 records goes through `processor.ingest.runner.store_records`:
decoded, folded with what the tables hold, derived, inserted, committed, one after the other (the running processor
overlaps some of that). Only that is timed. Each kind of ids has a process of its own. Out, at 100 thousand events, at
every tripling, and at the end: over the last 100,000 events/s and processor time an event; the longest batch since the
line before (a checkpoint lies within a commit: this is the pause a reader of fresh events sees), resident memory and
its peak (the bench's own stories, named first, are part of both), the most that indexes took and the file's size.
`--memory` is what THUMBWHEEL_PROCESSOR_MEMORY sets; without it DuckDB takes up to 80 % of the machine's. `--wal` has a
checkpoint follow a WAL of this size, however large the file is. Last the rate at the end against the rate at the
beginning (target: 0.7 with version 7), the same of processor time, which other work on the machine disturbs less, and
the rate over all events.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.machine import memory_mib, peak_mib
from bench.processor import events
from contract.topics import EVENTS, TOPICS
from eventlog.log import Record, entry_for
from processor.ingest.runner import BATCH_RECORDS, store_records, tune_interpreter
from processor.tables import checkpoints
from processor.tables.store import Store
from runtime.settings import parse_bytes

# Events of one repetition, and the stretch a rate is taken over.
STORY = 100_000
# Milliseconds between the ids of one repetition and the next; one is made in less.
SPAN_MS = 60_000
TARGET = 0.7
_V7 = re.compile(rb"([0-9a-f]{8})-([0-9a-f]{4})-7(?=[0-9a-f]{3}-[89ab])")
_V4 = re.compile(rb"([0-9a-f]{8})(?=-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab])")


def later(repetition: int) -> Callable[[bytes], bytes]:
    """Return what moves every version 7 id in a record on in time."""

    def moved(found: re.Match[bytes]) -> bytes:
        milliseconds = int(found[1] + found[2], 16) + repetition * SPAN_MS
        digits = b"%012x" % milliseconds
        return digits[:8] + b"-" + digits[8:] + b"-7"

    return lambda value: _V7.sub(moved, value)


def elsewhere(repetition: int) -> Callable[[bytes], bytes]:
    """Return what moves every random id in a record to another place; no two repetitions share one."""
    mask = repetition * 0x9E3779B1 & 0xFFFFFFFF

    def moved(found: re.Match[bytes]) -> bytes:
        return b"%08x" % (int(found[1], 16) ^ mask)

    return lambda value: _V4.sub(moved, value)


def batches(count: int, ids: str) -> Iterator[list[Record]]:
    """Yield so many records in batches of the processor's size."""
    story = [entry_for(event).value for event in events(STORY, ids)][:STORY]
    renaming = later if ids == "v7" else elsewhere
    offset = 0
    while offset < count:
        renamed = renaming(offset // STORY)
        start = offset % STORY
        values = story[start : start + min(BATCH_RECORDS, count - offset)]
        # The key and the time of a record make no row.
        yield [Record(EVENTS, 0, offset + place, "", renamed(value), 0) for place, value in enumerate(values)]
        offset += len(values)


def marks(count: int) -> Iterator[int]:
    """Yield how many events are stored when a line is printed."""
    mark = STORY
    while mark < count:
        yield mark
        mark *= 3
    yield count


def grow(count: int, ids: str, folder: Path, memory: int | None = None) -> dict[str, float]:
    """Store so many events and return the figures; lines are printed on the way."""
    path = folder / f"{ids}.duckdb"
    awaited = deque(marks(count))
    recent: deque[tuple[float, float]] = deque(maxlen=STORY // BATCH_RECORDS)
    stored, longest, paused, indexes, spent, walls, used = 0, 0.0, 0.0, 0.0, 0.0, [], []
    with Store.open(path, memory) as store:
        store.claim("bench", {(topic, 0): 0 for topic in TOPICS})
        for records in batches(count, ids):
            if not stored:
                print(f"{ids}: the bench itself takes {memory_mib(os.getpid()):,.0f} MiB", flush=True)
            began, used_before = time.perf_counter(), time.process_time()
            store_records(store, records)
            recent.append((time.perf_counter() - began, time.process_time() - used_before))
            paused = max(paused, recent[-1][0])
            spent += recent[-1][0]
            stored += len(records)
            indexes = max(indexes, indexes_mib(store))
            if stored >= awaited[0]:
                awaited.popleft()
                events_there = len(recent) * BATCH_RECORDS
                walls.append(sum(wall for wall, _ in recent) / events_there)
                used.append(sum(cpu for _, cpu in recent) / events_there)
                print(f"{ids}: at {stored:>10,} {1 / walls[-1]:>7,.0f} events/s, {used[-1] * 1e6:.0f} us each, "
                      f"longest batch {paused:.2f} s, {memory_mib(os.getpid()):,.0f} MiB, "
                      f"peak {peak_mib(os.getpid()):,.0f} MiB, indexes {indexes:,.0f} MiB, "
                      f"file {path.stat().st_size / 2**30:.2f} GiB", flush=True)  # fmt: skip
                longest, paused = max(longest, paused), 0.0
        row = store_count(store)
    if row != stored:
        raise SystemExit(f"error: {stored} events went in, the tables hold {row}.")
    cpu_ratio, rate = used[0] / used[-1], stored / spent
    return {"ratio": walls[0] / walls[-1], "cpu_ratio": cpu_ratio, "longest_s": longest, "rate": rate}


def indexes_mib(store: Store) -> float:
    """Return what the loaded part of the primary keys' indexes takes, in MiB."""
    with store.read() as cursor:
        row = cursor.execute("SELECT memory_usage_bytes FROM duckdb_memory() WHERE tag = 'ART_INDEX'").fetchone()
    return int(row[0]) / 2**20 if row else 0.0


def store_count(store: Store) -> int:
    """Return how many events the tables hold."""
    with store.read() as cursor:
        row = cursor.execute("SELECT count(*) FROM events").fetchone()
    return int(row[0]) if row else 0


def in_own_process(given: argparse.Namespace, ids: str) -> None:
    """Run one kind of ids in a new interpreter; what it prints is shown."""
    command = [sys.executable, "-m", "bench.processor_growth", "--events", str(given.events), "--ids", ids]
    for name in ("memory", "wal", "folder"):
        command += [f"--{name}", getattr(given, name)] if getattr(given, name) else []
    subprocess.run(command, check=True)


def run(given: argparse.Namespace) -> None:
    """Measure these kinds of ids."""
    if len(given.ids) > 1:
        for ids in given.ids:
            in_own_process(given, ids)
        return
    tune_interpreter()
    if given.wal:
        checkpoints.LEAST = checkpoints.MOST = parse_bytes(given.wal)
    memory = parse_bytes(given.memory) if given.memory else None
    with tempfile.TemporaryDirectory(prefix="growth-", dir=given.folder) as name:
        figures = grow(given.events, given.ids[0], Path(name), memory)
    print(f"{given.ids[0]}: {figures['ratio']:.2f} of the rate at {STORY:,} events (target with v7: {TARGET}), "
          f"{figures['cpu_ratio']:.2f} by processor time, longest batch {figures['longest_s']:.2f} s, "
          f"{figures['rate']:,.0f} events/s over all")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--ids", nargs="+", choices=["v7", "random"], default=["v7", "random"])
    parser.add_argument("--memory", help="what DuckDB may take, such as 1GiB (default: 80 %% of the machine's)")
    parser.add_argument("--folder", help="where the file lies (default: the folder for temporary files)")
    parser.add_argument("--wal", help="how large the WAL is at a checkpoint (default: as the file's size has it)")
    run(parser.parse_args())


if __name__ == "__main__":
    main()
