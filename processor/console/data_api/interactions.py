"""In: `GET /api/v1/interactions`, `/visible`. Out: interactions with all that is known of them; which events wait."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, request

from contract.errors import ThumbwheelError
from processor.console.data_api.answers import blind, paging, places, read
from processor.console.permissions import needs
from processor.console.services import project
from processor.queries import interactions
from processor.queries.reading import MAX_LIMIT

blueprint = Blueprint("api_interactions", __name__, url_prefix="/api/v1")
MAX_VISIBLE = 1000


@blueprint.get("/interactions")
@needs("feedback.read")
def get_interactions() -> Response:
    """Interactions, newest first, filtered by label, q, surface, source, show."""
    given: dict[str, Any] = {name: request.args.get(name) for name in ("label", "q", "surface", "source", "show")}
    return read(lambda c: interactions.list_interactions(c, project(), blind=blind(c), **paging(), **given))


@blueprint.get("/interactions/<path:interaction_id>")
@needs("feedback.read")
def get_interaction(interaction_id: str) -> Response:
    """One interaction with its messages, candidates, conflicts, and a page each of its feedback and its events."""
    return read(lambda c: interactions.find_interaction(c, project(), interaction_id, blind(c), places(MAX_LIMIT)))


@blueprint.get("/visible")
@needs("feedback.read")
def get_visible() -> Response:
    """Which of the named events the tables do not hold yet."""
    wanted = request.args.getlist("event_id")
    if len(wanted) > MAX_VISIBLE:
        raise ThumbwheelError("too_many", f"{len(wanted)} event ids.", f"Ask for at most {MAX_VISIBLE}.", "event_id")
    return read(lambda cursor: {"missing": interactions.missing_events(cursor, project(), wanted)})
