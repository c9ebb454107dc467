"""Pairs: what can be learnt from, each beside the vote it came from."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, render_template, request

from processor.console.data_api.answers import blind, paging
from processor.console.permissions import needs
from processor.console.services import project, reading
from processor.queries.pairs import list_pairs, pair_counts, pair_models

blueprint = Blueprint("pairs", __name__, url_prefix="/pairs")
FILTERS = ("kind", "trainable", "model", "interaction")


@blueprint.get("")
@needs("feedback.read")
def index() -> Any:
    """List pairs, newest first, with filters."""
    chosen = {name: request.args.get(name, "") for name in FILTERS}
    given: dict[str, Any] = {**chosen, "trainable": {"true": True, "false": False}.get(chosen["trainable"])}
    with reading() as cursor:
        page = list_pairs(cursor, project(), blind=blind(cursor), **paging(), **given)
        counts = pair_counts(cursor, project())
        models = pair_models(cursor, project())
    return render_template(
        "pairs.html", page=page, chosen=chosen, models=models, kinds=sorted({row["kind"] for row in counts}),
        total=sum(row["n"] for row in counts), filtered=any(chosen.values()),
    )  # fmt: skip
