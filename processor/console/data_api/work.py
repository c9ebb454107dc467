"""In: `/api/v1/tasks/ID/next`, `/submit` and so on. Out: the next item of a person, and what became of an answer.

A session works for its own person; a secret key names one: `{"as": "ann", ...}`.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, request
from msgspec import to_builtins

from contract.errors import ThumbwheelError
from processor.console.curation import work
from processor.console.data_api.answers import answer, json_body
from processor.console.permissions import needs

blueprint = Blueprint("api_work", __name__, url_prefix="/api/v1")


@blueprint.get("/work")
@needs("label.work")
def get_work() -> Response:
    """Return the tasks that this person may work on, and whether something waits in them."""
    items = [
        {**one, "title": to_builtins(one["title"]), "description": to_builtins(one["description"])}
        for one in work.my_tasks(work.worker(request.args.get("as")))
    ]
    return answer({"items": items, "next": None})


@blueprint.get("/tasks/<task_id>/guideline")
@needs("label.work")
def get_guideline(task_id: str) -> Response:
    """Return the guidelines of a task and of its labels."""
    return answer({"items": work.guidelines_of(work.worker(request.args.get("as")), task_id), "next": None})


@blueprint.post("/tasks/<task_id>/next")
@needs("label.work")
def post_next(task_id: str) -> Response:
    """Return the next item, besides those whose tokens are in `have`: then it is only loaded ahead."""
    who, body = _asked()
    have = body.get("have", [])
    if not isinstance(have, list) or len(have) > 20 or not all(isinstance(one, str) for one in have):
        raise ThumbwheelError("invalid_json", "have is no list of tokens.", "Send those you hold, 20 at most.", "have")
    return answer(work.next_item(who, task_id, frozenset(have)))


@blueprint.post("/tasks/<task_id>/renew")
@needs("label.work")
def post_renew(task_id: str) -> Response:
    """Keep an item, or begin with one that was loaded ahead."""
    who, body = _asked()
    return answer(work.renew(who, task_id, str(body.get("token", ""))))


@blueprint.post("/tasks/<task_id>/draft")
@needs("label.work")
def post_draft(task_id: str) -> Response:
    """Keep what is written so far."""
    who, body = _asked()
    return answer(work.keep_draft(who, task_id, body))


@blueprint.post("/tasks/<task_id>/submit")
@needs("label.work")
def post_submit(task_id: str) -> Response:
    """Take answers in: {"token", "answers": {path: value}, "comment"?, "active_ms"?}."""
    who, body = _asked()
    return answer(work.submit(who, task_id, body))


@blueprint.post("/tasks/<task_id>/skip")
@needs("label.work")
def post_skip(task_id: str) -> Response:
    """Take in that this person cannot answer the item: {"token", "reason"}."""
    who, body = _asked()
    return answer(work.skip(who, task_id, body))


@blueprint.post("/tasks/<task_id>/postpone")
@needs("label.work")
def post_postpone(task_id: str) -> Response:
    """Put an item off to the end of this person's queue."""
    who, body = _asked()
    return answer(work.postpone(who, task_id, body))


@blueprint.post("/tasks/<task_id>/undo")
@needs("label.work")
def post_undo(task_id: str) -> Response:
    """Take back what this person submitted or skipped last, or under the token."""
    who, body = _asked()
    return answer(work.undo(who, task_id, body))


def _asked() -> tuple[work.Worker, dict[str, Any]]:
    body = json_body()
    return work.worker(body.get("as")), body
