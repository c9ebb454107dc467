"""In: `GET /api/v1/lineage/ID`, `GET /api/v1/why/ID`. Out: what came from it, or led to it; each stage of a row."""

from __future__ import annotations

from flask import Blueprint, Response

from processor.console.data_api.answers import blind, read
from processor.console.permissions import needs
from processor.console.services import datasets, project
from processor.queries.curation.why import why
from processor.queries.lineage import lineage

blueprint = Blueprint("api_lineage", __name__, url_prefix="/api/v1")


@blueprint.get("/lineage/<path:subject>")
@needs("feedback.read")
def get_lineage(subject: str) -> Response:
    """What came from, or led to, an event, interaction, dataset, run or adapter."""
    return read(lambda cursor: lineage(cursor, project(), datasets(), subject))


@blueprint.get("/why/<path:row_id>")
@needs("feedback.read")
def get_why(row_id: str) -> Response:
    """Every stage that a pair, a demonstration or an unpaired row passed, and what holds it."""
    return read(lambda cursor: why(cursor, project(), datasets(), row_id, blind(cursor)))
