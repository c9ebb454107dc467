"""The data API: `/api/v1/...` as JSON, for programs with a secret or service key and for a session."""

from __future__ import annotations

from flask import Blueprint, Response

from processor.console.data_api import (
    campaigns,
    datasets,
    forgetting,
    interactions,
    keys,
    labels,
    lineage,
    models,
    overview,
    pairs,
    partitions,
    rejected,
    requests,
    runs,
    support,
    tasks,
)
from processor.console.permissions import needs
from processor.queries.reading import NotFound

blueprint = Blueprint("api", __name__, url_prefix="/api/v1")
# The last one answers what none of the others does.
BLUEPRINTS = (*(resource.blueprint for resource in (
    overview, interactions, pairs, datasets, runs, models, support, rejected, lineage, requests, keys, campaigns,
    labels, forgetting, partitions, tasks,
)), blueprint)  # fmt: skip


@blueprint.route("/<path:rest>", methods=["GET", "POST"])
@needs("console.enter")
def unknown(rest: str) -> Response:
    """Anything else."""
    raise NotFound("unknown_address", f"The data API has no /{rest}.", "See the data API reference.")
