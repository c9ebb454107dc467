"""What SDKs report of events they had to give up: kept beside the rejected events, one record a report.

A report travels with a batch: `"dropped": {"event_id": UUID of the report, "counts": {reason: events}}`. It is sent
again under its id until a batch is answered, so a report that arrives twice is the same record twice.
"""

from __future__ import annotations

import re
from collections import Counter
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from collector.rejected import rejected_entry
from contract.errors import ThumbwheelError
from control_store.control import Key
from eventlog.log import Entry
from eventlog.rejected import CLIENT_DROPPED

MAX_REASONS = 32
MAX_REPORT_BYTES = 4096
# What a proxy answered in the collector's place may name its reasons as it likes.
OTHER = "other"
_REASON = re.compile("[a-z0-9_]{1,64}")
_Reason = Annotated[str, Meta(max_length=256)]


class Report(Struct, frozen=True):
    """Counts of events by why the SDK gave them up."""

    event_id: Annotated[str, Meta(pattern="^[0-9a-fA-F-]{36}$")]
    counts: Annotated[dict[_Reason, Annotated[int, Meta(ge=1, le=2**31)]], Meta(min_length=1, max_length=MAX_REASONS)]


_decoder = msgspec.json.Decoder(Report)


def report_entry(raw: bytes, key: Key, now: datetime) -> tuple[Entry, int]:
    """Return the record of a report and how many events it speaks of; raises ValueError when it is none."""
    if len(raw) > MAX_REPORT_BYTES:
        raise ValueError("too long")
    try:
        report = _decoder.decode(raw)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from error
    counts: Counter[str] = Counter()
    for name, count in report.counts.items():
        counts[name if _REASON.fullmatch(name) else OTHER] += count
    total = counts.total()
    reasons = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    events = "1 event" if total == 1 else f"{total} events"
    problem = ThumbwheelError(CLIENT_DROPPED, f"An SDK gave up {events} before they could be sent: {reasons}.", "")
    return rejected_entry(raw, key, problem, now), total
