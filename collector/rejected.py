"""What is kept of an event that was rejected, as a record of the rejected topic."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from datetime import datetime

import msgspec

from collector.body import event_id_of
from contract.checks import MAX_EVENT_BYTES
from contract.errors import ThumbwheelError
from contract.topics import REJECTED as REJECTED_TOPIC
from control_store.control import Key
from eventlog.log import Entry
from eventlog.rejected import Rejected


def rejected_entry(raw: bytes, key: Key, error: ThumbwheelError, now: datetime) -> Entry:
    """Return the record a rejected event is kept as: its bytes up to 256 KiB with length and digest, and the reason."""
    kept = Rejected(
        project=key.project, key_id=key.key_id, received_at=now, code=error.code, message=error.message,
        field=error.field, event_id=event_id_of(raw), length=len(raw), digest=hashlib.sha256(raw).hexdigest(),
        raw=b64encode(raw[:MAX_EVENT_BYTES]).decode(),
    )  # fmt: skip
    return Entry(REJECTED_TOPIC, kept.digest, msgspec.json.encode(kept))
