"""In: `GET /api/v1/rejected`, `/refused`. Out: rejected events with their reasons; refused requests by origin."""

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
    unknown = _sees_unknown()
    code = request.args.get("code")
    return read(lambda c: rejected.list_rejected(c, project(), code=code, unknown=unknown, **paging()))


@blueprint.get("/refused")
@needs("rejected.read")
def get_refused() -> Response:
    """Requests the collector refused whole, by reason, origin and key."""
    unknown = _sees_unknown()
    return read(lambda c: {"items": rejected.list_refused(c, project(), unknown=unknown), "next": None})


def _sees_unknown() -> bool:
    """Say whether the caller sees what came under a key nobody knows: it belongs to no project."""
    return g.user.key is None or g.user.is_service
