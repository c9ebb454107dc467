"""In: `/api/v1/tasks/ID/guests`. Out: links for people without a user: made, listed, revoked."""

from __future__ import annotations

from datetime import timedelta

from flask import Blueprint, Response, g, url_for

from contract.errors import ThumbwheelError
from control_store.guests import MOST_AT_ONCE
from processor.console.data_api.answers import answer, json_body
from processor.console.permissions import needs
from processor.console.services import guests, project, reading
from processor.curation.tasks import reaches
from processor.queries.tasks import get_task

blueprint = Blueprint("api_guests", __name__, url_prefix="/api/v1")


@blueprint.get("/tasks/<task_id>/guests")
@needs("guest.edit")
def get_guests(task_id: str) -> Response:
    """Return the links of a task, oldest first; what opens one was told once."""
    return answer({"items": [one.as_dict() for one in guests().listed(project(), task_id)], "next": None})


@blueprint.post("/tasks/<task_id>/guests")
@needs("guest.edit")
def post_guests(task_id: str) -> Response:
    """Make links: {"days": 7, "count": 1}; each is one person."""
    body = json_body()
    made = make_links(task_id, body.get("days", 7), body.get("count", 1))
    return answer({"items": made, "next": None}, 201)


@blueprint.post("/guests/<link_id>/revoke")
@needs("guest.edit")
def post_revoke(link_id: str) -> Response:
    """Close a link at once; what came through it stays."""
    return answer(guests().revoke(project(), link_id).as_dict())


def make_links(task_id: str, days: object, count: object) -> list[dict[str, object]]:
    """Make links and return each with its address, which is told only now; raises ThumbwheelError."""
    with reading() as cursor:
        task = get_task(cursor, project(), task_id)
    if not any(stage.kind == "answer" and reaches("crowd", stage.tier) for stage in task.stages):
        raise ThumbwheelError(
            "no_crowd", "The task asks nobody of the crowd.", "Give it a stage whose tier is crowd.", None, 409
        )
    if not isinstance(days, int) or not isinstance(count, int) or not 1 <= count <= MOST_AT_ONCE:
        raise ThumbwheelError(
            "guest_count", "So many links cannot be made.",
            f"Send whole numbers: days, and count from 1 to {MOST_AT_ONCE}.", "count",
        )  # fmt: skip
    made = []
    for _ in range(count):
        guest, token = guests().create(project(), task_id, g.user.name, timedelta(days=days))
        made.append(guest.as_dict() | {"url": url_for("guests.enter", token=token, _external=True)})
    return made
