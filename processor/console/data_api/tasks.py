"""In: `/api/v1/tasks`, `/api/v1/answers`. Out: tasks, how far they are, items and answers; POST makes and changes.

A task's answers come as JSON lines from `/export`: every one, those that no longer count too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

import duckdb
from flask import Blueprint, Response, g, request, stream_with_context
from flask import json as flask_json

from contract.errors import ThumbwheelError
from processor.console.curation.tasking import add_items, add_matching, define_task, set_state
from processor.console.data_api.answers import answer, json_body, paging, read, slice_page
from processor.console.permissions import needs
from processor.console.services import project, reading, services
from processor.curation.tasks import Task
from processor.queries.curation.answers import list_answers
from processor.queries.reading import Row, jsonable
from processor.queries.tasks import find_item, get_task, list_items, list_tasks, progress, stuck_items

blueprint = Blueprint("api_tasks", __name__, url_prefix="/api/v1")
# An export is read by such pages.
AT_ONCE = 5000


@blueprint.get("/tasks")
@needs("task.read")
def get_tasks() -> Response:
    """Tasks, newest first."""
    return read(lambda cursor: slice_page([one.as_dict() for one in list_tasks(cursor, project())], "task_id"))


@blueprint.get("/tasks/<task_id>")
@needs("task.read")
def get_one(task_id: str) -> Response:
    """One task, how far it is, and what does not go on by itself."""

    def found(cursor: duckdb.DuckDBPyConnection) -> Row:
        task = get_task(cursor, project(), task_id)
        counts = progress(cursor, project(), task, services().books)
        stuck = stuck_items(cursor, project(), task, services().books)
        return task.as_dict() | {"progress": asdict(counts), "stuck": [one.as_dict() for one in stuck]}

    return read(found)


@blueprint.post("/tasks")
@needs("task.edit")
def post_task() -> Response:
    """Define a task: the fields of `definition.task`; with `version`, the one that was read, define it anew."""
    return answer(define_task(g.user, project(), json_body()).as_dict(), 201)


@blueprint.get("/tasks/<task_id>/items")
@needs("task.read")
def get_items(task_id: str) -> Response:
    """A task's items in the order they entered, with where each stands; `state` keeps those that stand there."""
    state = request.args.get("state")
    return read(lambda cursor: list_items(
        cursor, project(), get_task(cursor, project(), task_id), state=state, books=services().books, **paging(),
    ))  # fmt: skip


@blueprint.get("/tasks/<task_id>/item")
@needs("task.read")
def get_item(task_id: str) -> Response:
    """One item, `interaction` and `unit`."""
    item = (request.args.get("interaction", ""), request.args.get("unit", ""))
    return read(lambda cursor: find_item(
        cursor, project(), get_task(cursor, project(), task_id), item, services().books,
    ).as_dict())  # fmt: skip


@blueprint.post("/tasks/<task_id>/items")
@needs("task.edit")
def post_items(task_id: str) -> Response:
    """Take in {"items": [{"interaction_id", "unit"}]}, or what {"query": {...}} matches now."""
    body, task = json_body(), _task(task_id)
    if body.keys() == {"items"}:
        return answer(add_items(g.user, project(), task, body["items"]), 202)
    if body.keys() == {"query"} and isinstance(body["query"], dict):
        return answer(add_matching(g.user, project(), task, body["query"]), 202)
    raise ThumbwheelError("invalid_task", "Neither items nor a query.", "Send one of items and query.", "items")


@blueprint.post("/tasks/<task_id>/state")
@needs("task.edit")
def post_state(task_id: str) -> Response:
    """Open, pause or close a task: {"state", "reason"?}."""
    body = json_body()
    set_state(g.user, project(), _task(task_id), body.get("state"), body.get("reason"))
    return answer({"task_id": task_id, "state": body["state"]}, 202)


@blueprint.get("/tasks/<task_id>/export")
@needs("task.read")
def get_export(task_id: str) -> Response:
    """Every answer of a task, an object a line, in the order they were received."""
    name = _task(task_id).task_id
    headers = {"Content-Disposition": f'attachment; filename="{name}.answers.jsonl"'}
    return Response(_lines(project(), name), mimetype="application/x-ndjson", headers=headers)


def _lines(of: str, task_id: str) -> Iterator[str]:
    """Yield the lines of an export, read by pages: whoever takes long holds up nobody."""
    store = services().store

    def lines() -> Iterator[str]:
        after: str | None = None
        while True:
            with store.read() as cursor:
                found = list_answers(cursor, of, {"task": task_id}, after, AT_ONCE)
            yield from (flask_json.dumps(jsonable(row), ensure_ascii=False) + "\n" for row in found.items)
            if (after := found.next) is None:
                return

    return stream_with_context(lines())


@blueprint.get("/answers")
@needs("task.read")
def get_answers() -> Response:
    """Answers in the order they were received, by `task`, `label`, `actor`, `interaction` and `state`."""
    given = {name: request.args.get(name) for name in ("task", "label", "actor", "interaction", "state")}
    return read(lambda cursor: list_answers(cursor, project(), given, **paging()))


def _task(task_id: str) -> Task:
    with reading() as cursor:
        return get_task(cursor, project(), task_id)
