"""Interactions: what was asked, what was shown, what people said about it, and a reviewer's undo of it."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, g, redirect, render_template, request, url_for

from processor.console.data_api.answers import blind, paging, places
from processor.console.permissions import needs
from processor.console.services import datasets, project, reading
from processor.console.wishes import may_be_taken_back, take_back
from processor.queries.interactions import SHOW, filter_values, find_interaction, list_interactions
from processor.queries.lineage import lineage
from processor.queries.reading import Page
from processor.steps.limit import EACH, PEOPLE

blueprint = Blueprint("interactions", __name__, url_prefix="/interactions")
HISTORY_ROWS = 50
FILTERS = ("q", "label", "surface", "source", "show")


@blueprint.get("")
@needs("feedback.read")
def index() -> Any:
    """List interactions, newest first, with filters."""
    chosen: dict[str, Any] = {name: request.args.get(name, "") for name in FILTERS}
    with reading() as cursor:
        page = list_interactions(cursor, project(), blind=blind(cursor), **paging(), **chosen)
        values = filter_values(cursor, project())
    return render_template(
        "interactions.html", page=page, chosen=chosen, values=values, shows=SHOW, filtered=any(chosen.values())
    )


@blueprint.get("/<path:interaction_id>")
@needs("feedback.read")
def detail(interaction_id: str) -> Any:
    """Show one interaction with everything known about it, and what it has shaped."""
    with reading() as cursor:
        found = find_interaction(cursor, project(), interaction_id, blind(cursor), places(HISTORY_ROWS))
        shaped = lineage(cursor, project(), datasets(), interaction_id)
    numbers = {candidate["candidate_id"]: candidate["position"] + 1 for candidate in found["candidates"]}
    return render_template(
        "interaction.html", found=found, shaped=shaped, places=numbers,
        limits={"people": PEOPLE, "each": EACH}, feedback=Page(found["feedback"], found["feedback_next"]),
        events=Page(found["events"], found["events_next"]), may_retract=g.user.may("vote.retract"),
        may_be_taken_back=may_be_taken_back, taken_back=request.args.get("taken_back"),
    )  # fmt: skip


@blueprint.post("/<path:interaction_id>/retract")
@needs("vote.retract")
def retract(interaction_id: str) -> Any:
    """Take back a vote on this interaction, whoever gave it."""
    reason = request.form.get("reason", "").strip()
    take_back(g.user, project(), interaction_id, request.form.get("target", ""), reason)
    return redirect(url_for(".detail", interaction_id=interaction_id, taken_back=1), 303)
