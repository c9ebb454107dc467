"""Datasets: immutable folders, their counts, files and card, and the form that builds one."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, g, redirect, render_template, request, url_for

from contract.dataset_folder import CONFIGS, LINEAGE
from contract.errors import ThumbwheelError
from processor.console.permissions import needs
from processor.console.services import datasets, project, reading, services
from processor.datasets import build_dataset
from processor.queries.facts import list_adapters, list_runs

blueprint = Blueprint("datasets", __name__, url_prefix="/datasets")


@blueprint.get("")
@needs("dataset.read")
def index() -> Any:
    """List datasets, newest first."""
    return _page()


@blueprint.post("")
@needs("dataset.build")
def build() -> Any:
    """Build a dataset from the form; on success show it, else say what was wrong beside the form."""
    try:
        found = services()
        behind = found.freshness.behind()
        manifest = build_dataset(found.store, found.log, found.settings, project(), _filters(), behind)
    except ThumbwheelError as error:
        return _page(error), error.status
    return redirect(url_for(".detail", dataset_id=manifest["dataset_id"], built=1), 303)


def _page(problem: ThumbwheelError | None = None) -> str:
    with reading() as cursor:
        adapters = list_adapters(cursor, project())
        runs = list_runs(cursor, project())
    uses: dict[str, list[str]] = {}
    for run in runs:
        uses.setdefault(run["dataset_id"] or "", []).append(run["run_id"])
    return render_template(
        "datasets.html", items=datasets().manifests(), uses=uses, adapters=adapters, problem=problem,
        configs=CONFIGS, given=request.form, may_build=g.user.may("dataset.build"),
    )  # fmt: skip


def _filters() -> dict[str, Any]:
    """Return the form as filters of `build_dataset`; what was left empty keeps its default."""
    form = request.form
    filters: dict[str, Any] = {"kinds": form.getlist("kinds")}
    for name in ("include_labels", "exclude_labels"):
        filters[name] = form.get(name, "").replace(",", " ").split()
    for name in ("since", "policy"):
        if form.get(name):
            filters[name] = form[name] + ("T00:00:00Z" if name == "since" else "")
    if form.get("max_rows"):
        filters["max_rows"] = _number(form["max_rows"], "max_rows")
    return filters


def _number(text: str, field: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise ThumbwheelError("invalid_filters", f"{text!r} is no whole number.", "For example 288.", field) from error


@blueprint.get("/<dataset_id>")
@needs("dataset.read")
def detail(dataset_id: str) -> Any:
    """Show one dataset: counts, what was left out, files, card, and what was trained on it."""
    manifest = datasets().manifest(dataset_id)
    with reading() as cursor:
        runs = [run for run in list_runs(cursor, project()) if run["dataset_id"] == dataset_id]
        events = datasets().events_of(cursor, dataset_id)
    return render_template(
        "dataset.html", manifest=manifest, runs=runs, events=len(events),
        lineage=LINEAGE, built=request.args.get("built"), cards=datasets().cards(dataset_id),
    )  # fmt: skip
