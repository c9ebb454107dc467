"""The collector: HTTP in, log out. Knows no model and keeps no state.

Flask serves health, metrics, documents and files; the events address stands in front of it as plain WSGI.
"""

from __future__ import annotations

from typing import Any

import msgspec
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from collector import metrics
from collector.cors import Cors
from collector.errors import Refused
from collector.events import EventsRoute
from collector.intake import Intake
from collector.limits import Slots, open_rates
from collector.refusals import Refusals
from collector.requests import REFUSED, Requests
from collector.resources import campaigns, sdk_files
from collector.resources.openapi import document
from contract.errors import LogUnavailable
from control_store.control import Control
from control_store.engine import ControlUnavailable
from eventlog.log import Log
from eventlog.spool import SpooledLog
from runtime.settings import Settings

_CODES = {404: "not_found", 405: "method_not_allowed"}


def create_app(
    settings: Settings, log: Log, control: Control, *, slots: Slots | None = None, refusals: Refusals | None = None
) -> Flask:
    """Return the collector's WSGI app. The log and the control store are opened and closed by the caller,
    as is what keeps the refusals.

    Raises SettingsError where the home cannot be written.
    """
    app = Flask("thumbwheel-collector", static_folder=None)
    cors = Cors(control)
    rates = open_rates(settings)
    app.register_blueprint(sdk_files.blueprint())
    app.register_blueprint(campaigns.blueprint(control, rates))
    app.register_error_handler(Refused, _refuse)
    app.register_error_handler(HTTPException, _refuse_http)
    _add_health(app, log, control)
    path = settings.collector_path

    @app.get("/v1/openapi.json")
    def openapi() -> Response:
        return _json(document(path))

    @app.before_request
    def answer_preflight() -> Response | None:
        if request.method == "OPTIONS" and request.path == campaigns.PATH:
            return Response(status=204, headers=cors.preflight(request.headers.get("Origin"), "GET"))
        return None

    @app.after_request
    def let_pages_read(response: Response) -> Response:
        if "Access-Control-Allow-Origin" not in response.headers and request.method != "OPTIONS":
            response.headers.extend(cors.headers(request.headers.get("Origin")))
        return response

    events = EventsRoute(
        app.wsgi_app, path, Intake(log, control, rates), control=control, cors=cors, rates=rates,
        slots=slots or Slots(),
    )  # fmt: skip
    routes = {path: "events", campaigns.PATH: "campaigns"}
    app.wsgi_app = Requests(events, routes, settings.log_requests == "all", refusals=refusals)  # type: ignore[method-assign]
    return app


def _add_health(app: Flask, log: Log, control: Control) -> None:
    @app.get("/healthz")
    def healthz() -> Response:
        """The process is up; names what `accepted` promises: fsync, replicated, or memory of one broker."""
        return _json({"status": "ok", "promise": log.promise})

    @app.get("/readyz")
    def readyz() -> Response:
        """The log takes records and keys are known; degraded while events wait on this disk for the log."""
        try:
            log.check()
            control.check()
        except (LogUnavailable, ControlUnavailable) as error:
            return _json({"status": "not ready", **error.as_dict()}, 503, {"Retry-After": "1"})
        degraded = isinstance(log, SpooledLog) and log.degraded
        return _json({"status": "degraded" if degraded else "ready", "promise": log.promise})

    @app.get("/metrics")
    def rendered_metrics() -> Response:
        if isinstance(log, SpooledLog):
            metrics.show_spooled(log.waiting())
        return Response(metrics.rendered(), content_type=metrics.CONTENT_TYPE)


def _json(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(body), status, headers, mimetype="application/json")


def _refuse(error: Refused) -> Response:
    request.environ[REFUSED] = error.code
    later = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    return _json(error.as_dict(), error.status, later)


def _refuse_http(error: HTTPException) -> Response:
    status = error.code or 500
    code = _CODES.get(status, "invalid_request" if status < 500 else "internal_error")
    hint = "See /v1/openapi.json." if status < 500 else "Look at the collector's log."
    response = _refuse(Refused(code, f"{error.name}.", hint, status=status))
    if allowed := dict(error.get_headers()).get("Allow"):
        response.headers["Allow"] = allowed
    return response
