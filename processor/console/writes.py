"""The data API's two writes: a wish to the trainer, and a dataset built from what is stored."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, g, request

from contract.errors import ThumbwheelError
from processor.console.access import needs
from processor.console.api import answer, refuse_while_behind
from processor.console.services import project, services
from processor.console.wishes import append_wish
from processor.datasets import build_dataset

blueprint = Blueprint("writes", __name__, url_prefix="/api/v1")


@blueprint.post("/requests")
@needs("admin")
def post_request() -> Response:
    """Append a wish: {"type": "train" | "promote" | "roll_back", ...}."""
    return answer({"request_id": append_wish(g.user, project(), json_body())}, 202)


@blueprint.post("/datasets")
@needs("reviewer")
def post_dataset() -> Response:
    """Build a dataset with these filters and answer its manifest."""
    refuse_while_behind()
    found = services()
    behind = found.freshness.behind()
    return answer(build_dataset(found.store, found.log, found.settings, project(), json_body(), behind), 201)


def json_body() -> dict[str, Any]:
    """Return the request's JSON object; an empty body is an empty one."""
    body = request.get_json(force=True, silent=True) if request.get_data(cache=True) else {}
    if not isinstance(body, dict):
        raise ThumbwheelError("invalid_json", "The body is not a JSON object.", "Send an object, or nothing.")
    return body
