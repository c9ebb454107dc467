"""In: `GET /api/v1/support`, `/api/v1/trials/ID`. Out: blind tests, what they decide, and a decision counted anew."""

from __future__ import annotations

from typing import Any

import duckdb
from flask import Blueprint, Response

from processor.console.data_api.answers import read, refuse_while_behind
from processor.console.permissions import needs
from processor.console.services import datasets, project, services
from processor.console.watching import for_caller, may_watch
from processor.queries.reading import NotFound
from processor.queries.trials import basis, conceal, list_support, recount

blueprint = Blueprint("api_support", __name__, url_prefix="/api/v1")


@blueprint.get("/support")
@needs("trial.read")
def get_support() -> Response:
    """Blind tests, newest first, and comparisons of a size fixed beforehand."""
    refuse_while_behind()

    def found(cursor: duckdb.DuckDBPyConnection) -> dict[str, Any]:
        told = for_caller(list_support(cursor, project(), services().settings, datasets()))
        return {**told, "basis": basis(cursor), "next": None}

    return read(found)


@blueprint.get("/trials/<adapter_id>")
@needs("trial.read")
def get_trial(adapter_id: str) -> Response:
    """One adapter's newest blind test: what it was decided on, and the same figures counted anew."""

    def found(cursor: duckdb.DuckDBPyConnection) -> dict[str, Any]:
        told = recount(cursor, project(), services().settings, datasets(), adapter_id)
        if told is None:
            raise NotFound("unknown_trial", f"{adapter_id!r} was under no blind test.", "See the list of blind tests.")
        if may_watch():
            return told
        item = conceal(told["item"])
        return {**told, "item": item, "recount": None if item["concealed"] else told["recount"]}

    return read(found)
