"""The settings of a project's own training runs: the form, and where each value that holds comes from."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, g, redirect, render_template, request, url_for
from flask_babel import get_locale

from contract.errors import ThumbwheelError
from contract.run_settings import PERIODIC, SETTINGS, check_project
from processor.console.data_api.training import training_view
from processor.console.permissions import needs
from processor.console.services import project, training

blueprint = Blueprint("training", __name__, url_prefix="/runs/settings")


@blueprint.get("")
@needs("model.read")
def show() -> Any:
    """Show the settings."""
    return _page()


@blueprint.post("")
@needs("model.command")
def change() -> Any:
    """Replace the settings by the form's; what a stage has of its own stays. Say beside the form what was wrong."""
    stored = training().find(project()).values
    own = {name: value for name, value in stored.items() if name not in PERIODIC}
    given = {name: request.form[name].strip() for name in PERIODIC if request.form.get(name, "").strip()}
    try:
        training().put(project(), check_project({**own, **given}), g.user.name)
    except ThumbwheelError as error:
        return _page(error), error.status
    return redirect(url_for(".show", saved=1), 303)


def _page(problem: ThumbwheelError | None = None) -> str:
    view = training_view()
    given = request.form if problem else view["stored"]
    fields = [{"name": name, "about": SETTINGS[name], "meaning": _meaning(name)} for name in PERIODIC]
    own = {name: value for name, value in view["stored"].items() if name not in PERIODIC}
    return render_template(
        "training.html", fields=fields, given=given, own=own, view=view, problem=problem,
        saved=request.args.get("saved"), may_edit=g.user.may("model.command"),
    )  # fmt: skip


def _meaning(name: str) -> str:
    about = SETTINGS[name]
    return about.zh if str(get_locale() or "en").startswith("zh") else about.en
