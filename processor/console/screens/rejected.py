"""Rejected events with reason and first bytes; refused requests by reason and origin."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, render_template, request, url_for

from contract.errors import ThumbwheelError
from control_store.origins import check_origin
from processor.console import charts
from processor.console.data_api.answers import paging
from processor.console.permissions import needs
from processor.console.services import project, reading
from processor.queries.rejected import list_refused, list_rejected, rejected_counts

blueprint = Blueprint("rejected", __name__, url_prefix="/rejected")


@blueprint.get("")
@needs("rejected.read")
def index() -> Any:
    """List rejected events, newest first."""
    code = request.args.get("code", "")
    with reading() as cursor:
        page = list_rejected(cursor, project(), code=code, unknown=True, **paging())
        counts = rejected_counts(cursor, project(), unknown=True)
        refused = list_refused(cursor, project(), unknown=True)
    for row in refused:
        row["may_allow"] = row["code"] == "origin_not_allowed" and _is_origin(row["origin"])
    bars = charts.bar_rows({row["code"]: row["n"] for row in counts})
    for bar in bars:
        bar["href"] = url_for(".index", code=bar["code"])
    return render_template("rejected.html", page=page, refused=refused, reason_bars=bars, chosen=code)


def _is_origin(origin: str | None) -> bool:
    """Say whether this may stand in a command for people to copy: anybody can send anything as an origin."""
    try:
        return origin is not None and check_origin(origin) == origin
    except ThumbwheelError:
        return False
