"""In: `/api/v1/labels`. Out: the labels and how much they were answered; POST defines, moves and restores."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, g, request

from contract.errors import ThumbwheelError
from processor.console.curation.defining import define_label, define_labels, move_label, restore_label
from processor.console.data_api.answers import answer, json_body, read
from processor.console.permissions import needs
from processor.console.services import project
from processor.curation.labels import LabelDef, former_paths
from processor.queries.history_pages import labels_page
from processor.queries.labels import find_label, label_counts, label_health, label_history, list_labels
from processor.queries.reading import Page, Row, parse_limit

blueprint = Blueprint("api_labels", __name__, url_prefix="/api/v1/labels")


@blueprint.get("")
@needs("label.read")
def get_labels() -> Response:
    """Labels in order, each with the number of its interactions; of a defined one its definition and its answers."""
    limit, after = parse_limit(request.args.get("limit"), 200), request.args.get("cursor")

    def found(cursor: Any) -> Page:
        labels = list_labels(cursor, project())
        counts = label_counts(cursor, project(), labels)
        page = labels_page(cursor, project(), after, limit)
        items = [row | _told(labels.get(row["label"]), counts) for row in page.items]
        return Page(items, page.next)

    return read(found)


@blueprint.get("/<path:path>")
@needs("label.read")
def get_one(path: str) -> Response:
    """One label, its history, and its health."""

    def found(cursor: Any) -> dict[str, Any]:
        labels = list_labels(cursor, project())
        label = find_label(labels, path)
        history = [
            {"event_id": row["event_id"], "received_at": row["received_at"], "actor": row["actor"],
             "version": row["definition"].version}
            for row in label_history(cursor, project(), label.path)
        ]  # fmt: skip
        own = former_paths(labels, label.path)
        health = label_health(cursor, project(), own)
        return label.as_dict() | {"former_paths": own[1:], "history": history, "health": health}

    return read(found)


@blueprint.post("")
@needs("label.edit")
def post_label() -> Response:
    """Define a label: the fields of `definition.label`; `version` is the one that was read. Or several: `labels`."""
    body = json_body()
    if "labels" not in body:
        return answer(define_label(g.user, project(), body).as_dict(), 201)
    listed = body["labels"]
    if not isinstance(listed, list) or not listed or not all(isinstance(one, dict) for one in listed):
        raise ThumbwheelError("invalid_label", "labels is no list of labels.", "Send one object a label.", "labels")
    made = define_labels(g.user, project(), listed)
    return answer({"items": [label.as_dict() for label in made]}, 201)


@blueprint.post("/move")
@needs("label.edit")
def post_move() -> Response:
    """Give `path` the path `to`."""
    path, to = _texts("path", "to")
    return answer(move_label(g.user, project(), path, to).as_dict(), 201)


@blueprint.post("/restore")
@needs("label.edit")
def post_restore() -> Response:
    """Define `path` once more as the definition `event_id` had it."""
    path, event_id = _texts("path", "event_id")
    return answer(restore_label(g.user, project(), path, event_id).as_dict(), 201)


def _told(label: LabelDef | None, counts: dict[str, Row]) -> Row:
    return {} if label is None else label.as_dict() | {"counts": counts[label.path]}


def _texts(*names: str) -> list[str]:
    body = json_body()
    for name in names:
        if not isinstance(body.get(name), str) or not body[name]:
            raise ThumbwheelError("invalid_label", f"{name} is missing.", f"Send {' and '.join(names)} as text.", name)
    return [body[name] for name in names]
