"""GET /sdk/NAME: the built JavaScript, for any origin, cacheable."""

from __future__ import annotations

from pathlib import Path

from flask import Blueprint, Response, request

from collector.errors import Refused

FOLDER = Path(__file__).resolve().parents[2] / "sdk" / "js" / "dist"
# A script tag takes the first; modules import the others.
FILES = {
    "thumbwheel.js": "thumbwheel.iife.js",
    "thumbwheel.mjs": "thumbwheel.js",
    "thumbwheel-elements.js": "thumbwheel-elements.js",
    "thumbwheel-label.js": "thumbwheel-label.js",
}
CACHE_SECONDS = 300


def blueprint(folder: Path = FOLDER) -> Blueprint:
    """Routes for the files of a build."""
    routes = Blueprint("sdk", __name__, url_prefix="/sdk")

    @routes.get("/<name>")
    def file(name: str) -> Response:
        path = folder / FILES.get(name, "-")
        if not path.is_file():
            raise Refused("not_found", "There is no such file.", f"Try one of {', '.join(FILES)}.", status=404)
        response = Response(path.read_bytes(), mimetype="text/javascript")
        response.headers["Cache-Control"] = f"public, max-age={CACHE_SECONDS}"
        response.headers["Access-Control-Allow-Origin"] = "*"
        response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.add_etag()
        response.make_conditional(request)
        return response

    return routes
