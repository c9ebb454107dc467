"""In: `GET /api/v1/models`. Out: adapters, the champion and the challenger."""

from __future__ import annotations

import duckdb
from flask import Blueprint, Response

from processor.console.data_api.answers import read, slice_page
from processor.console.permissions import needs
from processor.console.services import project
from processor.queries import facts
from processor.queries.reading import Row

blueprint = Blueprint("api_models", __name__, url_prefix="/api/v1")


@blueprint.get("/models")
@needs("model.read")
def get_models() -> Response:
    """Adapters, newest first, with the champion and the challenger."""

    def question(cursor: duckdb.DuckDBPyConnection) -> Row:
        found = facts.list_adapters(cursor, project())
        page = slice_page(found["items"], "adapter_id")
        return {**found, "items": page.items, "next": page.next}

    return read(question)
