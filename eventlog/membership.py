"""Who owns which partitions, where several processors share a log: the `Member` protocol.

    member = log.member("processor-0", session_s=60)
    assignment = member.wait(None, 30.0)
    while working:
        if (now := member.wait(assignment, 0.0)) != assignment:
            ...                     # end the batch in hand
            member.revoke_done()    # others may start with what we gave up
            assignment = now

A member says what is owned, no more: offsets are the owner's, kept with what it made of the records.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct


class Assignment(Struct, frozen=True):
    """The partitions of topic EVENTS that a member owns, perhaps none.

    No two members own a partition in one generation, and later generations have larger numbers.
    """

    generation: int
    partitions: frozenset[int]


class Member(Protocol):
    """One of those that share the partitions. Thread-safe.

    `assignment` and `wait` raise ThumbwheelError once the membership has ended for good, above all because another
    process has taken this member's name.
    """

    def assignment(self) -> Assignment | None:
        """Return what is owned now; None while not a member (joining, partitions being moved, session lost)."""

    def wait(self, known: Assignment | None, timeout_s: float) -> Assignment | None:
        """Return what is owned as soon as it differs from `known`, or after `timeout_s` seconds.

        For the owner, in one thread: what it is told here it may begin with, and has to end when told otherwise.
        """

    def revoke_done(self) -> None:
        """Say that nothing more is written for any partition, after `wait` said None; otherwise it means nothing.

        Others get them then, or some seconds later where this is not called.
        """

    def commit(self, offsets: Mapping[int, int]) -> None:
        """Show the next offsets by partition of EVENTS to whoever watches the group's lag.

        Best effort: never raises, returns at once, and drops them while not a member.
        """

    def close(self, timeout_s: float = 5.0, leave: bool = False) -> None:
        """End the membership; `assignment` is None from then on and `wait` returns.

        The partitions stay reserved under this member's name for its session time, so that a restart moves nothing.
        With `leave` they go to others at once.
        """


class SoleOwner:
    """A `Member` with nobody beside it: owns all partitions, in generation 0."""

    def __init__(self, partitions: int) -> None:
        self._assignment = Assignment(0, frozenset(range(partitions)))
        self._closed = threading.Event()

    def assignment(self) -> Assignment | None:
        """Return all partitions; None once closed."""
        return None if self._closed.is_set() else self._assignment

    def wait(self, known: Assignment | None, timeout_s: float) -> Assignment | None:
        """Return all partitions, after `timeout_s` seconds where they are known."""
        if known == self.assignment():
            self._closed.wait(timeout_s)
        return self.assignment()

    def revoke_done(self) -> None:
        """Nothing is ever given up."""

    def commit(self, offsets: Mapping[int, int]) -> None:
        """Nobody watches: the owner shows its lag itself."""

    def close(self, timeout_s: float = 5.0, leave: bool = False) -> None:
        """Own nothing from here on."""
        self._closed.set()
