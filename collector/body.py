"""From the bytes of a request to its raw events: size and gzip caps, shape. Knows no Flask."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import msgspec
from msgspec import Raw, Struct

from collector.errors import MAX_BODY_BYTES, MAX_EVENTS, MAX_WIRE_BYTES, not_json, too_large, wrong_type

# The form type is what curl -d says of a JSON body.
TYPES = frozenset({"application/json", "text/plain", "application/x-www-form-urlencoded", ""})
# What is left of a refused body is read up to this much, so that the client gets the answer and not a reset.
DRAIN_BYTES = 2 * MAX_WIRE_BYTES
# A batch holds random ids, so it does not shrink much; a body that grows past this grows no further. One of up to 256
# KiB may: a person can say the same thing very often.
MAX_RATIO = 100
RATIO_FREE_BYTES = 256 * 1024
# A piece has to arrive within the deadline, so this sets the slowest client that is served: 1.6 kB/s.
_CHUNK = 16 * 1024
# Brackets that follow one another are one token: nesting however deep costs no more than any other text. A string that
# does not end is one to the end.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\Z)|[\[{]+|[\]}]+|[,:]|[^"\[\]{},:\s]+', re.DOTALL)
# What stands outside strings. Other words there come of a missing quote: strings would begin where they end.
_BARE = re.compile(rb"-?[0-9.eE+-]+|true|false|null|-?(?:NaN|Infinity)")
_EVENTS = b'"events"'
# Some 50 ms. A body of 500 events has a quarter of it.
MOST_TOKENS = 200_000


class Batch(Struct, frozen=True):
    """The body: each event kept as its raw bytes, so that a bad one spoils only itself."""

    events: list[Raw]
    sent_at: str | None = None
    key: str | None = None
    # What an SDK had to give up, kept raw: a malformed report costs no event.
    dropped: Raw = Raw(b"")


_ID = re.compile(rb'"event_id"\s*:\s*"([0-9A-Za-z-]{1,128})"')
_decoder = msgspec.json.Decoder(Batch)


def read_body(read: Callable[[int], bytes], length: int | None, kind: str, encoding: str) -> bytes:
    """Return the decompressed body.

    read(n) returns up to n bytes; length is Content-Length or None (chunked). Raises 413 and 415 after having read
    the rest, up to DRAIN_BYTES.
    """
    if kind.partition(";")[0].strip().lower() not in TYPES:
        _drain(read, length)
        raise wrong_type(kind)
    if length is not None and length > MAX_WIRE_BYTES:
        _drain(read, length)
        raise too_large("1 MiB")
    raw = _read_all(read, length)
    if encoding in ("", "identity"):
        return raw
    if encoding != "gzip":
        raise wrong_type(f"{kind} in {encoding}")
    return _unzip(raw)


def _read_all(read: Callable[[int], bytes], length: int | None) -> bytes:
    if length is not None and length <= _CHUNK:
        raw = bytearray(read(length) if length else b"")
    else:
        raw = bytearray()
        while chunk := read(_CHUNK):
            raw += chunk
            if len(raw) > MAX_WIRE_BYTES:
                _drain(read, None)
                raise too_large("1 MiB")
            if len(raw) == length:
                break
    if length is not None and len(raw) != length:
        raise not_json("it ends early")
    return bytes(raw)


def _drain(read: Callable[[int], bytes], length: int | None) -> None:
    left = min(DRAIN_BYTES, length if length is not None else DRAIN_BYTES)
    while left > 0 and (chunk := read(min(_CHUNK, left))):
        left -= len(chunk)


def _unzip(raw: bytes) -> bytes:
    """Decompress one gzip member, up to 5 MiB and MAX_RATIO times its size: a bomb is refused before it grows."""
    most = min(MAX_BODY_BYTES, max(RATIO_FREE_BYTES, MAX_RATIO * len(raw)))
    inflater = zlib.decompressobj(wbits=31)
    try:
        body = inflater.decompress(raw, most + 1)
    except zlib.error as error:
        raise not_json(f"not gzip: {error}") from error
    if len(body) > MAX_BODY_BYTES:
        raise too_large("5 MiB decompressed")
    if len(body) > most:
        raise too_large(f"{MAX_RATIO} times what was sent")
    if not inflater.eof:
        raise not_json("the gzip data ends early")
    if inflater.unused_data:
        raise not_json("something follows the gzip data")
    return body


def parse(body: bytes) -> Batch:
    """Return the batch; raises 400 when it is not one of 1..500 events."""
    try:
        batch = _decoder.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeError, ValueError) as error:
        taken = _take_apart(body)
        if taken is None:
            raise not_json("nested too deeply" if isinstance(error, RecursionError) else str(error)) from error
        batch = taken
    if not 1 <= len(batch.events) <= MAX_EVENTS:
        raise not_json(f"{len(batch.events)} events; send 1 to {MAX_EVENTS}")
    return batch


def _take_apart(body: bytes) -> Batch | None:
    """Return the batch of a body of which an event cannot be decoded; None where it is the body itself that cannot."""
    if len(body) > MAX_WIRE_BYTES or (places := find_events(body)) is None:
        return None
    # What is around the events has to be as good as in any other body.
    around = body[: places[0].start] + b",".join([b"0"] * len(places)) + body[places[-1].stop :]
    try:
        batch = _decoder.decode(around)
    except (msgspec.MsgspecError, RecursionError, UnicodeError, ValueError):
        return None
    return msgspec.structs.replace(batch, events=[Raw(body[place].strip()) for place in places])


def find_events(body: bytes) -> list[slice] | None:
    """Return where each element of the member `events` lies; None where the body has no whole one.

    A decoder that meets half a surrogate pair, a value nested too deeply or NaN stops there, and says nothing of what
    follows. Here only strings, brackets and commas are looked at: what lies between them is judged event by event.
    """
    depth, key, commas, found = 0, b"", list[int](), None
    begins: int | None = None
    for number, token in enumerate(_TOKEN.finditer(body)):
        if number > MOST_TOKENS or len(commas) >= MAX_EVENTS:
            return None
        text = token[0]
        match text[:1]:
            case b'"':
                key = text if depth == 1 else key
            case b":" if depth == 1 and key == _EVENTS:
                begins, commas = token.end(), []
            case b"," if depth == 2 and begins is not None:
                commas.append(token.start())
            case b"," if depth == 1:
                key, begins = b"", None
            case b"[" | b"{":
                depth += len(text)
            case b"]" | b"}":
                # The array ends at the bracket that leads back to the members of the body.
                if begins is not None and depth >= 2 > depth - len(text):
                    found = _elements(body, begins, commas, token.start() + depth - 2)
                    begins = None
                depth -= len(text)
            case b"," | b":":
                pass
            case _ if not _BARE.fullmatch(text):
                return None
    return found if depth == 0 else None


def _elements(body: bytes, begins: int, commas: list[int], ends: int) -> list[slice] | None:
    """Return the elements of the array between a colon and its closing bracket; None for no array, or an empty one."""
    opening = body.find(b"[", begins, ends)
    if opening < 0 or body[begins:opening].strip() or body[ends : ends + 1] != b"]":
        return None
    places = [slice(low + 1, high) for low, high in pairwise([opening, *commas, ends])]
    return places if all(body[place].strip() for place in places) else None


def event_id_of(raw: bytes) -> str | None:
    """Return the event id of an event that was refused, where it can be read, or nothing else can be meant."""
    try:
        body: Any = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeError, ValueError):
        named = set(_ID.findall(raw))
        return named.pop().decode() if len(named) == 1 else None
    found = body.get("event_id") if isinstance(body, dict) else None
    return found[:128] if isinstance(found, str) else None
