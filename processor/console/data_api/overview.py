"""In: `GET /api/v1/overview`, `/projects`, `/readiness`. Out: what the overview page shows; what training waits for."""

from __future__ import annotations

from typing import Any

import duckdb
from flask import Blueprint, Response, g

from control_store.keys import EVERY_PROJECT
from processor.console.access import known_projects
from processor.console.data_api.answers import answer, read, refuse_while_behind
from processor.console.permissions import needs
from processor.console.services import datasets, project, services
from processor.console.watching import for_caller
from processor.queries import overview
from processor.queries.trials import list_support

blueprint = Blueprint("api_overview", __name__, url_prefix="/api/v1")


@blueprint.get("/overview")
@needs("overview.read")
def get_overview() -> Response:
    """Everything the overview page shows."""

    def found(cursor: duckdb.DuckDBPyConnection) -> dict[str, Any]:
        trials = for_caller(list_support(cursor, project(), services().settings, datasets()))
        return overview.overview(cursor, project(), datasets(), trials)

    return read(found)


@blueprint.get("/projects")
@needs("console.enter")
def get_projects() -> Response:
    """Every project with a key or with data, and its number of events; a key of one project sees that one."""
    key = g.user.key
    own = key is not None and key.project != EVERY_PROJECT
    items = [{"project": name, "events": n} for name, n in known_projects().items() if not own or name == project()]
    return answer({"items": items, "next": None})


@blueprint.get("/readiness")
@needs("overview.read")
def get_readiness() -> Response:
    """What is new since the last finished run."""
    refuse_while_behind()
    return read(lambda cursor: overview.readiness(cursor, project(), services().settings, datasets()))
