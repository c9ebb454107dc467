"""What a type alone cannot say about an event from outside, and what the store cannot hold."""

from __future__ import annotations

import re
from datetime import UTC
from typing import Any

import msgspec

from contract.curation.checks import ANNOTATING, check_annotating
from contract.errors import EventError

MAX_EVENT_BYTES = 256 * 1024
MAX_CONTEXT_BYTES = 2048
MAX_DEPTH = 64

UUID_TEXT = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\Z")
_SURROGATE = re.compile("[\ud800-\udfff]")


def check_storable(value: Any, depth: int) -> None:
    """Refuse what the store cannot hold: depth over MAX_DEPTH, lone surrogates, NUL in text."""
    if depth > MAX_DEPTH:
        raise EventError("too_deep", "The event is nested too deeply.", f"Stay within {MAX_DEPTH} levels.")
    if isinstance(value, str):
        if "\x00" in value or _SURROGATE.search(value):
            raise EventError(
                "unstorable_text", "A text holds a NUL or half a surrogate pair.", "Send well-formed Unicode text."
            )
    elif isinstance(value, dict):
        for name, item in value.items():
            check_storable(name, depth + 1)
            check_storable(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            check_storable(item, depth + 1)
    elif isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**64:
        raise EventError("unstorable_number", "A whole number needs more than 64 bits.", "Send it as text.")


def split_path(message: str) -> tuple[str, str | None]:
    """Split msgspec's "... - at `$.field`" into the message and the field's path."""
    text, found, path = message.partition(" - at `")
    if not found:
        missing = re.search(r"missing required field `([^`]+)`", message)
        return message, missing.group(1) if missing else None
    return text, path.rstrip("`").removeprefix("$.")


def check_event(event: Any) -> None:
    """Check ids, times, sizes and votes of a decoded event; raises EventError that names the field."""
    if not UUID_TEXT.match(event.event_id):
        raise EventError("invalid_event", "event_id is not a UUID.", "Send a UUID, version 7 if you can.", "event_id")
    if event.occurred_at.tzinfo is None:
        raise EventError(
            "invalid_event", "occurred_at has no time zone.", "Send RFC 3339, such as 2026-01-31T12:00:00Z.",
            "occurred_at",
        )  # fmt: skip
    if event.occurred_at.tzinfo is not UTC:
        _check_in_calendar(event)
    if event.context and len(msgspec.json.encode(event.context)) > MAX_CONTEXT_BYTES:
        raise EventError(
            "invalid_event", "context is too large.", f"Keep it within {MAX_CONTEXT_BYTES} bytes.", "context"
        )
    if hasattr(event, "outcome"):
        _check_vote(event)
    elif event.type in ANNOTATING:
        check_annotating(event)
    if getattr(event, "target", None) is not None and not UUID_TEXT.match(event.target):
        raise EventError("invalid_event", "target is not an event id.", "Send the event_id to take back.", "target")
    candidates = getattr(event, "candidates", None)
    if candidates and len({c.candidate_id for c in candidates}) != len(candidates):
        raise EventError("invalid_event", "Two candidates share an id.", "Give each its own.", "candidates")
    order = event.order if event.type == "interaction" else None
    if order and sorted(order) != sorted(c.candidate_id for c in event.candidates):
        raise EventError("invalid_event", "order does not name the candidates.", "Name each once.", "order")


def _check_in_calendar(event: Any) -> None:
    try:
        event.occurred_at.astimezone(UTC)
    except OverflowError as error:
        raise EventError(
            "invalid_event", "occurred_at is outside the years 1 to 9999.", "Send the time in UTC, ending in Z.",
            "occurred_at",
        ) from error  # fmt: skip


def _check_vote(event: Any) -> None:
    if len(set(event.shown)) != len(event.shown):
        raise EventError("invalid_event", "shown names a candidate twice.", "Name each once.", "shown")
    if event.outcome == "chosen" and event.chosen not in event.shown:
        raise EventError("invalid_event", "chosen is not among shown.", "Send one of the ids in shown.", "chosen")
    if event.outcome != "chosen" and event.chosen is not None:
        raise EventError(
            "invalid_event", "chosen is set although nothing was chosen.", "Send null, or outcome 'chosen'.", "chosen"
        )
