"""Adapters: their history, where they came from, and the wishes to promote or roll back one."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, g, redirect, render_template, request, url_for

from processor.console.permissions import needs
from processor.console.screens.overview import timeline
from processor.console.services import datasets, project, reading, services
from processor.console.watching import for_caller
from processor.console.wishes import append_wish
from processor.queries.facts import list_adapters, list_requests
from processor.queries.lineage import lineage
from processor.queries.reading import NotFound
from processor.queries.trials import list_support

blueprint = Blueprint("adapters", __name__, url_prefix="/adapters")
SHOWN_EVENTS = 200


@blueprint.get("")
@needs("trial.read")
def index() -> Any:
    """List adapters with the timeline of the aliases."""
    with reading() as cursor:
        found = list_adapters(cursor, project())
        tests = for_caller(list_support(cursor, project(), services().settings, datasets()))["items"]
        waiting = [wish for wish in list_requests(cursor, project()) if not wish["handled"]]
    by_adapter = {test["challenger"]: test for test in reversed(tests)}
    return render_template(
        "adapters.html", found=found, tests=by_adapter, changes=timeline(found["items"]), waiting=waiting,
        asked=request.args.get("asked"), may=g.user.may("model.command"),
    )  # fmt: skip


@blueprint.get("/<adapter_id>")
@needs("trial.read")
def detail(adapter_id: str) -> Any:
    """Show one adapter down to the feedback events it was trained on."""
    with reading() as cursor:
        found = list_adapters(cursor, project())
        if adapter_id not in {item["adapter_id"] for item in found["items"]}:
            raise NotFound("unknown_adapter", f"No adapter {adapter_id!r}.", "See the list of adapters.")
        line = lineage(cursor, project(), datasets(), adapter_id)
        tests = for_caller(list_support(cursor, project(), services().settings, datasets()))
    return render_template(
        "adapter.html", line=line, adapter=line["adapter"], champion=found["champion"], may=g.user.may("model.command"),
        tests=[t for t in tests["items"] if t["challenger"] == adapter_id],
        comparisons=[t for t in tests["comparisons"] if t["challenger"] == adapter_id],
        events=line["events"][:SHOWN_EVENTS],
    )  # fmt: skip


@blueprint.post("/<adapter_id>/promote")
@needs("model.command")
def promote(adapter_id: str) -> Any:
    """Ask the trainer to make this adapter the champion."""
    reason = request.form.get("reason", "").strip() or None
    append_wish(g.user, project(), {"type": "promote", "adapter_id": adapter_id, "reason": reason})
    return redirect(url_for(".index", asked="promote"), 303)


@blueprint.post("/roll-back")
@needs("model.command")
def roll_back() -> Any:
    """Ask the trainer to go back to the champion before."""
    reason = request.form.get("reason", "").strip() or None
    append_wish(g.user, project(), {"type": "roll_back", "reason": reason})
    return redirect(url_for(".index", asked="roll_back"), 303)


@blueprint.post("/train")
@needs("model.command")
def train() -> Any:
    """Ask the trainer to train on what is new."""
    append_wish(g.user, project(), {"type": "train", "method": "auto"})
    return redirect(url_for(".index", asked="train"), 303)
