"""Kills or breaks the process it is loaded into at an armed point; put this folder on PYTHONPATH.

    FAULT_POINT=mid-append FAULT_AFTER=17 python -m collector    # kill -9 of itself at the 17th pass
    FAULT_POINT=offsets-first python -m processor                # a broken build: offsets are committed before rows

The product knows nothing of this: functions are wrapped by name when their module has been loaded. A point that names
nothing ends the process with status 70.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import itertools
import os
import select
import signal
import sys
import time
from collections.abc import Sequence
from types import ModuleType
from typing import Any

# By name: the module, the function, and whether the kill comes before or after the call.
POINTS = {
    "parsed": ("collector.events", "read_batch", "after"),
    "before-append": ("collector.intake", "Intake._append", "before"),
    "mid-append": ("eventlog.embedded.log", "SqliteLog._insert_all", "after"),
    "synced": ("eventlog.embedded.log", "SqliteLog._commit", "after"),
    "sent": ("eventlog.kafka_log.sender", "_hand_over", "after"),
    "acknowledged": ("eventlog.kafka_log.sender", "Sender.send", "after"),
    "mid-transaction": ("processor.ingest.runner", "write_rows", "after"),
    "committed": ("processor.ingest.runner", "store_batch", "after"),
    "run-recorded": ("trainer.loop.jobs", "write_record", "after"),
    "half-taken-in": ("trainer.loop.registry", "sync", "before"),
    "taken-in": ("trainer.loop.registry", "Registry.take_in", "after"),
    "aliases-stored": ("trainer.loop.registry", "Registry.store", "after"),
    "facts-appended": ("trainer.loop.outbox", "append_all", "after"),
    "offsets-first": ("processor.ingest.runner", "store_batch", "broken"),
    "slow-batch": ("processor.ingest.runner", "store_batch", "slow"),
}


def wrapped(function: Any, when: str, after: int) -> Any:
    """Return the function with the fault in it."""
    passes = itertools.count(1)

    def killing(*args: Any, **kwargs: Any) -> Any:
        number = next(passes)
        if when == "before" and number == after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*args, **kwargs)
        if when == "after" and number == after:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    def slow(*args: Any) -> Any:
        if next(passes) == 2:
            time.sleep(after)
        return function(*args)

    def broken(store: Any, batch: Any) -> None:
        with store.transaction() as cursor:
            store.advance(cursor, batch.decoded.positions)
        if next(passes) == after:
            os.kill(os.getpid(), signal.SIGKILL)
        function(store, batch)

    return {"before": killing, "after": killing, "slow": slow, "broken": broken}[when]


class Arming(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Wraps one function once its module is loaded."""

    def __init__(self, module: str, function: str, when: str, after: int) -> None:
        self._module, self._function, self._when, self._after = module, function, when, after
        self._loader: Any = None

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        """Take over the loading of the one module."""
        if name != self._module:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        assert spec is not None
        self._loader, spec.loader = spec.loader, self
        return spec

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """Leave it to the module's own loader."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Load, then wrap."""
        self._loader.exec_module(module)
        *owners, name = self._function.split(".")
        place: Any = getattr(module, owners[0], None) if owners else module
        if not hasattr(place, name):
            print(f"fault point {self._module}.{self._function} is not there", file=sys.stderr, flush=True)
            os._exit(70)
        setattr(place, name, wrapped(getattr(place, name), self._when, self._after))


if "FAKETIME_TIMESTAMP_FILE" in os.environ:
    # Under libfaketime 0.9.10 with an unfaked monotonic clock, every time.sleep of Python 3.11 raises EINVAL.
    def sleep(seconds: float) -> None:
        """Sleep, with a relative time."""
        select.select([], [], [], seconds)

    time.sleep = sleep

if point := os.environ.get("FAULT_POINT"):
    sys.meta_path.insert(0, Arming(*POINTS[point], int(os.environ.get("FAULT_AFTER", "1"))))
