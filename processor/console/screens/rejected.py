"""Rejected events: what could not be taken in, with the reason and the first bytes."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, render_template, request, url_for

from processor.console import charts
from processor.console.data_api.answers import paging
from processor.console.permissions import needs
from processor.console.services import project, reading
from processor.queries.rejected import list_rejected, rejected_counts

blueprint = Blueprint("rejected", __name__, url_prefix="/rejected")


@blueprint.get("")
@needs("rejected.read")
def index() -> Any:
    """List rejected events, newest first."""
    code = request.args.get("code", "")
    with reading() as cursor:
        page = list_rejected(cursor, project(), code=code, unknown=True, **paging())
        counts = rejected_counts(cursor, project(), unknown=True)
    bars = charts.bar_rows({row["code"]: row["n"] for row in counts})
    for bar in bars:
        bar["label"], bar["href"] = bar["code"], url_for(".index", code=bar["code"])
    return render_template("rejected.html", page=page, reason_bars=bars, chosen=code)
