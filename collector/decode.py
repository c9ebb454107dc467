"""Decodes events from outside straight into their Structs where that is safe, else through `decode_event`.

A request whose events all are as an SDK sends them is decoded in one go (`decode_batch`); any other is taken apart
(`collector.body.parse`) and each of its events decoded alone (`decode`), so that a bad one spoils only itself. The
result is the same each way, stamped fields apart (`stamp` sets those); property tests hold them together.
"""

from __future__ import annotations

import re
from typing import Any, Union

import msgspec
from msgspec import Raw, Struct

from collector.errors import MAX_EVENTS
from contract.checks import MAX_EVENT_BYTES, check_event, check_storable
from contract.errors import EventError
from contract.events import STRUCTS, Event, decode_event
from contract.fast_decoding import ids_in, twin, well_spelled
from contract.topics import SECRET_TYPES

# Only such an escape brings NUL or half a surrogate pair into valid JSON.
_ESCAPED = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")

# Only types that a key may write; unknown fields go the long way, which keeps those of the event under `extra`.
_STRICT = [twin(STRUCTS[name], strict=True, tag=name) for name in sorted(SECRET_TYPES)]
TYPE_OF: dict[type, str] = {struct: str(struct.__struct_config__.tag) for struct in _STRICT}
_event: Any = Union[tuple(_STRICT)]  # noqa: UP007  (made at run time)
_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(_event)


class Decoded(Struct, frozen=True):
    """A request's body, all of its events decoded and checked; the fields of `collector.body.Batch`."""

    events: list[Any]
    sent_at: str | None = None
    key: str | None = None
    dropped: Raw = Raw(b"")


_whole = msgspec.defstruct("Whole", [("events", list[_event])], bases=(Decoded,), frozen=True, kw_only=True)
_batch_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(_whole)


def decode_batch(body: bytes) -> Decoded | None:
    """Return the batch when each of its events is plainly good; None when they have to be looked at one by one."""
    if len(body) > MAX_EVENT_BYTES or _holds_bad_escape(body):
        return None
    try:
        batch: Decoded = _batch_decoder.decode(body)
        for event in batch.events:
            _check(event)
    except (msgspec.MsgspecError, UnicodeError, ValueError, RecursionError, EventError):
        return None
    if not 1 <= len(batch.events) <= MAX_EVENTS or not well_spelled("".join(map(ids_in, batch.events))):
        return None
    return batch


def decode(raw: bytes) -> Event:
    """Return the event; raises EventError as `contract.events.decode_event` does."""
    if len(raw) > MAX_EVENT_BYTES or _holds_bad_escape(raw):
        return decode_event(raw)
    try:
        event: Event = _decoder.decode(raw)
        _check(event)
    except (msgspec.MsgspecError, UnicodeError, ValueError, RecursionError, EventError):
        # The long way says what is wrong, and what first, or that it is no more than an unknown field.
        return decode_event(raw)
    return event if well_spelled(ids_in(event)) else decode_event(raw)


def _check(event: Any) -> None:
    """Raise EventError for what no type says; of the values only those of any type can be unstorable."""
    if event.context or event.extra:
        check_storable(event.context, 1)
        check_storable(event.extra, 1)
    for message in getattr(event, "messages", None) or ():
        if message.tool_calls or not isinstance(message.content, str):
            check_storable(message.content, 3)
            check_storable(message.tool_calls, 3)
    for candidate in getattr(event, "candidates", None) or ():
        if candidate.sampling or not isinstance(candidate.content, str):
            check_storable(candidate.content, 3)
            check_storable(candidate.sampling, 3)
    if answers := getattr(event, "answers", None):
        check_storable(answers, 1)
    if (trial := getattr(event, "trial", None)) is not None:
        check_storable(trial.sampling, 2)
    check_event(event)


def _holds_bad_escape(raw: bytes) -> bool:
    # Looking for one byte costs a fiftieth of looking for two.
    return b"\\" in raw and b"\\u" in raw and _ESCAPED.search(raw) is not None
