"""Blind tests: how each stands, for whom its result holds, why picks did not count, and a decision counted anew."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, render_template

from processor.console.permissions import needs
from processor.console.services import datasets, project, reading, services
from processor.console.watching import for_caller, may_watch
from processor.queries.reading import NotFound
from processor.queries.trials import conceal, list_support, recount
from trials.picks import PICKS_NEEDED, picks_needed

blueprint = Blueprint("trials", __name__, url_prefix="/trials")
RATES = (0.6, 0.7, 0.8)


@blueprint.get("")
@needs("trial.read")
def index() -> Any:
    """List blind tests, newest first, and what a decision needs."""
    with reading() as cursor:
        found = for_caller(list_support(cursor, project(), services().settings, datasets()))
    needed = [(raters, [picks_needed(raters, rate) for rate in RATES]) for raters in sorted(PICKS_NEEDED)]
    return render_template(
        "trials.html", tests=found["items"], comparisons=found["comparisons"], rollbacks=found["rollbacks"],
        needed=needed, rates=RATES,
    )  # fmt: skip


@blueprint.get("/<adapter_id>")
@needs("trial.read")
def detail(adapter_id: str) -> Any:
    """Show an adapter's newest blind test."""
    with reading() as cursor:
        found = recount(cursor, project(), services().settings, datasets(), adapter_id)
    if found is None:
        raise NotFound("unknown_trial", f"{adapter_id!r} was under no blind test.", "See the list of blind tests.")
    item = {**found["item"], "concealed": False} if may_watch() else conceal(found["item"])
    return render_template("trial.html", t=item, decided=found["decided"], gone=found["gone"])
