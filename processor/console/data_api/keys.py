"""In: `GET /api/v1/keys/audit`. Out: what happened to the keys."""

from __future__ import annotations

from flask import Blueprint, Response

from processor.console.data_api.answers import answer
from processor.console.permissions import needs
from processor.console.services import project, services

blueprint = Blueprint("api_keys", __name__, url_prefix="/api/v1")


@blueprint.get("/keys/audit")
@needs("key.audit")
def get_key_changes() -> Response:
    """What happened to the project's keys, newest first: created, rotated, revoked, other origins, by whom, when."""
    return answer({"items": [change.as_dict() for change in services().control.list_key_changes(project())]})
