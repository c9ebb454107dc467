"""Decodes an event from outside straight into its Struct where that is safe, else through `decode_event`.

The result is the same either way, stamped fields apart (`stamp` sets those), and apart from unknown fields inside an
actor or sdk, which neither way keeps; a property test holds the two together.
"""

from __future__ import annotations

import re
from typing import Any, Union

import msgspec

from eventlog.checks import MAX_DEPTH, MAX_EVENT_BYTES, check_event
from eventlog.events import STRUCTS, Event, decode_event
from eventlog.topics import SECRET_TYPES

# Only such an escape brings NUL or half a surrogate pair into valid JSON.
_ESCAPED = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
# Fields of a fixed type have their own bounds; a number past 64 bits can only lie in one of these.
_LONG_NUMBER = re.compile(rb"[0-9]{19}")
_FREE_FIELDS = ("context", "extra", "messages", "candidates")
# Only types that a key may write; unknown fields go the long way, which keeps them under `extra`.
_STRICT = [
    msgspec.defstruct(name, [], bases=(STRUCTS[name],), tag=name, frozen=True, kw_only=True, forbid_unknown_fields=True)
    for name in sorted(SECRET_TYPES)
]
_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Union[tuple(_STRICT)])  # noqa: UP007  (made at run time)


def decode(raw: bytes) -> Event:
    """Return the event; raises EventError as `eventlog.events.decode_event` does."""
    if (
        len(raw) > MAX_EVENT_BYTES
        or raw.count(b"{") + raw.count(b"[") > MAX_DEPTH
        or (b"\\u" in raw and _ESCAPED.search(raw))
    ):
        return decode_event(raw)
    try:
        event: Event = _decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeError):
        # The long way says what is wrong, or that it is no more than an unknown field.
        return decode_event(raw)
    if any(getattr(event, name, None) for name in _FREE_FIELDS) and _LONG_NUMBER.search(raw):
        return decode_event(raw)
    check_event(event)
    return event
