"""Identifiers: time-ordered event ids, derived ids, and 128-bit keys for foreign ids."""

from __future__ import annotations

import hashlib
import os
import re
import time
import uuid

NAMESPACE = uuid.UUID("6a1d3d0e-5f5e-5b0c-9f5b-7f0f5c1f8a21")
# A copy of a hash costs two thirds of making one.
_SHA1_OF_NAMESPACE = hashlib.sha1(NAMESPACE.bytes, usedforsecurity=False)
_BLAKE2B_128 = hashlib.blake2b(digest_size=16)
_NOT_VERSION = ~(0xF << 76 | 0b11 << 62)
_VERSION_5 = 5 << 76 | 0b10 << 62
_WIRE_ID = re.compile(r"[\x21-\x7e]{1,128}\Z")
# What a project may have been called since there are projects; a new one's name begins with a letter or digit.
_PROJECT = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}\Z")
_is_uuid7 = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-7[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}\Z").match
_fromhex = bytes.fromhex


def uuid7() -> uuid.UUID:
    """Return a new UUID version 7 (RFC 9562, section 5.7): 48 bits of Unix milliseconds, then random bits."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & 0xFFFFFFFFFFFF) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 7 << 76
    value = value & ~(0b11 << 62) | 0b10 << 62
    return uuid.UUID(int=value)


def is_project_name(text: str) -> bool:
    """Say whether `text` may be a project's name: letters, digits, -, _ and, not at its beginning, dots."""
    return _PROJECT.match(text) is not None


def is_wire_id(text: object) -> bool:
    """Say whether `text` may be an id on the wire: 1..128 visible ASCII characters."""
    return isinstance(text, str) and _WIRE_ID.match(text) is not None


def derived_id(*parts: str) -> uuid.UUID:
    """Return the UUIDv5 of its parents, so that a replay derives the same id (RFC 9562, section 5.5)."""
    return uuid.UUID(bytes=derived_bytes(*parts))


def derived_bytes(*parts: str) -> bytes:
    """Return `derived_id` as its 16 bytes, for callers that make many."""
    sha1 = _SHA1_OF_NAMESPACE.copy()
    sha1.update("\x1f".join(parts).encode())
    value = int.from_bytes(sha1.digest()[:16], "big")
    return (value & _NOT_VERSION | _VERSION_5).to_bytes(16, "big")


def digest128(raw: bytes) -> bytes:
    """Return BLAKE2b-128 of some bytes, for callers that make many."""
    blake2b = _BLAKE2B_128.copy()
    blake2b.update(raw)
    return blake2b.digest()


def key128(*parts: str) -> uuid.UUID:
    """Return a 128-bit key for foreign ids, for a UUID column.

    BLAKE2b of the parts. When the last part is a UUIDv7 its 48-bit time prefix is kept in front, because
    time-ordered keys keep the primary-key index fast as the table grows (storage notes).
    """
    return uuid.UUID(bytes=key_bytes(*parts))


def key_bytes(*parts: str) -> bytes:
    """Return `key128` as its 16 bytes, for callers that make many."""
    digest = digest128("\x1f".join(parts).encode())
    last = parts[-1]
    if _is_uuid7(last):
        return _fromhex(last[:8] + last[9:13]) + digest[6:]
    return digest
