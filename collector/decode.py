"""Decodes events from outside straight into their Structs where that is safe, else through `decode_event`.

A request whose events all are as an SDK sends them is decoded in one go (`decode_batch`); any other is taken apart
(`collector.body.parse`) and each of its events decoded alone (`decode`), so that a bad one spoils only itself. The
result is the same each way, stamped fields apart (`stamp` sets those); property tests hold them together.
"""

from __future__ import annotations

import re
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
from msgspec import Meta, Raw, Struct

from collector.errors import MAX_EVENTS
from eventlog.checks import MAX_EVENT_BYTES, check_event, check_storable
from eventlog.envelope import WireId
from eventlog.errors import EventError
from eventlog.events import STRUCTS, Event, decode_event, named_candidates
from eventlog.topics import SECRET_TYPES

# Only such an escape brings NUL or half a surrogate pair into valid JSON.
_ESCAPED = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
# Matching the pattern of every id took two thirds of the time to decode: here their length, `_well_spelled` the rest.
_ID = Annotated[str, Meta(min_length=1, max_length=128)]


def _strict(kind: Any, **options: Any) -> Any:
    """Return the type with every Struct in it refusing unknown fields, and ids of any characters.

    What it skipped it would not look at: a number out of range, or bytes that are no UTF-8.
    """
    if kind == WireId:
        return _ID
    arguments = get_args(kind)
    if get_origin(kind) is Annotated:
        return Annotated[_strict(arguments[0]), *kind.__metadata__]
    if get_origin(kind) in (Union, UnionType):
        return Union[tuple(_strict(one) for one in arguments)]  # noqa: UP007  (made at run time)
    if get_origin(kind) is list:
        return list[_strict(arguments[0])]  # type: ignore[misc]
    if not (isinstance(kind, type) and issubclass(kind, Struct)):
        return kind
    fields = [
        (one.name, _strict(one.type), msgspec.field(default=one.default, default_factory=one.default_factory))  # type: ignore[call-overload]
        for one in msgspec.structs.fields(kind)
    ]
    # Values from JSON hold no cycles.
    return msgspec.defstruct(
        kind.__name__, fields, bases=(kind,), frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False, **options
    )


# Only types that a key may write; unknown fields go the long way, which keeps those of the event under `extra`.
_STRICT = [_strict(STRUCTS[name], tag=name) for name in sorted(SECRET_TYPES)]
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
    ids: list[str] = []
    try:
        batch: Decoded = _batch_decoder.decode(body)
        for event in batch.events:
            _check(event)
            ids += _ids(event)
    except (msgspec.MsgspecError, UnicodeError, ValueError, RecursionError, EventError):
        return None
    return batch if 1 <= len(batch.events) <= MAX_EVENTS and _well_spelled(ids) else None


def decode(raw: bytes) -> Event:
    """Return the event; raises EventError as `eventlog.events.decode_event` does."""
    if len(raw) > MAX_EVENT_BYTES or _holds_bad_escape(raw):
        return decode_event(raw)
    try:
        event: Event = _decoder.decode(raw)
        _check(event)
    except (msgspec.MsgspecError, UnicodeError, ValueError, RecursionError, EventError):
        # The long way says what is wrong, and what first, or that it is no more than an unknown field.
        return decode_event(raw)
    return event if _well_spelled(_ids(event)) else decode_event(raw)


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
    if (trial := getattr(event, "trial", None)) is not None:
        check_storable(trial.sampling, 2)
    check_event(event)


def _holds_bad_escape(raw: bytes) -> bool:
    # Looking for one byte costs a fiftieth of looking for two.
    return b"\\" in raw and b"\\u" in raw and _ESCAPED.search(raw) is not None


def _ids(event: Any) -> list[str]:
    """Return every id in the event; `chosen` and `order` name others of these (`check_event`)."""
    ids = [event.actor.id, event.interaction_id, *named_candidates(event)]
    if event.conversation_id is not None:
        ids.append(event.conversation_id)
    if getattr(event, "campaign", None) is not None:
        ids.append(event.campaign)
    if candidates := getattr(event, "candidates", None):
        ids += [candidate.candidate_id for candidate in candidates]
    return ids


def _well_spelled(ids: list[str]) -> bool:
    """Say whether all characters are visible ASCII, as in `WireId`: of the printable ones only the space is not."""
    text = "".join(ids)
    return text.isascii() and text.isprintable() and " " not in text
