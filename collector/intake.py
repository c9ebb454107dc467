"""From a batch to the log: decode, judge each event alone, append all at once, answer in input order.

Knows no HTTP. In: raw events and the key they came under. Out: one result per event, after durability.
"""

from __future__ import annotations

import hashlib
import time
from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from collector.access import allowed_types
from collector.body import event_id_of
from collector.decode import decode
from collector.errors import not_allowed_type
from collector.metrics import count_event, count_rejected, observe_append
from eventlog.checks import MAX_EVENT_BYTES
from eventlog.control import Control, Key
from eventlog.errors import LogUnavailable, ThumbwheelError
from eventlog.events import Event, named_candidates, stamp
from eventlog.log import Entry, Log, entry_for
from eventlog.signing import verify_candidate
from eventlog.topics import REJECTED as REJECTED_TOPIC

# Shorter than the SDKs wait for an answer, so that they hear `retry` and not silence.
APPEND_SECONDS = 8.0


@dataclass(frozen=True, slots=True)
class Judged:
    """One event of a batch: the entry to append, and why it was rejected, if it was."""

    event_id: str | None
    entry: Entry
    error: ThumbwheelError | None = None


class Intake:
    """Takes batches; thread-safe."""

    def __init__(self, log: Log, control: Control) -> None:
        self._log = log
        self._control = control

    def take(self, raws: list[bytes], key: Key) -> list[dict[str, Any]]:
        """Return `{"event_id", "status", "error"?}` per event, in order; `accepted` means durable."""
        now = datetime.now(UTC)
        allowed = allowed_types(key)
        judged = [self._judge(raw, key, allowed, now) for raw in raws]
        started = time.perf_counter()
        try:
            positions = self._log.append([one.entry for one in judged], APPEND_SECONDS)
            observe_append(time.perf_counter() - started)
        except LogUnavailable:
            positions = [None] * len(judged)
        return [_result(one, position is not None) for one, position in zip(judged, positions, strict=True)]

    def _judge(self, raw: bytes, key: Key, allowed: frozenset[str], now: datetime) -> Judged:
        try:
            event = decode(raw)
            if event.type not in allowed:
                raise not_allowed_type(event.type)
        except ThumbwheelError as error:
            return Judged(event_id_of(raw), rejected_entry(raw, key, error, now), error)
        via = "secret" if key.kind == "secret" else "public"
        stamped = stamp(
            event, project=key.project, key_id=key.key_id, via=via, received_at=now,
            verified=self._verified(event, key.project),
        )  # fmt: skip
        return Judged(event.event_id, entry_for(stamped))

    def _verified(self, event: Event, project: str) -> bool:
        """Say whether every candidate the feedback names was signed for its interaction."""
        named = named_candidates(event)
        interaction_id = getattr(event, "interaction_id", None)
        if not named or interaction_id is None:
            return False
        return all(verify_candidate(self._control.signing_key, project, interaction_id, name) for name in named)


def rejected_entry(raw: bytes, key: Key, error: ThumbwheelError, now: datetime) -> Entry:
    """Return the record a rejected event is kept as: its bytes up to 256 KiB with length and digest, and the reason."""
    body = {
        "project": key.project, "key_id": key.key_id, "received_at": now, "code": error.code, "message": error.message,
        "field": error.field, "event_id": event_id_of(raw), "length": len(raw),
        "digest": hashlib.sha256(raw).hexdigest(), "raw": b64encode(raw[:MAX_EVENT_BYTES]).decode(),
    }  # fmt: skip
    return Entry(REJECTED_TOPIC, str(body["digest"]), msgspec.json.encode(body))


def _result(one: Judged, durable: bool) -> dict[str, Any]:
    """Return the answer for one event; a rejected one is rejected even while the log is away."""
    if one.error is not None:
        count_event("rejected")
        count_rejected(one.error.code, durable)
        return {"event_id": one.event_id, "status": "rejected", **one.error.as_dict()}
    status = "accepted" if durable else "retry"
    count_event(status)
    return {"event_id": one.event_id, "status": status}
