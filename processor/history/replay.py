"""Rebuild the tables from the log: into a second file, compared, then swapped in.

A row depends on event bytes, code and settings only; `meta` names the rows' version and the settings. When they differ
from what the file was written with, the processor replays at its start.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from contract.topics import TOPICS
from eventlog.log import Log
from eventlog.opening import open_log
from processor.history.archive import with_archive
from processor.ingest.beginning import check_beginning
from processor.ingest.runner import BATCH_RECORDS, store_records
from processor.tables.digest import table_digests
from processor.tables.memory import tables_memory
from processor.tables.rows_version import makes_same_rows, rows_version
from processor.tables.store import Position, Store
from runtime.settings import Settings

log_lines = logging.getLogger("processor.history.replay")

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class ReplayReport:
    """What a replay did. `differing` names tables whose rows changed; None when there was nothing to compare."""

    records: int
    seconds: float
    digests: dict[str, str]
    differing: tuple[str, ...] | None


def store_path(settings: Settings) -> Path:
    """Return where the processor keeps its tables."""
    return settings.home / "processor" / "thumbwheel.duckdb"


def wanted_meta(settings: Settings) -> dict[str, str]:
    """Return what `meta` must say for the tables to be up to date. No setting shapes rows so far."""
    shaping: dict[str, str] = {}
    return {
        "code_version": rows_version(),
        "settings_digest": hashlib.sha256(json.dumps(shaping, sort_keys=True).encode()).hexdigest()[:16],
    }


def made_by(store: Store, wanted: Mapping[str, str]) -> bool:
    """Say whether the tables were made by the code and settings that `wanted_meta` names."""
    held = store.meta()
    return makes_same_rows(held) and held.get("settings_digest") == wanted["settings_digest"]


def open_store(settings: Settings, log: Log, progress: Progress | None = None) -> Store:
    """Open the tables; when other code or settings wrote them, replay first."""
    path, memory = store_path(settings), tables_memory(settings)
    store = Store.open(path, memory)
    wanted = wanted_meta(settings)
    if made_by(store, wanted):
        if wanted.items() - store.meta().items():
            store.set_meta(wanted)
        store.share(False)
        return store
    if store.offsets():
        log_lines.info("The tables were made by other code; replaying the log.")
        rebuilt = rebuild(log, path, wanted, progress, memory)
        store.close()
        os.replace(rebuilt, path)
        return Store.open(path, memory)
    store.set_meta(wanted)
    return store


def replay(settings: Settings, progress: Progress | None = None) -> ReplayReport:
    """Rebuild the tables from the log and swap them in. Stop the processor first.

    Raises StoreError while a processor has the file open.
    """
    started = time.perf_counter()
    path = store_path(settings)
    # Two files are open at a time.
    memory = tables_memory(settings) // 2
    log = with_archive(open_log(settings.log_url, settings.partitions or None), settings.archive)
    try:
        with Store.open(path, memory) as live:
            offsets = live.offsets()
            before = table_digests(live) if offsets else None
            rebuilt = rebuild(log, path, wanted_meta(settings), progress, memory)
            with Store.open(rebuilt, memory) as fresh:
                after = table_digests(fresh)
                records = _count(log, fresh.offsets())
        os.replace(rebuilt, path)
    finally:
        log.close()
    differing = None if before is None else tuple(name for name in after if before[name] != after[name])
    return ReplayReport(records, time.perf_counter() - started, after, differing)


def rebuild(
    log: Log, path: Path, meta: dict[str, str], progress: Progress | None = None, memory: int | None = None
) -> Path:
    """Read the whole log, as long as it is now, into a file beside `path`; return that file.

    `memory` is what `Store.open` takes.

    Raises ThumbwheelError where the log was cut and no archive holds its beginning.
    """
    target = path.with_name(path.name + ".replay")
    for leftover in (target, Path(f"{target}.wal")):
        with suppress(FileNotFoundError):
            leftover.unlink()
    places = [(topic, partition) for topic in TOPICS for partition in range(log.partitions(topic))]
    starts: dict[Position, int] = log.start_offsets(places)
    check_beginning(log, starts)
    ends = log.end_offsets(places)
    total = sum(ends[place] - starts[place] for place in places)
    with Store.open(target, memory) as store:
        reached = store.claim("replay", starts)
        reader = log.reader(starts)
        try:
            done = 0
            while any(reached[place] < ends[place] for place in places):
                records = reader.poll(BATCH_RECORDS, 1.0)
                records = [r for r in records if r.offset < ends[r.topic, r.partition]]
                if records:
                    store_records(store, records)
                    done += len(records)
                    reached = store.offsets()
                if progress is not None:
                    progress(done, total)
        finally:
            reader.close()
        store.set_meta(meta)
    return target


def _count(log: Log, offsets: dict[Position, int]) -> int:
    starts = log.start_offsets(offsets)
    return sum(offset - starts[place] for place, offset in offsets.items())
