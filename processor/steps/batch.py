"""What travels through the steps: copies of events, and the rows a batch adds and takes away."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

from eventlog.events import FeedbackEvent, Interaction

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Row = tuple[Any, ...]
Key = bytes


def microseconds(moment: datetime) -> int:
    """Return a time as whole microseconds since 1970, UTC."""
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


class Copy:
    """One copy of an interaction or feedback event as the log holds it. Times in microseconds."""

    __slots__ = ("body", "digest", "event", "interaction_key", "key", "occurred", "partition", "received", "topic")

    def __init__(
        self, event: Interaction | FeedbackEvent, key: Key, interaction_key: Key, body: str, digest: bytes,
        topic: str, partition: int,
    ) -> None:  # fmt: skip
        self.event = event
        self.key = key
        self.interaction_key = interaction_key
        self.body = body
        self.digest = digest
        self.topic = topic
        self.partition = partition
        self.received = microseconds(event.received_at)  # type: ignore[arg-type]
        self.occurred = microseconds(event.occurred_at)

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

    `arrived` and `known` are by interaction key. `added` maps a table to its new rows, `gone` a table to the
    keys (event keys for `events` and `facts`, else interaction keys) whose rows are replaced.
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
        self.records = 0
