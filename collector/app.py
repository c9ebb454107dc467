"""The collector: HTTP in, log out. Knows no model and keeps no state."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import msgspec
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from collector import metrics
from collector.access import Rates, check_origin, find_key, key_text, origin_allowed
from collector.body import parse, read_body
from collector.errors import busy
from collector.intake import Intake
from collector.openapi import document
from eventlog.control import Control
from eventlog.errors import LogUnavailable, ThumbwheelError
from eventlog.log import Log

# Each waits for one durable write; past it the answer is 503 at once, never a growing queue.
MAX_IN_FLIGHT = 512
PREFLIGHT_SECONDS = "86400"
SDK_FOLDER = Path(__file__).resolve().parent.parent / "sdk" / "js" / "dist"
SDK_FILES = {
    "thumbwheel.js": "thumbwheel.iife.js",
    "thumbwheel.mjs": "thumbwheel.js",
    "thumbwheel-elements.js": "thumbwheel-elements.js",
}


def create_app(log: Log, control: Control, *, events_path: str = "/v1/events", rates: Rates | None = None) -> Flask:
    """Return the collector's WSGI app."""
    app = Flask("thumbwheel-collector", static_folder=None)
    collector = Collector(log, control, rates or Rates())
    app.add_url_rule(events_path, view_func=collector.events, methods=["POST"], provide_automatic_options=False)
    app.add_url_rule(events_path, "preflight", _preflight, methods=["OPTIONS"], provide_automatic_options=False)
    app.add_url_rule("/healthz", view_func=collector.healthz)
    app.add_url_rule("/readyz", view_func=collector.readyz)
    app.add_url_rule(
        "/metrics", view_func=lambda: Response(metrics.rendered(), mimetype="text/plain"), endpoint="metrics"
    )
    app.add_url_rule("/v1/openapi.json", view_func=lambda: _json(document()), endpoint="openapi")
    app.add_url_rule("/sdk/<name>", view_func=_sdk)
    app.register_error_handler(ThumbwheelError, _refuse)
    app.register_error_handler(HTTPException, _refuse_http)
    app.after_request(collector.cors)
    return app


class Collector:
    """The routes and what they share."""

    def __init__(self, log: Log, control: Control, rates: Rates) -> None:
        self._log = log
        self._control = control
        self._rates = rates
        self._intake = Intake(log, control)
        self._slots = threading.BoundedSemaphore(MAX_IN_FLIGHT)

    def events(self) -> Response:
        """POST /v1/events: 202 all accepted, 207 otherwise, one result per event in input order."""
        started = time.perf_counter()
        if not self._slots.acquire(blocking=False):
            raise busy()
        try:
            with metrics.IN_FLIGHT.track_inprogress():
                results = self._take()
        finally:
            self._slots.release()
        every = all(result["status"] == "accepted" for result in results)
        retry = any(result["status"] == "retry" for result in results)
        status = 202 if every else 207
        metrics.SECONDS.labels(str(status)).observe(time.perf_counter() - started)
        return _json({"results": results}, status, {"Retry-After": "1"} if retry else None)

    def _take(self) -> list[dict[str, Any]]:
        body = read_body(
            request.environ["wsgi.input"].read, request.content_length, request.content_type or "",
            request.headers.get("Content-Encoding", "").lower(),
        )  # fmt: skip
        batch = parse(body)
        key = find_key(self._control, key_text(request.headers.get("Authorization", ""), batch.key))
        check_origin(key, request.headers.get("Origin"))
        self._rates.take(key.key_id, len(batch.events))
        return self._intake.take([bytes(raw) for raw in batch.events], key)

    def cors(self, response: Response) -> Response:
        """Let a page of an allowed origin read every answer, errors too; no cookies are used."""
        origin = request.headers.get("Origin")
        if origin and "Access-Control-Allow-Origin" not in response.headers:
            response.vary.add("Origin")
            if origin_allowed(tuple(self._control.origins()), origin):
                response.headers["Access-Control-Allow-Origin"] = origin
                response.headers["Access-Control-Expose-Headers"] = "Retry-After"
        return response

    def healthz(self) -> dict[str, str]:
        """GET /healthz: the process is up; names the promise behind `accepted`."""
        return {"status": "ok", "durable": self._log.promise}

    def readyz(self) -> tuple[dict[str, str], int]:
        """GET /readyz: the log can be reached."""
        try:
            self._log.check()
        except LogUnavailable as error:
            return {"status": "not ready", "reason": error.message}, 503
        return {"status": "ready", "durable": self._log.promise}, 200


def _preflight() -> Response:
    headers = {
        "Access-Control-Allow-Methods": "POST",
        "Access-Control-Allow-Headers": "Authorization, Content-Type, Content-Encoding",
        "Access-Control-Max-Age": PREFLIGHT_SECONDS,
    }
    return Response(status=204, headers=headers)


def _sdk(name: str) -> Response:
    """GET /sdk/NAME: the built JavaScript, for any origin."""
    file = SDK_FOLDER / SDK_FILES.get(name, "-")
    if not file.is_file():
        return _refuse(
            ThumbwheelError("not_found", "There is no such file.", f"Try {', '.join(SDK_FILES)}.", status=404)
        )
    response = Response(file.read_bytes(), mimetype="text/javascript")
    response.headers["Cache-Control"] = "public, max-age=300"
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    response.add_etag()
    response.make_conditional(request)
    return response


def _json(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(body), status, headers, mimetype="application/json")


def _refuse(error: ThumbwheelError) -> Response:
    metrics.REFUSED.labels(error.code).inc()
    return _json(error.as_dict(), error.status, {"Retry-After": "1"} if error.status in (429, 503) else None)


def _refuse_http(error: HTTPException) -> Response:
    code = {404: "not_found", 405: "method_not_allowed", 400: "invalid_body"}.get(error.code or 500, "internal_error")
    hint = "See /v1/openapi.json." if (error.code or 500) < 500 else "Look at the collector's log."
    return _refuse(ThumbwheelError(code, f"{error.name}.", hint, status=error.code or 500))
