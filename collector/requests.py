"""Around every request: its id, how long it took, and a line in the log when it was refused or failed.

A line names the route, not the address; never content, keys or who asked.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from secrets import token_hex
from typing import Any

from collector import metrics
from collector.refusals import Refusals

log = logging.getLogger(__name__)

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
App = Callable[[Environ, StartResponse], Iterable[bytes]]

# What the layers below tell of a request: its id, why it was refused, under which key of which project.
REQUEST_ID, REFUSED = "thumbwheel.request_id", "thumbwheel.refused"
KEY_ID, PROJECT = "thumbwheel.key_id", "thumbwheel.project"
_SANE_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}\Z")
_METHODS = frozenset({"GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE"})
_FIXED = {"/healthz": "health", "/readyz": "health", "/metrics": "metrics", "/v1/openapi.json": "openapi"}
# What metrics and lines call an address.
ROUTES = frozenset({"events", "campaigns", "sdk", "other", *_FIXED.values()})
# A flood of refused requests must not become a flood on the disk.
LINES_A_SECOND = 100


class Requests:
    """WSGI (PEP 3333) around the collector.

    `routes` names further addresses; `log_all`: a line for every request, not only for refused ones; `refusals` keeps
    which origins were refused, and why.
    """

    def __init__(
        self, app: App, routes: Mapping[str, str], log_all: bool = False, *, refusals: Refusals | None = None
    ) -> None:
        self._app = app
        self._routes = _FIXED | dict(routes)
        self._log_all = log_all
        self._refusals = refusals
        self._lines = Lines(LINES_A_SECOND)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Pass the request on; whoever sent a sane X-Request-Id gets it back, others get a new one."""
        started = time.perf_counter()
        request_id = environ.get("HTTP_X_REQUEST_ID")
        if request_id is None or not _SANE_ID.match(request_id):
            request_id = token_hex(8)
        environ[REQUEST_ID] = request_id

        def answer(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            headers.append(("X-Request-Id", request_id))
            self._note(environ, int(status[:3]), time.perf_counter() - started)
            return start_response(status, headers, exc_info) if exc_info else start_response(status, headers)

        return self._app(environ, answer)

    def _note(self, environ: Environ, status: int, seconds: float) -> None:
        path = environ.get("PATH_INFO", "")
        route = self._routes.get(path) or ("sdk" if path.startswith("/sdk/") else "other")
        metrics.observe_request(route, status, seconds)
        if status < 400 and not self._log_all:
            return
        code = None if status < 400 else environ.get(REFUSED, "internal_error")
        if code is not None:
            metrics.count_refused(code, route)
            if self._refusals is not None:
                key_id, project, origin = (environ.get(name) for name in (KEY_ID, PROJECT, "HTTP_ORIGIN"))
                self._refusals.add(code, route, project, key_id or "", origin)
        left_out = self._lines.may_write()
        if left_out is not None:
            self._write(environ, route, status, code, seconds, left_out)

    def _write(
        self, environ: Environ, route: str, status: int, code: str | None, seconds: float, left_out: int
    ) -> None:
        method = environ.get("REQUEST_METHOD", "")
        fields = {
            "request_id": environ[REQUEST_ID], "method": method if method in _METHODS else "other", "route": route,
            "status": status, "code": code, "key_id": environ.get(KEY_ID), "ms": round(seconds * 1000, 1),
            "lines_left_out": left_out or None,
        }  # fmt: skip
        level = logging.INFO if status < 500 else logging.ERROR if status == 500 else logging.WARNING
        said = {name: value for name, value in fields.items() if value is not None}
        log.log(level, "%s %s: %s%s", said["method"], route, status, f" {code}" if code else "", extra={"fields": said})


class Lines:
    """At most so many lines a second; counts what was left out."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._second, self._written, self._left_out = 0, 0, 0

    def may_write(self) -> int | None:
        """Return how many lines were left out before this one; None when this one is."""
        with self._lock:
            second = int(time.monotonic())
            if second != self._second:
                self._second, self._written = second, 0
            if self._written >= self._most:
                self._left_out += 1
                return None
            self._written += 1
            left_out, self._left_out = self._left_out, 0
            return left_out
