"""In: `GET /api/v1/support`. Out: blind tests and what they decide."""

from __future__ import annotations

from flask import Blueprint, Response

from processor.console.data_api.answers import read, refuse_while_behind
from processor.console.permissions import needs
from processor.console.services import datasets, project, services
from processor.queries.trials import list_support

blueprint = Blueprint("api_support", __name__, url_prefix="/api/v1")


@blueprint.get("/support")
@needs("trial.read")
def get_support() -> Response:
    """Blind tests, newest first, and comparisons of a size fixed beforehand."""
    refuse_while_behind()
    return read(lambda c: {**list_support(c, project(), services().settings, datasets()), "next": None})
