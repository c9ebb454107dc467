"""Runs: what was trained on what, and how it went."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, render_template

from processor.console import charts
from processor.console.permissions import needs
from processor.console.services import project, reading
from processor.queries.facts import find_run, list_runs

blueprint = Blueprint("runs", __name__, url_prefix="/runs")


@blueprint.get("")
@needs("model.read")
def index() -> Any:
    """List runs, newest first."""
    with reading() as cursor:
        items = list_runs(cursor, project())
    return render_template("runs.html", items=items)


@blueprint.get("/<run_id>")
@needs("model.read")
def detail(run_id: str) -> Any:
    """Show one run with its learning curves."""
    with reading() as cursor:
        run = find_run(cursor, project(), run_id)
    columns, rows = charts.curve_table(run["series"])
    return render_template("run.html", run=run, curves=charts.curve_charts(run["series"]), columns=columns, rows=rows)
