"""In: `/api/v1/training`. Out: the settings of the project's training runs; PUT replaces what the project has set."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, g

from contract.run_settings import check_project
from processor.console.data_api.answers import answer, json_body
from processor.console.permissions import needs
from processor.console.services import project, services, training

blueprint = Blueprint("api_training", __name__, url_prefix="/api/v1/training")


def training_view() -> dict[str, Any]:
    """Return what is set here, what `thumbwheel.toml` says, and `settings`, what holds: the project's own win."""
    stored = training().find(project())
    file = services().settings.training_of(project())
    return {
        "project": project(), "settings": {**file, **stored.values}, "stored": stored.values, "file": file,
        "changed_at": stored.changed_at, "changed_by": stored.changed_by,
    }  # fmt: skip


@blueprint.get("")
@needs("model.read")
def get_training() -> Response:
    """What holds for the project's runs, and where it comes from."""
    return answer(training_view())


@blueprint.put("")
@needs("model.command")
def put_training() -> Response:
    """Replace what the project has set: an object of settings, null taking one back."""
    training().put(project(), check_project(json_body()), g.user.name)
    return get_training()
