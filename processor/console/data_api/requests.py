"""In: `/api/v1/requests`. Out: wishes to the trainer in order; a POST appends one."""

from __future__ import annotations

from flask import Blueprint, Response, g, request

from processor.console.data_api.answers import answer, json_body, read
from processor.console.permissions import needs
from processor.console.services import project
from processor.console.wishes import append_wish
from processor.queries import facts
from processor.queries.reading import Page, parse_limit

blueprint = Blueprint("api_requests", __name__, url_prefix="/api/v1")


@blueprint.get("/requests")
@needs("model.read")
def get_requests() -> Response:
    """Wishes in order, after the one named."""
    after, limit = request.args.get("after"), parse_limit(request.args.get("limit"), 500)
    return read(lambda cursor: Page(facts.list_requests(cursor, project(), after, limit)))


@blueprint.post("/requests")
@needs("model.command")
def post_request() -> Response:
    """Append a wish: {"type": "train" | "promote" | "roll_back", ...}."""
    return answer({"request_id": append_wish(g.user, project(), json_body())}, 202)
