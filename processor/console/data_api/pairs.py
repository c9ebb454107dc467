"""In: `GET /api/v1/pairs`. Out: preference pairs with the vote behind them."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, request

from processor.console.data_api.answers import blind, paging, read
from processor.console.permissions import needs
from processor.console.services import project
from processor.queries import pairs

blueprint = Blueprint("api_pairs", __name__, url_prefix="/api/v1")


@blueprint.get("/pairs")
@needs("feedback.read")
def get_pairs() -> Response:
    """Pairs, newest first, filtered by kind, model, interaction, trainable (true or false)."""
    given: dict[str, Any] = {name: request.args.get(name) for name in ("kind", "model", "interaction")}
    trainable = {"true": True, "false": False}.get(request.args.get("trainable", ""))
    return read(lambda c: pairs.list_pairs(c, project(), blind=blind(c), trainable=trainable, **paging(), **given))
