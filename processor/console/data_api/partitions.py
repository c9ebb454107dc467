"""How far each partition is: what is behind is named on every page, in the data API and in datasets."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Flask, request

from contract.errors import ThumbwheelError
from processor.console.data_api.answers import answer
from processor.console.permissions import needs
from processor.console.services import Services, services

blueprint = Blueprint("api_partitions", __name__, url_prefix="/api/v1")


class HoldsOwn(ThumbwheelError):
    """This processor has only the partitions it owns: pages over them would be wrong."""

    status = 503


def install(app: Flask) -> None:
    """Tell templates what is behind; where only own partitions are held, answer for health and partitions alone."""
    app.context_processor(lambda: {"behind": services().freshness.behind})
    found: Services = app.extensions["thumbwheel"]
    if found.settings.processor_holds == "own":
        app.before_request(_refuse)


def _refuse() -> None:
    if request.blueprint not in ("health", "api_partitions") and request.endpoint != "static":
        raise HoldsOwn(
            "holds_own", "This processor holds its own partitions only.",
            "Open the console of a processor with THUMBWHEEL_PROCESSOR_HOLDS=all.",
        )  # fmt: skip


@blueprint.get("/partitions")
@needs("console.enter")
def get_partitions() -> Any:
    """Return the partitions of the events topic: next offset, the log's end, and whether the tables are behind."""
    return answer({"items": services().freshness.partitions(), "next": None})
