"""In: nothing. Out: what travels from step to step, one class for what each of them adds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from contract.events import FeedbackEvent, Interaction
from contract.forgetting import actor_digest
from processor.rows import FactRow, ForgottenRow, RejectedRow

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Key = bytes


def microseconds(moment: datetime) -> int:
    """Return a time as whole microseconds since 1970, UTC."""
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


class Forgets:
    """Who is forgotten: by project, the actor's digest and the time (microseconds) before which nothing stays."""

    __slots__ = ("by_project",)

    def __init__(self, rows: Iterable[tuple[str, str, int]] = ()) -> None:
        self.by_project: dict[str, dict[str, int]] = {}
        for row in rows:
            self.add(*row)

    def __bool__(self) -> bool:
        return bool(self.by_project)

    def add(self, project: str, digest: str, before: int) -> bool:
        """Add one; False when that much was forgotten already."""
        digests = self.by_project.setdefault(project, {})
        if before <= digests.get(digest, -(2**63)):
            return False
        digests[digest] = before
        return True

    def copy(self) -> Forgets:
        """Return a copy that can be added to."""
        return Forgets(self.rows())

    def rows(self) -> Iterator[tuple[str, str, int]]:
        """Yield (project, actor digest, before)."""
        for project, digests in self.by_project.items():
            for digest, before in digests.items():
                yield project, digest, before

    def before(self, project: str, actor_id: str) -> int | None:
        """Return the time before which this actor is forgotten, or None."""
        digests = self.by_project.get(project)
        return digests.get(actor_digest(project, actor_id)) if digests else None


NOBODY = Forgets()


class Copy(msgspec.Struct, eq=False, gc=False):
    """One copy of an interaction or feedback event; `body` as the log holds it, UTF-8. Times in microseconds."""

    event: Interaction | FeedbackEvent
    key: Key
    interaction_key: Key
    body: bytes
    digest: bytes
    received: int
    occurred: int
    topic: str
    partition: int
    offset: int = -1

    @property
    def rank(self) -> tuple[int, bytes]:
        """Order copies of one event: received first, then the smallest digest."""
        return self.received, self.digest

    @property
    def order(self) -> tuple[int, str]:
        """Order different events of one interaction: received first, then event id."""
        return self.received, self.event.event_id


class Known:
    """What the store holds of one interaction: its kept events, and other contents under their ids.

    `over` is what does not count because there is too much, as far as it is looked at; `more` says that there is more.
    """

    __slots__ = ("kept", "lost", "more", "over")

    def __init__(self) -> None:
        self.kept: list[Copy] = []
        self.lost: list[Copy] = []
        self.over: list[Copy] = []
        self.more = False


@dataclass(slots=True)
class Decoded:
    """What `decode` makes of records. `arrived` is by interaction key, `facts` by event key, the copies that count.

    Where nothing but tombstones arrived of an interaction `buried` has its partition; `forgotten` says of which events
    they speak. `positions` are those after the records.
    """

    arrived: dict[Key, list[Copy]] = field(default_factory=dict)
    facts: dict[Key, FactRow] = field(default_factory=dict)
    rejected: list[RejectedRow] = field(default_factory=list)
    forgotten: set[ForgottenRow] = field(default_factory=set)
    buried: dict[Key, int] = field(default_factory=dict)
    positions: dict[tuple[str, int], int] = field(default_factory=dict)
    records: int = 0


@dataclass(slots=True)
class Held:
    """What the store holds already of what arrived, and who is forgotten; loaded between the steps, never by one."""

    forgets: Forgets = NOBODY
    known: dict[Key, Known] = field(default_factory=dict)
    facts: dict[Key, FactRow] = field(default_factory=dict)
    forgotten: set[ForgottenRow] = field(default_factory=set)


@dataclass(slots=True)
class Remaining:
    """What `forget` leaves of it: copies that are `leaving`, facts without who is forgotten, refusals that stay.

    `held_facts` are the stored ones that may stay, `stale_facts` the keys of those that may not. `forgotten` says which
    events are forgotten, `newly` what the store does not say yet; `erased` holds what takes the place of their records
    in the log, by position (nothing: blanks).
    """

    facts: dict[Key, FactRow]
    held_facts: dict[Key, FactRow]
    rejected: list[RejectedRow]
    forgotten: set[ForgottenRow]
    newly: list[ForgottenRow]
    leaving: set[Copy] = field(default_factory=set)
    stale_facts: list[Key] = field(default_factory=list)
    erased: dict[tuple[str, int, int], bytes] = field(default_factory=dict)


class Changes(NamedTuple):
    """By table: rows to add, and before that keys whose rows go (`REPLACED_BY` says by which column)."""

    added: dict[str, list[Any]]
    gone: dict[str, list[Key]]


class Folded(NamedTuple):
    """What `fold` makes: each interaction before (None: unknown) and after, and what changes in `events`."""

    interactions: dict[Key, tuple[Known | None, Known]]
    events: Changes


class Slice(NamedTuple):
    """Some interactions of a batch as they went through the steps, and every change of tables this brings."""

    interactions: dict[Key, tuple[Known | None, Known]]
    changes: tuple[Changes, ...]
