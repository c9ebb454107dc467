"""What travels through the steps: copies of events, and the rows a batch adds and takes away."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from contract.events import FeedbackEvent, Interaction
from contract.forgetting import actor_digest

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Row = tuple[Any, ...]
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
    forgotten: bool = False

    @property
    def rank(self) -> tuple[int, bytes]:
        """Order copies of one event: received first, then the smallest digest."""
        return self.received, self.digest

    @property
    def order(self) -> tuple[int, str]:
        """Order different events of one interaction: received first, then event id."""
        return self.received, self.event.event_id


class Known:
    """What the store holds of one interaction: its kept events, and other contents under their ids."""

    __slots__ = ("kept", "lost")

    def __init__(self) -> None:
        self.kept: list[Copy] = []
        self.lost: list[Copy] = []


class Batch:
    """One batch: what arrived, what the store already holds of it, and the rows to write.

    `arrived` and `known` are by interaction key; where nothing but tombstones arrived `buried` has its partition.
    `added` maps a table to its new rows, `gone` a table to the keys (event keys for `events` and `facts`, else
    interaction keys) whose rows are replaced. `forgets` says who is forgotten, `forgotten` and `known_forgotten` hold
    rows that say which of their events were; `erased` holds what takes the place of their records in the log, by
    position (nothing: blanks). `tables` holds `added` as Arrow once all steps have run; `prepared` says that this was
    done before the batch's transaction.
    """

    def __init__(self) -> None:
        self.arrived: dict[Key, list[Copy]] = {}
        self.known: dict[Key, Known] = {}
        self.facts: dict[Key, Row] = {}
        self.known_facts: dict[Key, Row] = {}
        self.added: defaultdict[str, list[Row]] = defaultdict(list)
        self.gone: defaultdict[str, list[Key]] = defaultdict(list)
        self.folded: dict[Key, tuple[Known | None, Known]] = {}
        self.positions: dict[tuple[str, int], int] = {}
        self.forgets = NOBODY
        self.buried: dict[Key, int] = {}
        self.forgotten: set[Row] = set()
        self.known_forgotten: set[Row] = set()
        self.erased: dict[tuple[str, int, int], bytes] = {}
        self.records = 0
        self.tables: dict[str, Any] = {}
        self.prepared = False


def parts(batch: Batch, interactions: int) -> Iterator[Batch]:
    """Yield the batch as batches of so many interactions; the first has its facts and the rows there are already."""
    keys = list(batch.arrived)
    for start in range(0, len(keys) or 1, interactions):
        part = Batch()
        if start == 0:
            part.facts, part.known_facts, part.added = batch.facts, batch.known_facts, batch.added
        for key in keys[start : start + interactions]:
            part.arrived[key] = batch.arrived[key]
            if key in batch.known:
                part.known[key] = batch.known[key]
        yield part
