"""In: a guest link. Out: its task's page for whoever has it. For managers: the links of a task, made and revoked."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, g, redirect, render_template, request, url_for

from contract.errors import ThumbwheelError
from processor.console.access import GUEST_COOKIE
from processor.console.data_api.guests import make_links
from processor.console.permissions import needs
from processor.console.services import guests, project, reading
from processor.queries.tasks import get_task

blueprint = Blueprint("guests", __name__)
_COOKIE_DAYS = 365


@blueprint.get("/guest/<token>")
def enter(token: str) -> Any:
    """Let a guest in; the cookie opens what the link opens, no longer than it."""
    guest = guests().enter(token)
    if guest is None:
        raise ThumbwheelError(
            "link_closed", "This link is not open any more.", "Ask whoever gave it to you for another.", None, 410
        )
    g.project = guest.project
    response = redirect(url_for("label.work_on", task_id=guest.task_id), 303)
    response.set_cookie(
        GUEST_COOKIE, token, max_age=_COOKIE_DAYS * 86_400, httponly=True, samesite="Lax", secure=request.is_secure
    )
    return response


@blueprint.get("/tasks/<task_id>/guests")
@needs("guest.edit")
def index(task_id: str) -> Any:
    """List the links of a task."""
    return _page(task_id)


@blueprint.post("/tasks/<task_id>/guests")
@needs("guest.edit")
def create(task_id: str) -> Any:
    """Make links from the form and show their addresses, this once."""
    form = request.form
    try:
        made = make_links(task_id, _whole(form.get("days", "7"), "days"), _whole(form.get("count", "1"), "count"))
    except ThumbwheelError as error:
        return _page(task_id, problem=error), error.status
    return _page(task_id, made=made)


@blueprint.post("/tasks/<task_id>/guests/<link_id>/revoke")
@needs("guest.edit")
def revoke(task_id: str, link_id: str) -> Any:
    """Close a link."""
    guests().revoke(project(), link_id)
    return redirect(url_for(".index", task_id=task_id), 303)


def _page(task_id: str, made: Any = (), problem: ThumbwheelError | None = None) -> str:
    with reading() as cursor:
        task = get_task(cursor, project(), task_id)
    return render_template(
        "guests.html", task=task, links=guests().listed(project(), task_id), made=made, problem=problem,
        given=request.form,
    )  # fmt: skip


def _whole(text: str, field: str) -> int:
    if not text.strip().isdigit():
        raise ThumbwheelError("guest_count", f"{text!r} is no whole number.", "For example 7.", field)
    return int(text)
