"""When the trainer trains without being asked. Pure: what is new, what ran before, and the time in; a reason out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from runtime.settings import Settings
from trainer.loop.jobs import Record

# Fewer new rows than this are not worth a run, however long ago the last one was.
TIMED_MIN_PAIRS = 50
# After a failed run the next unasked one waits this long, doubled per failure in a row, at most a day.
FIRST_PAUSE = timedelta(hours=1)
LONGEST_PAUSE = timedelta(days=1)


def due(
    ready: Mapping[str, Any], records: Sequence[Record], first_seen: datetime, settings: Settings, now: datetime
) -> str | None:
    """Return why a run is due, or None.

    `ready` is the answer of `/api/v1/readiness`, `records` the project's runs, oldest first; before the first run the
    time counts from `first_seen`. Imported rows count unless THUMBWHEEL_TRAIN_ON_IMPORT is false.
    """
    new = max(_new(ready, "pairs", settings), _new(ready, "unpaired", settings))
    last = datetime.fromisoformat(records[-1].started_at) if records else first_seen
    if now < paused_until(records):
        return None
    if new >= settings.train_min_pairs:
        return f"{new} rows are new"
    if new >= TIMED_MIN_PAIRS and now - last >= timedelta(days=settings.train_every_days):
        return f"{settings.train_every_days:g} days have passed and {new} rows are new"
    return None


def _new(ready: Mapping[str, Any], table: str, settings: Settings) -> int:
    """Return how many new rows of a table count: imported ones where THUMBWHEEL_TRAIN_ON_IMPORT says so."""
    imported = 0 if settings.train_on_import else int(ready.get(f"imported_{table}") or 0)
    return int(ready.get(f"new_{table}") or 0) - imported


def paused_until(records: Sequence[Record]) -> datetime:
    """Return until when unasked runs wait because the last ones failed."""
    failures = 0
    for record in reversed(records):
        if record.state != "failed":
            break
        failures += 1
    ended_at = records[-1].ended_at if failures else None
    if ended_at is None:
        return datetime.min.replace(tzinfo=UTC)
    pause: timedelta = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures - 1, 10))
    return datetime.fromisoformat(ended_at) + pause
