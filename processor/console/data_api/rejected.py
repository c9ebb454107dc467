"""In: `GET /api/v1/rejected`. Out: rejected events with their reasons."""

from __future__ import annotations

from flask import Blueprint, Response, g, request

from processor.console.data_api.answers import paging, read
from processor.console.permissions import needs
from processor.console.services import project
from processor.queries import rejected

blueprint = Blueprint("api_rejected", __name__, url_prefix="/api/v1")


@blueprint.get("/rejected")
@needs("rejected.read")
def get_rejected() -> Response:
    """Rejected events, newest first, filtered by code."""
    unknown = g.user.key is None or g.user.key.kind == "service"
    code = request.args.get("code")
    return read(lambda c: rejected.list_rejected(c, project(), code=code, unknown=unknown, **paging()))
