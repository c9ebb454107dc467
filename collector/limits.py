"""How much: a rate per key and per actor, and how many requests may be in flight."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from collector.buckets import Buckets
from collector.errors import busy, too_many
from contract.errors import SettingsError
from runtime.settings import Settings

# A limit stops a loop, not a product: it is an average over so many seconds, which may all come at once.
BURST_SECONDS = 10.0
# How many keys, and actors, are told apart at a time; each takes 24 bytes a worker.
KEYS = 4_096
ACTORS = 65_536
# Each waits for one durable write. Fewer than the server has threads, so that there is one left to say 503.
MAX_IN_FLIGHT = 96


class Rates:
    """Token buckets (Tanenbaum, Computer Networks, section 5.3) of keys and actors, shared by a collector's workers."""

    def __init__(self, folder: Path, rate: float, actor_rate: float = 0.0, *, burst_s: float = BURST_SECONDS) -> None:
        """Rates in events a second; 0 is no limit, and without one for keys there is none for actors. Raises OSError.

        `burst_s`: how many seconds of its rate may come at once.
        """
        self._rate = rate
        self._actor_rate = actor_rate if rate > 0 else 0.0
        self._keys = Buckets(folder / "keys", KEYS, burst_s) if self._rate > 0 else None
        self._actors = Buckets(folder / "actors", ACTORS, burst_s) if self._actor_rate > 0 else None

    def take(self, key_id: str, events: int) -> None:
        """Count events; raises 429 with the wait when the key has used up its rate."""
        if self._keys is not None and (lacking := self._keys.take({key_id: events / self._rate})):
            raise too_many(max(1, math.ceil(lacking[key_id])))

    def hold_back(self, project: str, events: Mapping[str, int]) -> dict[str, float]:
        """Count events by actor; return the actors who sent too many, none of whose events counts, and their waits."""
        if self._actors is None:
            return {}
        names = {f"{project}\0{actor}": actor for actor in events}
        lacking = self._actors.take({name: events[actor] / self._actor_rate for name, actor in names.items()})
        return {names[name]: seconds for name, seconds in lacking.items()}


def rates_folder(settings: Settings) -> Path:
    """Return where the workers of a collector share what was taken."""
    return settings.home / "run" / f"collector-{settings.collector_bind.port}-rates"


def open_rates(settings: Settings) -> Rates:
    """Return the rates of the settings; raises SettingsError where the home cannot be written."""
    try:
        return Rates(rates_folder(settings), settings.collector_rate, settings.collector_actor_rate)
    except OSError as error:
        raise home_unwritable(settings, error) from error


def home_unwritable(settings: Settings, error: OSError) -> SettingsError:
    """Return the error for a home in which the workers cannot share what they count."""
    return SettingsError(
        "home_unwritable", f"What workers count cannot be kept under {settings.home}: {error.strerror or error}.",
        "Make THUMBWHEEL_HOME writable.", "THUMBWHEEL_HOME",
    )  # fmt: skip


class Slots:
    """A bounded number of requests in flight; past it the answer is 503 at once, never a growing queue."""

    def __init__(self, most: int = MAX_IN_FLIGHT) -> None:
        self._free = threading.BoundedSemaphore(most)

    @contextmanager
    def one(self) -> Iterator[None]:
        """Hold a slot; raises 503 when none is free."""
        if not self._free.acquire(blocking=False):
            raise busy()
        try:
            yield
        finally:
            self._free.release()
