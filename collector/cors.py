"""What lets a page of another origin read our answers, errors too. No cookies are used, so no credentials."""

from __future__ import annotations

import threading
import time

from collector.access import origin_allowed
from control_store.control import Control

PREFLIGHT_SECONDS = 86_400
_REMEMBERED_SECONDS = 5.0
_REMEMBERED = 1024

Headers = list[tuple[str, str]]


class Cors:
    """Headers by origin. An origin is answered when any live public key lists it: errors come before a key is known."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._known: dict[str, tuple[float, bool]] = {}
        self._lock = threading.Lock()

    def headers(self, origin: str | None) -> Headers:
        """Return the headers for an answer to this origin."""
        if origin is None or not self._allowed(origin):
            return [("Vary", "Origin")]
        return [
            ("Vary", "Origin"),
            ("Access-Control-Allow-Origin", origin),
            ("Access-Control-Expose-Headers", "Retry-After, X-Request-Id"),
        ]

    def preflight(self, origin: str | None, method: str = "POST") -> Headers:
        """Return the headers for an answer to OPTIONS, which browsers keep for a day at most."""
        return [
            *self.headers(origin),
            ("Access-Control-Allow-Methods", method),
            ("Access-Control-Allow-Headers", "Authorization, Content-Type, Content-Encoding"),
            ("Access-Control-Max-Age", str(PREFLIGHT_SECONDS)),
        ]

    def _allowed(self, origin: str) -> bool:
        now = time.monotonic()
        until, allowed = self._known.get(origin, (0.0, False))
        if now < until:
            return allowed
        allowed = origin_allowed(tuple(self._control.origins()), origin)
        with self._lock:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[origin] = (now + _REMEMBERED_SECONDS, allowed)
        return allowed
