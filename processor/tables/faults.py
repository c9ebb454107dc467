"""What can be wrong with the tables' file, and what DuckDB's errors mean: said once, with what to do."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb

from contract.errors import ThumbwheelError

# How DuckDB says within another error, such as a failed commit or checkpoint, that its memory did not suffice.
_LACKING = re.compile("out of memory|failed to pin|could not allocate|failed to allocate|failed to offload", re.I)
# What it says of a block whose checksum is another one than when it was written.
_DAMAGE = re.compile("corrupt database file|does not match stored checksum", re.I)
_LOCKED = re.compile("could not set lock|conflicting lock", re.I)
_RAISE = "Raise THUMBWHEEL_PROCESSOR_MEMORY. No event is lost: the log has them."
_FREE = "Free some disk space. No event is lost: the log has them."
_RESTART = "The process ends and starts again."
_ASIDE = "Move it aside: the next start makes it again from the log."


class StoreError(ThumbwheelError):
    """The database file cannot be opened or used."""

    status = 503


class StoreFatal(StoreError):
    """DuckDB reported an error after which the process must end and start again from the stored offsets."""


class StoreDamaged(StoreFatal):
    """The file is not what was written; no start mends it, so the process stays and says so."""


class StoreMemory(StoreError):
    """The tables' memory did not suffice; nothing of this transaction was kept, a smaller one may go through."""


class Fenced(StoreError):
    """Another process owns the file's offsets now; nothing of this batch was kept."""


def unusable(path: Path, error: duckdb.Error) -> StoreError:
    """Return the error for a file that DuckDB does not open."""
    if _LOCKED.search(str(error)):
        return StoreError(
            "store_locked", f"Another process has {path} open.", "Stop that process, or ask it over the data API."
        )
    if is_damage(error):
        return damaged(path, error)
    hint = _ASIDE
    if _lacks_disk(error):
        hint = "Free some disk space."
    elif _lacks_memory(error):
        hint = _RAISE
    return StoreError("store_unusable", f"{path} cannot be opened: {_first_line(error)}", hint)


def is_damage(error: BaseException) -> bool:
    """Say whether DuckDB read a block that is not whole."""
    return bool(_DAMAGE.search(str(error)))


def damaged(path: Path, error: BaseException) -> StoreDamaged:
    """Return the error for a file of which a block is not whole."""
    return StoreDamaged("store_damaged", f"{path} is damaged: {_first_line(error)}", _ASIDE)


def full_disk(error: OSError) -> StoreError:
    """Return the error for a disk that takes nothing more."""
    return StoreError("store_disk_full", f"The disk of the tables is full: {error.strerror}", _FREE)


def out_of_memory(error: duckdb.Error) -> StoreMemory:
    """Return the error for a question or a change that the tables' memory does not suffice for."""
    return StoreMemory("store_memory", f"The tables need more memory: {_first_line(error)}", _RAISE)


def stopped(error: duckdb.Error) -> StoreFatal:
    """Return the error for a DuckDB that goes on with nothing."""
    hint = _RAISE if _lacks_memory(error) else _RESTART
    return StoreFatal("store_fatal", f"DuckDB stopped: {_first_line(error)}", hint)


def uncommitted(error: duckdb.Error) -> StoreFatal:
    """Return the error for a commit that failed."""
    if _lacks_memory(error):
        return StoreFatal("store_memory", f"The tables need more memory: {_first_line(error)}", _RAISE)
    hint = _FREE if _lacks_disk(error) else _RESTART
    return StoreFatal("store_fatal", f"DuckDB could not commit: {_first_line(error)}", hint)


def _lacks_disk(error: BaseException) -> bool:
    return "no space" in str(error).lower()


def _lacks_memory(error: BaseException) -> bool:
    return isinstance(error, duckdb.OutOfMemoryException) or bool(_LACKING.search(str(error)))


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
