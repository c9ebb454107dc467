"""The console of a processor that starts while the brokers are away: health, and what is missing; then the console.

    app = Waiting(open_awaited(url), open_app, failed=give_up)

The process is up meanwhile, and nothing is lost: the tables are opened, and the log is read on, once it answers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from flask import Flask, Response, jsonify, render_template
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from contract.errors import ThumbwheelError
from eventlog.awaited import AwaitedLog
from eventlog.log import Log
from processor.console import formats, language
from processor.console.headers import secure

RETRY_SECONDS = 5


class Waiting:
    """WSGI: `open_app(log)` once the log answers; `failed` is called with what ends it instead."""

    def __init__(
        self, log: AwaitedLog, open_app: Callable[[Log], Any], failed: Callable[[BaseException], None]
    ) -> None:
        self._log = log
        self._open_app = open_app
        self._failed = failed
        self._app: Any = _create_app(self._why)
        self._there = False
        threading.Thread(target=self._follow, name="console-await", daemon=True).start()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request."""
        answer: Iterable[bytes] = self._app(environ, start_response)
        return answer

    def close(self) -> None:
        """Wait no more. A log that is there is closed by who opened the console with it."""
        if not self._there:
            self._log.close(1.0)

    def _follow(self) -> None:
        log = self._log.wait()
        if log is None:
            return
        self._there = True
        try:
            self._app = self._open_app(log)
        except BaseException as error:  # noqa: BLE001  (a thread reports whatever ended it)
            self._failed(error)

    def _why(self) -> ThumbwheelError:
        """Return what is missing."""
        try:
            self._log.check()
        except ThumbwheelError as error:
            return error
        return ThumbwheelError(
            "opening", "The tables are being opened.", "After an upgrade they are made again first, from the log.",
            status=503,
        )  # fmt: skip


def _create_app(why: Callable[[], ThumbwheelError]) -> Flask:
    here = Path(__file__).parent
    app = Flask(__name__, template_folder=str(here / "templates"), static_folder=str(here / "static"))
    language.install(app)
    formats.install(app)

    @app.get("/healthz")
    def healthz() -> Any:
        return jsonify({"status": "ok", "log": "not known yet"})

    @app.get("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(), content_type=CONTENT_TYPE_LATEST)

    @app.route("/", defaults={"path": ""}, methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    @app.route("/<path:path>", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    def not_ready(path: str) -> Response:
        """Say what is missing to whatever else is asked; programs get the one error shape."""
        error = why()
        if path.startswith(("api/", "readyz")):
            response: Response = jsonify(error.as_dict())
        else:
            response = Response(render_template("not_ready.html", error=error, status=503), mimetype="text/html")
        response.status_code = 503
        response.headers["Retry-After"] = str(RETRY_SECONDS)
        return response

    app.after_request(secure)
    return app
