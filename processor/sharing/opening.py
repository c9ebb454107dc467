"""In: settings. Out: the parts of `ownership`, where THUMBWHEEL_PARTS says that several processors share the log."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

from eventlog.log import Log
from processor.history.replay import made_by, store_path, wanted_meta
from processor.ingest.freshness import Freshness
from processor.parts.folder import SCRATCH, PartsFolder
from processor.parts.intake import Intake
from processor.parts.publisher import Publisher
from processor.sharing.ownership import Ownership
from processor.tables.memory import tables_memory
from processor.tables.store import Store
from runtime.settings import Settings

log_lines = logging.getLogger("processor.sharing.opening")


def open_shared_store(settings: Settings) -> Store:
    """Open the tables, or begin anew when other code or settings made them.

    Nothing is lost by that: what is owned comes from the log again, what is not from those who own it.
    """
    path, wanted, memory = store_path(settings), wanted_meta(settings), tables_memory(settings)
    store = Store.open(path, memory)
    if store.offsets() and not made_by(store, wanted):
        log_lines.info("The tables were made by other code; they are made again from the log and from parts.")
        store.close()
        for file in (path, Path(f"{path}.wal")):
            file.unlink(missing_ok=True)
        store = Store.open(path, memory)
    store.set_meta(wanted)
    store.share(True)
    for leftover in path.parent.glob(f"{SCRATCH}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    return store


def rows_version(settings: Settings) -> str:
    """Return the version of the rows this release makes: parts of another one are not taken in."""
    meta = json.dumps(wanted_meta(settings), sort_keys=True)
    return hashlib.sha256(meta.encode()).hexdigest()[:8]


def share(
    settings: Settings, store: Store, log: Log, freshness: Freshness, failed: Callable[[BaseException], None]
) -> Ownership:
    """Join the processors of this log. Raises ThumbwheelError where the folder of parts cannot be used."""
    folder = PartsFolder(settings.parts)
    folder.parts()
    version = rows_version(settings)
    return Ownership(
        store, log, log.member(settings.processor_name, settings.processor_session_s),
        publisher=Publisher(store, folder, settings.processor_name, version=version),
        intake=Intake(store, folder, version),
        holds_all=settings.processor_holds == "all", freshness=freshness, owner=settings.processor_name, failed=failed,
    )  # fmt: skip
