"""What stands in front of a log that may be away, and asks it all but what it answers itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from eventlog.log import Log, Reader
from eventlog.membership import Member


class InFront:
    """The questions of the `Log` protocol that the log behind answers."""

    def _reached(self) -> Log:
        """Return the log behind; raises LogUnavailable while it is away."""
        raise NotImplementedError

    def partitions(self, topic: str) -> int:
        """Return how many partitions the topic has there."""
        return self._reached().partitions(topic)

    def start_offset(self, topic: str, partition: int) -> int:
        """Return the offset of the oldest record there."""
        return self._reached().start_offset(topic, partition)

    def end_offset(self, topic: str, partition: int) -> int:
        """Return the offset the next record there will get."""
        return self._reached().end_offset(topic, partition)

    def start_offsets(self, places: Collection[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """Return the offsets of the oldest records there."""
        return self._reached().start_offsets(places)

    def end_offsets(self, places: Collection[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """Return the offsets the next records there will get."""
        return self._reached().end_offsets(places)

    def reader(self, positions: Mapping[tuple[str, int], int]) -> Reader:
        """Return a reader of what is there."""
        return self._reached().reader(positions)

    def member(self, name: str, session_s: float) -> Member:
        """Take part in sharing the partitions there."""
        return self._reached().member(name, session_s)
