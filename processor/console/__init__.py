"""The web console and the data API: Flask, one blueprint per screen, reading the live tables of this process.

    app = create_app(settings, store, log, control)

It writes wishes (`request.*`), definitions, `retract` and `forget` to the log, sessions and campaigns to the control
store, and dataset folders.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import duckdb
from flask import Flask, Response, g, jsonify, render_template, request
from flask.json.provider import DefaultJSONProvider
from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError, TimeoutError
from werkzeug.exceptions import HTTPException

from contract.errors import ThumbwheelError
from control_store.control import Control
from control_store.engine import ControlUnavailable, control_away
from eventlog.log import Log
from processor.console import access, data_api, formats, health, language, login
from processor.console.headers import secure
from processor.console.screens import (
    adapters,
    campaigns,
    datasets,
    interactions,
    labels,
    overview,
    pairs,
    rejected,
    runs,
    tasks,
    trials,
    why,
)
from processor.console.services import Services
from processor.ingest.freshness import Freshness
from processor.queries.curation.book import Books
from processor.tables.store import Store
from runtime.settings import Settings

log_lines = logging.getLogger("processor.console")

MAX_BODY = 1024 * 1024
_SCREENS = (overview, interactions, pairs, datasets, runs, adapters, trials, tasks, labels, campaigns, rejected, why)


class _Json(DefaultJSONProvider):
    """JSON that is nested too deeply is a bad body like any other."""

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        try:
            return super().loads(s, **kwargs)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error


def create_app(
    settings: Settings, store: Store, log: Log, control: Control, freshness: Freshness | None = None,
    books: Books | None = None,
) -> Flask:  # fmt: skip
    """Return the console's WSGI app; what it reads and writes through is passed in."""
    here = Path(__file__).parent
    app = Flask(__name__, template_folder=str(here / "templates"), static_folder=str(here / "static"))
    app.json = _Json(app)
    app.config.update(MAX_CONTENT_LENGTH=MAX_BODY)
    app.extensions["thumbwheel"] = Services(settings, store, log, control, freshness or Freshness(), books or Books())
    language.install(app)
    access.install(app)
    login.install(app)
    formats.install(app)
    data_api.partitions.install(app)
    for screen in _SCREENS:
        app.register_blueprint(screen.blueprint)
    for resource in data_api.BLUEPRINTS:
        app.register_blueprint(resource)
    app.register_blueprint(health.blueprint)
    app.register_error_handler(ThumbwheelError, _our_error)
    app.register_error_handler(HTTPException, _http_error)
    for away in (OperationalError, InterfaceError, TimeoutError):
        app.register_error_handler(away, _control_away)
    app.register_error_handler(Exception, _unexpected)
    app.after_request(secure)
    return app


def _our_error(error: ThumbwheelError) -> Any:
    return _answer(error, error.status)


def _http_error(error: HTTPException) -> Any:
    status = error.code or 500
    message = _MESSAGES.get(status) or error.description or error.name
    known = ThumbwheelError(f"http_{status}", message, _HINTS.get(status, ""))
    response = _answer(known, status)
    for name, value in error.get_headers():
        if name in ("Allow", "Retry-After"):
            response.headers[name] = value
    return response


_MESSAGES = {
    400: "What was sent cannot be understood.",
    404: "There is no such page.",
    405: "The page does not take this method.",
    413: "What was sent is too large.",
}
_HINTS = {
    404: "Check the address.",
    405: "Use another method.",
    413: f"Send at most {MAX_BODY} bytes.",
    415: "Send Content-Type: application/json.",
}


def _control_away(error: SQLAlchemyError) -> Any:
    log_lines.error("%s %s: the control store is away (%s)", request.method, request.path, type(error).__name__)
    return _answer(control_away(), ControlUnavailable.status)


def _unexpected(error: Exception) -> Any:
    log_lines.error("%s %s failed: %s", request.method, request.path, type(error).__name__, exc_info=error)
    return _answer(ThumbwheelError("internal", "The console failed to answer.", "See the processor's log."), 500)


def _error_page(error: ThumbwheelError, status: int) -> str:
    """Return the page of an error, within the console where its frame can be had: it asks the tables, too."""
    if getattr(g, "user", None):
        try:
            return render_template("error.html", error=error, status=status)
        except (ThumbwheelError, SQLAlchemyError, duckdb.Error) as other:
            log_lines.error("%s %s: no frame for the error (%s)", request.method, request.path, type(other).__name__)
    return render_template("error_outside.html", error=error, status=status)


def _answer(error: ThumbwheelError, status: int) -> Response:
    """Return the one error shape to programs, a page to people."""
    if request.path.startswith(("/api/", "/healthz", "/readyz", "/metrics")):
        response = jsonify(error.as_dict())
    else:
        response = Response(_error_page(error, status), mimetype="text/html")
    response.status_code = status
    return response
