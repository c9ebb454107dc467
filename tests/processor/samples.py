"""Events as the collector, the gateway and the console stamp them, short to write in a test."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from contract.events import Event, decode_event, stamp
from eventlog.log import Log, Record, append_all, entry_for

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NAMES = uuid.UUID("00000000-0000-4000-8000-000000000001")


def moment(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def event_id(name: str) -> str:
    return str(uuid.uuid5(NAMES, name))


def event(
    kind: str, name: str, *, at: float = 0.0, received: float | None = None, via: str = "secret", actor: str = "ann",
    actor_kind: str = "user", project: str = "default", verified: bool = False, **fields: Any,
) -> Event:  # fmt: skip
    """Return a stamped event; `name` makes its id, `at` and `received` are seconds after START."""
    body = {
        "type": kind, "event_id": event_id(name), "occurred_at": moment(at).isoformat(),
        "actor": {"id": actor, "kind": actor_kind}, **fields,
    }  # fmt: skip
    return stamp(
        decode_event(body), project=project, key_id=f"key-{via}", via=via, verified=verified,
        received_at=moment(at if received is None else received),
    )  # fmt: skip


def interaction(
    interaction_id: str, replies: dict[str, str | dict[str, Any]], *, prompt: str = "How do I return a parcel?",
    via: str = "gateway", name: str | None = None, models: dict[str, str] | None = None, **fields: Any,
) -> Event:  # fmt: skip
    """Return an interaction with these replies by candidate id."""
    candidates = []
    for candidate_id, reply in replies.items():
        candidate = dict(reply) if isinstance(reply, dict) else {"content": reply}
        candidate.setdefault("model", (models or {}).get(candidate_id, "base"))
        candidates.append({"candidate_id": candidate_id, **candidate})
    fields.setdefault("messages", [{"role": "user", "content": prompt}])
    return event(
        "interaction", name or f"describes {interaction_id} via {via}", via=via, actor="gateway", actor_kind="system",
        interaction_id=interaction_id, candidates=candidates, **fields,
    )  # fmt: skip


def pick(interaction_id: str, shown: Iterable[str], chosen: str | None, name: str = "", **fields: Any) -> Event:
    """Return an agent's pick; `chosen=None` is outcome none unless told."""
    fields.setdefault("outcome", "chosen" if chosen else "none")
    kind = fields.pop("kind", "pick")
    return event(
        kind, name or f"{kind} on {interaction_id}", interaction_id=interaction_id, shown=list(shown), chosen=chosen,
        **fields,
    )  # fmt: skip


def records(events: Iterable[Event], start: int = 0) -> list[Record]:
    """Return the events as one partition of the log holds them."""
    found = []
    for offset, stored in enumerate(events, start):
        entry = entry_for(stored)
        found.append(Record(entry.topic, 0, offset, entry.key, entry.value, 1_772_366_400_000 + offset))
    return found


def append(log: Log, *events: Event) -> None:
    append_all(log, events)
