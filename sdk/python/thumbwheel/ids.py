"""Event ids: UUID version 7 (RFC 9562, section 5.7), so that events sort by when they were made."""

from __future__ import annotations

import os
import time


def uuid7() -> str:
    """Return a new UUIDv7 as text."""
    value = (time.time_ns() // 1_000_000 & 0xFFFFFFFFFFFF) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 7 << 76
    value = value & ~(0b11 << 62) | 0b10 << 62
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
