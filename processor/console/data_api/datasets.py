"""In: `/api/v1/datasets`. Out: manifests and files; a POST builds one from what is stored."""

from __future__ import annotations

from flask import Blueprint, Response, send_file

from processor.console.data_api.answers import answer, json_body, read, refuse_while_behind, slice_page
from processor.console.permissions import needs
from processor.console.services import datasets, project, services
from processor.datasets import build_dataset

blueprint = Blueprint("api_datasets", __name__, url_prefix="/api/v1")


@blueprint.get("/datasets")
@needs("dataset.read")
def get_datasets() -> Response:
    """Manifests, newest first."""
    return read(lambda _: slice_page(datasets().manifests(), "dataset_id"))


@blueprint.get("/datasets/<dataset_id>")
@needs("dataset.read")
def get_dataset(dataset_id: str) -> Response:
    """One manifest."""
    return answer(datasets().manifest(dataset_id))


@blueprint.get("/datasets/<dataset_id>/files/<path:name>")
@needs("dataset.read")
def get_dataset_file(dataset_id: str, name: str) -> Response:
    """One file of a dataset."""
    return send_file(datasets().file(dataset_id, name), as_attachment=True, download_name=name.rsplit("/", 1)[-1])


@blueprint.post("/datasets")
@needs("dataset.build")
def post_dataset() -> Response:
    """Build a dataset with these filters and answer its manifest."""
    refuse_while_behind()
    found = services()
    behind = found.freshness.behind()
    return answer(build_dataset(found.store, found.log, found.settings, project(), json_body(), behind), 201)
