"""First step. In: records of the log. Out: copies of events, facts, or rows of `rejected`; nothing is dropped."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable
from datetime import datetime
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import UNSET

from contract.errors import EventError
from contract.events import STAMPED_FIELDS, Event, decode_stored
from contract.forgetting import FORGOTTEN, tombstone_of
from contract.ids import digest128, key_bytes
from contract.topics import EVENTS, REJECTED, RUNS, topic_for
from eventlog.log import Record
from processor.rows import FactRow, ForgottenRow, RejectedRow
from processor.steps.batch import Copy, Decoded, Key, microseconds

MAX_RAW = 256 * 1024
_SUBJECTS = ("run_id", "adapter_id", "dataset_id", "task_id")
fact_rank = attrgetter("rank")


def decode(records: Iterable[Record]) -> Decoded:
    """Read the records, and note the position after them."""
    decoded = Decoded()
    arrived = decoded.arrived
    # Keys of interactions: most are spoken of again within the batch.
    keys: dict[tuple[str, str], Key] = {}
    for record in records:
        topic, partition, offset, _, value, _ = record
        decoded.records += 1
        decoded.positions[topic, partition] = offset + 1
        if value.startswith(FORGOTTEN) and _keep_tombstone(decoded, record):
            continue
        if topic == REJECTED:
            decoded.rejected.append(_refused_by_collector(record))
            continue
        try:
            event: Any = decode_stored(value)
            _check_stamped(event)
            if not value.isascii():
                value.decode()
        except (EventError, UnicodeDecodeError) as error:
            decoded.rejected.append(refusal(record, getattr(error, "code", "invalid_event"), str(error)))
            continue
        if topic_for(event.type) == RUNS:
            _keep_fact(decoded, fact_row(record, event))
            continue
        named = event.project, event.interaction_id
        if (interaction_key := keys.get(named)) is None:
            interaction_key = keys[named] = key_bytes(*named)
            if interaction_key not in arrived:
                arrived[interaction_key] = []
        arrived[interaction_key].append(copy_of(event, interaction_key, value, topic, partition, offset))
    return decoded


def copy_of(event: Any, interaction_key: Key, body: bytes, topic: str, partition: int, offset: int = -1) -> Copy:
    """Return one interaction or feedback event with its keys."""
    return Copy(
        event, key_bytes(event.project, event.interaction_id, event.event_id), interaction_key, body, digest128(body),
        microseconds(event.received_at), microseconds(event.occurred_at), topic, partition, offset,
    )  # fmt: skip


def stored_copy(body: str, partition: int) -> Copy:
    """Return an event as the tables hold it: where in its partition the log has it is not known there."""
    raw = body.encode()
    event: Any = decode_stored(raw)
    return copy_of(event, key_bytes(event.project, event.interaction_id), raw, EVENTS, partition)


def _keep_tombstone(decoded: Decoded, record: Record) -> bool:
    """Note what was forgotten; say whether the record is what forgetting leaves."""
    tombstone = tombstone_of(record.value)
    if tombstone is None:
        return record.value.isspace()
    event_key, interaction_key = bytes.fromhex(tombstone.event_key), bytes.fromhex(tombstone.interaction_key)
    decoded.forgotten.add(
        ForgottenRow(tombstone.project, event_key, interaction_key, tombstone.actor_digest, tombstone.described)
    )
    # Another copy of the event may be in the tables.
    decoded.arrived.setdefault(interaction_key, [])
    decoded.buried[interaction_key] = record.partition
    return True


def refusal(record: Record, code: str, message: str) -> RejectedRow:
    """Return the row of `rejected` for a record that cannot be interpreted, its first bytes kept as evidence."""
    value = record.value
    project, key_id, event_id = None, None, None
    try:
        body = msgspec.json.decode(value)
    except (msgspec.MsgspecError, RecursionError, UnicodeError, ValueError):
        body = None
    if isinstance(body, dict):
        project, key_id, event_id = (_text(body.get(name)) for name in ("project", "key_id", "event_id"))
    return RejectedRow(
        project, record.topic, record.partition, record.offset, record.timestamp_ms * 1000, key_id, code,
        message[:2000], event_id, value[:MAX_RAW], len(value), hashlib.sha256(value).hexdigest(),
    )  # fmt: skip


def _check_stamped(event: Event) -> None:
    if event.received_at is UNSET or event.project is UNSET or event.key_id is UNSET or event.via is UNSET:
        name = next(name for name in STAMPED_FIELDS if getattr(event, name) is UNSET)
        raise EventError("not_stamped", f"The record has no {name}.", "Append through eventlog only.", name)


def fact_row(record: Record, event: Any) -> FactRow:
    """Return the row of `facts`."""
    subject = next((getattr(event, name) for name in _SUBJECTS if getattr(event, name, None)), None)
    if event.type.startswith("request."):
        subject = event.event_id
    return FactRow(
        event.project, key_bytes(event.project, event.event_id), event.event_id, event.type, subject,
        microseconds(event.occurred_at), microseconds(event.received_at), record.value.decode(),
        digest128(record.value), record.partition, record.offset,
    )  # fmt: skip


def _keep_fact(decoded: Decoded, row: FactRow) -> None:
    kept = decoded.facts.get(row.event_key)
    decoded.facts[row.event_key] = row if kept is None else min(kept, row, key=fact_rank)


def _refused_by_collector(record: Record) -> RejectedRow:
    """Read what the collector wrote about an event it rejected; its bytes arrive base64-encoded under `raw`."""
    try:
        body = msgspec.json.decode(record.value)
    except (msgspec.MsgspecError, RecursionError, UnicodeError, ValueError):
        body = None
    if not isinstance(body, dict):
        return refusal(record, "invalid_event", "Not a rejection as the collector writes them.")
    raw = _raw(body.get("raw"))
    length = body.get("length")
    return RejectedRow(
        _text(body.get("project")), record.topic, record.partition, record.offset,
        _moment(body.get("received_at"), record), _text(body.get("key_id")), _text(body.get("code")) or "rejected",
        _text(body.get("message")) or "", _text(body.get("event_id")), raw[:MAX_RAW],
        length if isinstance(length, int) and 0 <= length < 2**63 else len(raw),
        _text(body.get("digest")) or hashlib.sha256(raw).hexdigest(),
    )  # fmt: skip


def _raw(value: object) -> bytes:
    if not isinstance(value, str):
        return b"" if value is None else msgspec.json.encode(value)
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return value.encode("utf-8", "replace")


def _moment(value: object, record: Record) -> int:
    try:
        moment = msgspec.convert(value, datetime, strict=False)
        return microseconds(moment) if moment.tzinfo else record.timestamp_ms * 1000
    except msgspec.ValidationError:
        return record.timestamp_ms * 1000


def _text(value: object) -> str | None:
    return value[:2000] if isinstance(value, str) else None
