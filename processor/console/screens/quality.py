"""In: a label or a task. Out: the page of how far people agree on it, who is right how often, and what is flagged."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, render_template, request

from processor.console.curation.measuring import asked_quality
from processor.console.permissions import needs

blueprint = Blueprint("quality", __name__)
# Pairs of people that are shown: those who share most items.
MOST_PAIRS = 50


@blueprint.get("/agreement")
@needs("task.read")
def show() -> Any:
    """Show the figures of `label` over all tasks, or of each label of `task`."""
    label, task_id = request.args.get("label"), request.args.get("task")
    found = asked_quality(label, task_id)
    pairs = {one.label: sorted(one.pairs, key=lambda pair: -pair.shared)[:MOST_PAIRS] for one in found}
    return render_template("quality.html", found=found, pairs=pairs, label=label, task_id=task_id, most=MOST_PAIRS)
