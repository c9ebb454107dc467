"""From a batch to the log: decode, judge each event alone, append all at once, answer in input order.

Knows no HTTP. In: raw events and the key they came under. Out: one result per event, after durability.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from collector.access import allowed_types
from collector.body import event_id_of
from collector.decode import decode
from collector.drops import report_entry
from collector.errors import not_allowed_type
from collector.metrics import count_event, count_given_up, count_rejected, observe_append
from collector.rejected import rejected_entry
from eventlog.control import Control, Key
from eventlog.errors import LogUnavailable, ThumbwheelError
from eventlog.events import Event, named_candidates, stamp
from eventlog.log import Entry, Log, entry_for
from eventlog.signing import verify_candidate

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

    def take(self, raws: list[bytes], key: Key, report: bytes = b"") -> list[dict[str, Any]]:
        """Return `{"event_id", "status", "error"?}` per event, in order; `accepted` means durable.

        `report` is what the sender says it gave up; one that cannot be read is counted and costs no event.
        """
        now = datetime.now(UTC)
        allowed = allowed_types(key)
        judged = [self._judge(raw, key, allowed, now) for raw in raws]
        entries = [one.entry for one in judged]
        if report:
            entries += _reported(report, key, now)
        started = time.perf_counter()
        try:
            positions = self._log.append(entries, APPEND_SECONDS)
            observe_append(time.perf_counter() - started)
        except LogUnavailable:
            positions = [None] * len(judged)
        return [_result(one, position is not None) for one, position in zip(judged, positions, strict=False)]

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


def _reported(report: bytes, key: Key, now: datetime) -> list[Entry]:
    try:
        entry, given_up = report_entry(report, key, now)
    except ValueError:
        count_rejected("bad_report", kept=False)
        return []
    count_given_up(given_up)
    return [entry]


def _result(one: Judged, durable: bool) -> dict[str, Any]:
    """Return the answer for one event; a rejected one is rejected even while the log is away."""
    if one.error is not None:
        count_event("rejected")
        count_rejected(one.error.code, durable)
        return {"event_id": one.event_id, "status": "rejected", **one.error.as_dict()}
    status = "accepted" if durable else "retry"
    count_event(status)
    return {"event_id": one.event_id, "status": status}
