"""The Flask app: two pages, a session that names nobody, and a Content-Security-Policy without inline script."""

from __future__ import annotations

import hashlib
import hmac
import secrets

from flask import Flask, Response, g, jsonify, request, session
from thumbwheel import Client

from examples.demo import chat, workbench
from examples.demo.gateway import Gateway, GatewayError
from examples.demo.settings import DemoSettings
from examples.demo.texts import LANGUAGES, TEXTS

MAX_BODY_BYTES = 256 * 1024


def create_app(settings: DemoSettings) -> Flask:
    """Make the app. Nothing is connected to before the first request."""
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY=hmac.digest(settings.secret_key.encode(), b"demo session", hashlib.sha256),
        # Cookies do not tell ports apart: the name keeps clear of the console's.
        SESSION_COOKIE_NAME="harbour_session",
        SESSION_COOKIE_SAMESITE="Lax",
        MAX_CONTENT_LENGTH=MAX_BODY_BYTES,
    )
    gateway = Gateway(settings.gateway_url, settings.secret_key)
    feedback = Client(url=settings.collector_url, key=settings.secret_key)
    app.extensions["thumbwheel"] = feedback
    app.register_blueprint(chat.blueprint(gateway))
    app.register_blueprint(workbench.blueprint(gateway, feedback))
    app.before_request(_name_visitor)
    app.after_request(lambda response: _protect(response, settings))
    app.register_error_handler(GatewayError, _say_gateway_error)
    app.context_processor(lambda: _page_context(settings))

    @app.get("/healthz")
    def healthz() -> Response:
        return jsonify(status="ok")

    return app


def _name_visitor() -> None:
    """Give the visitor a random id, kept in a signed cookie: feedback of one person stays together, and nameless."""
    if "visitor" not in session:
        session["visitor"] = secrets.token_hex(8)
        session.permanent = True
    asked = request.args.get("lang", "")
    if asked in LANGUAGES:
        session["language"] = asked
    accepted = request.accept_languages.best_match(["en", "zh"], default="en")
    g.language = session.get("language") or ("zh-Hans" if accepted == "zh" else "en")
    g.texts = TEXTS[g.language]


def _page_context(settings: DemoSettings) -> dict[str, object]:
    return {
        "t": g.texts,
        "language": g.language,
        "sdk": f"{settings.collector_url}/sdk/thumbwheel.js",
        "page": {
            "collector": settings.collector_url,
            "key": settings.public_key,
            "visitor": session["visitor"],
            "texts": g.texts,
        },
    }


def _protect(response: Response, settings: DemoSettings) -> Response:
    collector = settings.collector_url
    response.headers["Content-Security-Policy"] = (
        f"default-src 'none'; script-src 'self' {collector}; connect-src 'self' {collector}; style-src 'self'; "
        "img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "strict-origin-when-cross-origin"
    return response


def _say_gateway_error(error: GatewayError) -> tuple[Response, int]:
    return jsonify(error={"code": error.code}), 502
