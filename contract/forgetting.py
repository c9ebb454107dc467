"""Taking a person out of the log: who a `forget` fact means, and the bytes that then lie where a record of theirs lay.

A record keeps its place and its length, so that nobody's offset moves and no byte of it is copied elsewhere. A
tombstone keeps keys, which are digests, and no content; a fact (a wish, a definition) keeps what it says of the
system and loses who said it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import msgspec

from contract.curation.definitions import Member
from contract.envelope import Actor
from contract.events import decode_stored, encode
from contract.facts import ModelFact, RequestPromote, RequestRollBack

# Who a redacted fact is by; as short as an id can be, so that it always fits.
NOBODY = "-"
# Actors of our own parts: nobody's content is told by them.
NO_PERSONS = frozenset({NOBODY, "gateway", "trainer", "builder", "import", "tasks"})
_MARK = b'{"type":"forgotten",'
# How every record that forgetting leaves begins: as a tombstone, or blank where no event lay.
FORGOTTEN = (_MARK, b" ")
# What may be an id in bytes that are no JSON: a quoted text, or a word.
_QUOTED = re.compile(rb'"([\x21\x23-\x7e]{1,128})"')
_WORD = re.compile(rb"[^\s\"'{}\[\](),:;=&?<>|\\]{1,128}")


class Tombstone(msgspec.Struct, tag="forgotten", omit_defaults=True, frozen=True):
    """What stays of a forgotten event: keys (hex). `described`: it told what an interaction was."""

    project: str
    actor_digest: str
    event_key: str
    interaction_key: str
    described: bool = False


_decoder = msgspec.json.Decoder(Tombstone)
_encoder = msgspec.json.Encoder()


@lru_cache(maxsize=65_536)
def actor_digest(project: str, actor_id: str) -> str:
    """Return what a `forget` fact names a person by: 128 bits of SHA-256 over project and actor id, as hex."""
    return hashlib.sha256(f"{project}\x1f{actor_id}".encode()).hexdigest()[:32]


def bury(tombstone: Tombstone, raw: bytes) -> bytes:
    """Return the tombstone in the length of the record it replaces."""
    return _fitted(_encoder.encode(tombstone), raw)


def blank(raw: bytes) -> bytes:
    """Return what replaces a record that is no event."""
    return b" " * len(raw)


def redact(raw: bytes) -> bytes:
    """Return a fact in its own length, without who said it and what they wrote beside it."""
    event = decode_stored(raw)
    changes: dict[str, Any] = {"actor": Actor(NOBODY, event.actor.kind), "context": {}, "extra": {}}
    if isinstance(event, RequestPromote | RequestRollBack | ModelFact):
        changes["reason"] = None
    if isinstance(event, Member):
        changes |= {"member": NOBODY, "evidence": {}, "reason": None}
    return _fitted(encode(msgspec.structs.replace(event, **changes)), raw)


def _fitted(made: bytes, raw: bytes) -> bytes:
    if len(made) > len(raw):
        raise ValueError(f"{len(made)} bytes cannot stand in the place of {len(raw)}")
    return made.ljust(len(raw))


def tombstone_of(raw: bytes) -> Tombstone | None:
    """Return the tombstone these bytes are, or None."""
    try:
        return _decoder.decode(raw) if raw.startswith(_MARK) else None
    except msgspec.MsgspecError:
        return None


def names_anyone(raw: bytes, asked: Callable[[str], bool]) -> bool:
    """Say whether bytes that were refused hold an id for which `asked` says yes, as a whole text or word."""
    return any(asked(text) for text in _texts_of(raw))


def _texts_of(raw: bytes) -> set[str]:
    try:
        return set(_strings(msgspec.json.decode(raw)))
    except (msgspec.MsgspecError, RecursionError, UnicodeError, ValueError):
        found = {match.group(1) for match in _QUOTED.finditer(raw)} | set(_WORD.findall(raw))
        return {text.decode("latin-1") for text in found}


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
