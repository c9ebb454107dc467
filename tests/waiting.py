"""Waiting for what another thread or process does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def eventually(read: Callable[[], Any], seconds: float = 10.0) -> Any:
    """Poll until `read` gives something true, and return it; fail with its last value after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (value := read()):
        assert time.monotonic() < deadline, f"still {value!r} after {seconds} s"
        time.sleep(0.02)
    return value
