"""In: `GET /api/v1/runs`, `/facts`. Out: training runs with their metrics, and facts in order."""

from __future__ import annotations

from flask import Blueprint, Response, request

from processor.console.data_api.answers import read, slice_page
from processor.console.permissions import needs
from processor.console.services import project
from processor.queries import facts
from processor.queries.reading import Page

blueprint = Blueprint("api_runs", __name__, url_prefix="/api/v1")


@blueprint.get("/runs")
@needs("model.read")
def get_runs() -> Response:
    """Training runs, newest first."""
    return read(lambda cursor: slice_page(facts.list_runs(cursor, project()), "run_id"))


@blueprint.get("/runs/<run_id>")
@needs("model.read")
def get_run(run_id: str) -> Response:
    """One run with its metrics by step."""
    return read(lambda cursor: facts.find_run(cursor, project(), run_id))


@blueprint.get("/facts")
@needs("model.read")
def get_facts() -> Response:
    """Facts in order, by type (or its family) and subject."""
    kind, subject = request.args.get("type"), request.args.get("subject")
    return read(lambda cursor: Page(facts.list_facts(cursor, project(), kind, subject)))
