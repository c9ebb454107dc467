"""Event ids: UUID version 7, ordered by the time they were made."""

from __future__ import annotations

import os
import time
import uuid


def uuid7() -> str:
    """Return a new UUIDv7 (RFC 9562, sections 5.7 and 6.2, method 3).

    48 bits of Unix milliseconds, 12 bits of the fraction of that millisecond, 62 random bits. Safe after a fork.
    """
    milliseconds, nanoseconds = divmod(time.time_ns(), 1_000_000)
    value = (milliseconds & 0xFFFFFFFFFFFF) << 80
    value |= 7 << 76 | (nanoseconds * 4096 // 1_000_000) << 64
    value |= 0b10 << 62 | int.from_bytes(os.urandom(8), "big") >> 2
    return str(uuid.UUID(int=value))
