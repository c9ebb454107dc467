"""The `Log` protocol: an append-only, partitioned, durable sequence of records.

Two implementations behave alike and pass the same tests: `eventlog.embedded` and `eventlog.kafka_log`;
`eventlog.opening` opens the one that an address names.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from msgspec import Struct

from contract.errors import LogUnavailable
from contract.events import Event, encode
from contract.topics import topic_for
from eventlog.membership import Member


class Entry(Struct, frozen=True, gc=False):
    """One record to append. Entries with equal keys keep their order in one partition."""

    topic: str
    key: str
    value: bytes


class Position(Struct, frozen=True, gc=False):
    """Where a record was written."""

    topic: str
    partition: int
    offset: int


class Record(NamedTuple):
    """One record as read. `timestamp_ms` is Unix time in milliseconds."""

    topic: str
    partition: int
    offset: int
    key: str
    value: bytes
    timestamp_ms: int


class Reader(Protocol):
    """Reads on from given positions, in order within a partition."""

    def poll(self, max_records: int = 1000, wait_s: float = 1.0) -> list[Record]:
        """Return the next records; wait up to `wait_s` seconds for the first one, without spinning."""

    def wake(self) -> None:
        """Make a `poll` that waits in another thread return at once."""

    def close(self) -> None:
        """Release what the reader holds."""


class Log(Protocol):
    """An event log. Thread-safe; open it after a fork."""

    @property
    def promise(self) -> str:
        """Return what stands behind an acknowledged append: fsync, replicated, memory of one broker."""

    @property
    def keeps_all(self) -> bool:
        """Say whether records stay until `cut`, rejected events apart; else they may have expired."""

    def append(self, entries: Sequence[Entry], timeout_s: float = 10.0) -> list[Position | None]:
        """Append and return one position per entry once durable; None where that is not known (send again)."""

    def partitions(self, topic: str) -> int:
        """Return how many partitions the topic has."""

    def start_offset(self, topic: str, partition: int) -> int:
        """Return the offset of the oldest record still there."""

    def end_offset(self, topic: str, partition: int) -> int:
        """Return the offset the next record will get."""

    def start_offsets(self, places: Collection[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """Return `start_offset` of many (topic, partition), asked for together."""

    def end_offsets(self, places: Collection[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """Return `end_offset` of many (topic, partition), asked for together."""

    def reader(self, positions: Mapping[tuple[str, int], int]) -> Reader:
        """Return a reader that starts at the given next offsets, by (topic, partition)."""

    def member(self, name: str, session_s: float) -> Member:
        """Take part, under a name of its own, in sharing the partitions; one unheard of for `session_s` seconds is out.

        Returns before partitions are assigned. Raises LogUnavailable.
        """

    def check(self) -> None:
        """Raise LogUnavailable when the log cannot be reached."""

    def close(self, timeout_s: float = 5.0) -> None:
        """Flush and release; appends that still wait are answered first."""


class StoredLog(Log, Protocol):
    """A log that can be cut at its beginning."""

    def cut(self, topic: str, partition: int, before: int) -> None:
        """Drop records before this offset; offsets of those that stay do not move."""


@runtime_checkable
class Erasable(Protocol):
    """A log whose records can be overwritten in place, which forgetting a person needs; Kafka's cannot."""

    def overwrite(self, topic: str, partition: int, values: Mapping[int, tuple[str, bytes]]) -> None:
        """Put another key and value of the same lengths in the place of records, by offset."""

    def purge(self) -> None:
        """Leave no copy of what was overwritten in any file of the log."""


@runtime_checkable
class Expiring(Protocol):
    """A log that drops no record by itself."""

    def expire(self, topic: str, partition: int, before_ms: int) -> int:
        """Delete some of the oldest records, none from this Unix time or later, and return how many; 0: none is left.

        Raises LogUnavailable.
        """


def offset_not_in_log(where: str) -> LogUnavailable:
    """Return the error for a next offset that the log does not hold: reading on from elsewhere would lose records."""
    return LogUnavailable(
        f"The log does not hold the next offset to read ({where}).",
        "It was cut, or is another log than before: restore it, or rebuild the database with `thumbwheel replay`.",
    )


def entry_for(event: Event) -> Entry:
    """Return the record an event is kept as: its topic, its key (the interaction id), its canonical JSON."""
    key = getattr(event, "interaction_id", None) or event.event_id
    return Entry(topic_for(event.type), key, encode(event))


def append_events(log: Log, events: Iterable[Event], timeout_s: float = 10.0) -> list[Position | None]:
    """Append stamped events; one position per event, None where durability is not known."""
    return log.append([entry_for(event) for event in events], timeout_s)


def append_all(log: Log, events: Iterable[Event], timeout_s: float = 10.0) -> list[Position]:
    """Append stamped events or raise LogUnavailable; after an error all may be sent again."""
    positions: list[Position] = []
    for position in append_events(log, events, timeout_s):
        if position is None:
            raise LogUnavailable("The log did not confirm the write.")
        positions.append(position)
    return positions
