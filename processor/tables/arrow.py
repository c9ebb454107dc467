"""The columns of every table, as Arrow types, and rows turned into Arrow tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from processor.steps.batch import Row

_TEXT = pa.string()
_UUID = pa.uuid()
_KEY = pa.binary(16)
_TIME = pa.timestamp("us")
_BOOL = pa.bool_()
_INT = pa.int32()
_LONG = pa.int64()
_TEXTS = pa.list_(pa.string())

COLUMNS: dict[str, dict[str, Any]] = {
    "events": {
        "project": _TEXT, "interaction_key": _UUID, "event_key": _UUID, "event_id": _TEXT, "interaction_id": _TEXT,
        "conversation_id": _TEXT, "type": _TEXT, "actor_id": _TEXT, "actor_kind": _TEXT, "source": _TEXT,
        "labels": _TEXTS, "occurred_at": _TIME, "received_at": _TIME, "key_id": _TEXT, "via": _TEXT,
        "verified": _BOOL, "body": _TEXT, "digest": _UUID, "topic": _TEXT, "partition": _INT,
    },
    "interactions": {
        "project": _TEXT, "interaction_key": _UUID, "interaction_id": _TEXT, "conversation_id": _TEXT,
        "surface": _TEXT, "source": _TEXT, "labels": _TEXTS, "messages": _TEXT, "prompt_text": _TEXT,
        "prompt_hash": _UUID, "described_by": _TEXT, "via": _TEXT, "trusted": _BOOL, "truncated": _BOOL,
        "trial": _TEXT, "occurred_at": _TIME, "received_at": _TIME, "described": _BOOL, "partition": _INT,
    },
    "candidates": {
        "project": _TEXT, "interaction_key": _UUID, "interaction_id": _TEXT, "candidate_id": _TEXT,
        "position": _INT, "content": _TEXT, "model": _TEXT, "finish_reason": _TEXT, "sampling": _TEXT,
    },
    "feedback": {
        "project": _TEXT, "interaction_key": _UUID, "event_key": _UUID, "event_id": _TEXT, "interaction_id": _TEXT,
        "type": _TEXT, "candidate_id": _TEXT, "value": _TEXT, "outcome": _TEXT, "chosen": _TEXT, "shown": _TEXTS,
        "reasons": _TEXTS, "comment": _TEXT, "text": _TEXT, "sent": _BOOL, "dwell_ms": _LONG, "actor_id": _TEXT,
        "actor_kind": _TEXT, "via": _TEXT, "verified": _BOOL, "occurred_at": _TIME, "received_at": _TIME,
        "state": _TEXT, "target": _TEXT, "described": _BOOL, "campaign": _TEXT,
    },
    "pairs": {
        "project": _TEXT, "pair_id": _UUID, "interaction_key": _UUID, "interaction_id": _TEXT, "event_key": _UUID,
        "event_id": _TEXT, "kind": _TEXT, "prompt_hash": _UUID, "chosen": _TEXT, "rejected": _TEXT,
        "chosen_candidate": _TEXT, "rejected_candidate": _TEXT, "chosen_model": _TEXT, "rejected_model": _TEXT,
        "weight_num": _INT, "weight_den": _INT, "truncated_chosen": _BOOL, "truncated_rejected": _BOOL,
        "actor_id": _TEXT, "trainable": _BOOL, "why_not": _TEXT, "occurred_at": _TIME, "received_at": _TIME,
    },
    "demonstrations": {
        "project": _TEXT, "demonstration_id": _UUID, "interaction_key": _UUID, "interaction_id": _TEXT,
        "event_key": _UUID, "event_id": _TEXT, "prompt_hash": _UUID, "text": _TEXT, "kind": _TEXT,
        "actor_id": _TEXT, "trainable": _BOOL, "why_not": _TEXT, "occurred_at": _TIME, "received_at": _TIME,
    },
    "unpaired": {
        "project": _TEXT, "unpaired_id": _UUID, "interaction_key": _UUID, "interaction_id": _TEXT,
        "event_key": _UUID, "event_id": _TEXT, "prompt_hash": _UUID, "candidate_id": _TEXT, "text": _TEXT,
        "label": _BOOL, "model": _TEXT, "truncated": _BOOL, "actor_id": _TEXT, "trainable": _BOOL,
        "why_not": _TEXT, "occurred_at": _TIME, "received_at": _TIME,
    },
    "conflicts": {
        "project": _TEXT, "interaction_key": _UUID, "interaction_id": _TEXT, "kind": _TEXT, "event_id": _TEXT,
        "kept_event_id": _TEXT, "detail": _TEXT, "body": _TEXT,
    },
    "rejected": {
        "project": _TEXT, "topic": _TEXT, "partition": _INT, "offset": _LONG, "received_at": _TIME,
        "key_id": _TEXT, "code": _TEXT, "message": _TEXT, "event_id": _TEXT, "raw": pa.binary(), "length": _LONG,
        "digest": _TEXT,
    },
    "facts": {
        "project": _TEXT, "event_key": _UUID, "event_id": _TEXT, "type": _TEXT, "subject": _TEXT,
        "occurred_at": _TIME, "received_at": _TIME, "body": _TEXT, "digest": _UUID, "partition": _INT,
        "offset": _LONG,
    },
    "forgotten": {
        "project": _TEXT, "event_key": _UUID, "interaction_key": _UUID, "actor_digest": _TEXT, "described": _BOOL,
    },
    "erasing": {"topic": _TEXT, "partition": _INT, "start": _LONG, "stop": _LONG},
}  # fmt: skip

# The column by which rows of a table are replaced.
REPLACED_BY = {table: "interaction_key" for table in COLUMNS} | {"events": "event_key", "facts": "event_key"}


def arrow_table(table: str, rows: Sequence[Row]) -> pa.Table:
    """Return rows (tuples in the order of COLUMNS; UUIDs as 16 bytes, times as microseconds) as Arrow."""
    columns = COLUMNS[table]
    arrays = [_array(values, kind) for values, kind in zip(zip(*rows, strict=True), columns.values(), strict=True)]
    return pa.table(arrays, names=list(columns))


def uuid_array(keys: Sequence[bytes | None]) -> Any:
    """Return an Arrow array that DuckDB reads as UUID, from 16-byte values.

    Where none is absent they are joined first, which takes a quarter of the time.
    """
    try:
        joined = b"".join(keys)  # type: ignore[arg-type]
    except TypeError:
        joined = b""
    if len(joined) == _KEY.byte_width * len(keys):
        stored = pa.Array.from_buffers(_KEY, len(keys), [None, pa.py_buffer(joined)])
    else:
        stored = pa.array(keys, _KEY)
    return pa.ExtensionArray.from_storage(_UUID, stored)


def _array(values: Sequence[Any], kind: Any) -> Any:
    return uuid_array(values) if kind is _UUID else pa.array(values, kind)
