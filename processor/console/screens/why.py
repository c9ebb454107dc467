"""In: the id of a row. Out: the page of every stage it passed, from what was shown to the adapters it shaped."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, render_template

from processor.console.data_api.answers import blind
from processor.console.permissions import needs
from processor.console.services import datasets, project, reading
from processor.queries.curation.why import why

blueprint = Blueprint("why", __name__, url_prefix="/why")


@blueprint.get("/<path:row_id>")
@needs("feedback.read")
def show(row_id: str) -> Any:
    """Show one row with all that led to it and all that came of it."""
    with reading() as cursor:
        found = why(cursor, project(), datasets(), row_id, blind(cursor))
    return render_template("why.html", found=found, row=found["row"])
