"""In: `/api/v1/agreement`, a label or a task. Out: how far people agree, who is right how often, what is flagged."""

from __future__ import annotations

from flask import Blueprint, Response, request

from processor.console.curation.measuring import asked_quality
from processor.console.data_api.answers import answer
from processor.console.permissions import needs

blueprint = Blueprint("api_quality", __name__, url_prefix="/api/v1")


@blueprint.get("/agreement")
@needs("task.read")
def get_agreement() -> Response:
    """The figures of `label` over all tasks, or of each label of `task`."""
    found = asked_quality(request.args.get("label"), request.args.get("task"))
    return answer({"items": [one.as_dict() for one in found], "next": None})
