"""In: the tasks of the tables and a form. Out: the list, a new task with its count and cost, one with its progress."""

from __future__ import annotations

from datetime import date
from typing import Any

import duckdb
from flask import Blueprint, g, redirect, render_template, request, url_for
from werkzeug.datastructures import MultiDict

from contract.errors import ThumbwheelError
from processor.console.curation.tasking import define_task, set_state
from processor.console.permissions import needs
from processor.console.services import project, reading, services
from processor.curation.query import parse_query
from processor.curation.standing import STANDINGS
from processor.curation.tasks import RANKS
from processor.queries.curation.book import KEPT
from processor.queries.curation.matching import UNITS, cost, count_matching
from processor.queries.labels import list_labels
from processor.queries.reading import Page, Row
from processor.queries.tasks import get_task, list_items, list_tasks, progress, stuck_items

blueprint = Blueprint("tasks", __name__, url_prefix="/tasks")
ORDERS = ("fixed", "random", "oldest", "disagreement")
KINDS = ("thumb", "choice", "pick", "edit")
DEFAULTS = {"unit": "interaction", "order": "fixed", "k": "2", "tier": "agent", "review": "0", "agree": "0",
            "extra": "0", "sample": "0", "reject_above": "0"}  # fmt: skip


@blueprint.get("")
@needs("task.read")
def index() -> Any:
    """List tasks, newest first, with how far those are whose books are kept."""
    with reading() as cursor:
        items = [
            (task, progress(cursor, project(), task, services().books) if place < KEPT else None)
            for place, task in enumerate(list_tasks(cursor, project()))
        ]
    return render_template("tasks.html", items=items, may_edit=g.user.may("task.edit"))


@blueprint.get("/new")
@needs("task.edit")
def new() -> Any:
    """Show the form of a new task, with what its query matches now and what asking that would cost."""
    return _form_page(request.args if request.args.keys() - {"project"} else MultiDict(DEFAULTS))


@blueprint.post("")
@needs("task.edit")
def create() -> Any:
    """Make a task from the form; say beside the form what was wrong."""
    try:
        task = define_task(g.user, project(), _task_of_form(request.form))
    except ThumbwheelError as error:
        return _form_page(request.form, error), error.status
    return redirect(url_for(".detail", task_id=task.task_id), 303)


@blueprint.get("/<task_id>")
@needs("task.read")
def detail(task_id: str) -> Any:
    """Show one task: progress by stage, person and label, what is stuck and why, its items."""
    state = request.args.get("state", "")
    with reading() as cursor:
        task = get_task(cursor, project(), task_id)
        books = services().books
        page = list_items(
            cursor, project(), task, state=state, after=request.args.get("cursor"), books=books
        ) if state else Page([])  # fmt: skip
        counts = progress(cursor, project(), task, books)
        stuck = stuck_items(cursor, project(), task, books)
        took = cost(cursor, project(), _left(counts.states), task.stage(task.first).k, task.labels)
    return render_template(
        "task.html", task=task, counts=counts, stuck=stuck, page=page, state=state, standings=STANDINGS, cost=took,
        may_edit=g.user.may("task.edit"),
    )  # fmt: skip


@blueprint.post("/<task_id>/state")
@needs("task.edit")
def change_state(task_id: str) -> Any:
    """Open, pause or close a task."""
    with reading() as cursor:
        task = get_task(cursor, project(), task_id)
    set_state(g.user, project(), task, request.form.get("state"), request.form.get("reason") or None)
    return redirect(url_for(".detail", task_id=task_id), 303)


def _left(states: dict[str, int]) -> int:
    return states.get("open", 0) + states.get("returned", 0)


def _form_page(given: Any, problem: ThumbwheelError | None = None) -> str:
    with reading() as cursor:
        labels = {path: one for path, one in list_labels(cursor, project()).items()
                  if not one.moved_to and not one.deprecated}  # fmt: skip
        matched, count_problem = _matched(cursor, given)
    return render_template(
        "task_new.html", given=given, chosen=given.getlist("labels"), kinds=given.getlist("kinds"), labels=labels,
        problem=problem, matched=matched, count_problem=count_problem, units=UNITS, orders=ORDERS, tiers=tuple(RANKS),
        feedback_kinds=KINDS,
    )  # fmt: skip


def _matched(cursor: duckdb.DuckDBPyConnection, given: Any) -> tuple[Row | None, ThumbwheelError | None]:
    """Return what the form's query matches and would cost, or what is wrong with it."""
    unit = given.get("unit", "interaction")
    try:
        k = _number(given.get("k") or "1", "stages", 50)
        items = count_matching(cursor, project(), parse_query(_query_of(given)), unit)
        return cost(cursor, project(), items, int(k), given.getlist("labels")), None
    except ThumbwheelError as error:
        return None, error


def _query_of(given: Any) -> dict[str, Any]:
    query: dict[str, Any] = {}
    for name in ("include_labels", "exclude_labels"):
        if words := given.get(name, "").replace(",", " ").split():
            query[name] = words
    for name in ("since", "until"):
        if day := given.get(name, "").strip():
            query[name] = f"{_day(day, name)}T00:00:00Z"
    query |= {name: text for name in ("q", "surface", "source") if (text := given.get(name, "").strip())}
    return query | ({"kinds": given.getlist("kinds")} if given.getlist("kinds") else {})


def _task_of_form(form: Any) -> dict[str, Any]:
    """Return the form's task: agreement and the reviewed share are in percent, people separated by spaces or commas."""
    body: dict[str, Any] = {
        "title": {"en": form.get("title", "").strip(), "zh": form.get("title_zh", "").strip()},
        "description": {"en": form.get("description", "").strip(), "zh": form.get("description_zh", "").strip()},
        "labels": form.getlist("labels"), "unit": form.get("unit"), "order": form.get("order"),
        "query": _query_of(form), "live": "live" in form,
    }  # fmt: skip
    if task_id := form.get("task_id", "").strip():
        body["task_id"] = task_id
    first: dict[str, Any] = {"k": int(_number(form.get("k") or "1", "stages", 50)), "tier": form.get("tier")}
    if extra := int(_number(form.get("extra") or "0", "stages", 20)):
        first["extra"] = extra
    if agree := _number(form.get("agree") or "0", "stages", 100):
        first["agree"] = agree / 100
    if people := form.get("people", "").replace(",", " ").split():
        first |= {"assignment": "named", "people": people}
    stages = [first]
    if review := _number(form.get("review") or "0", "stages", 100):
        stages.append({"kind": "review", "tier": "agent", "rate": review / 100})
    if sample := int(_number(form.get("sample") or "0", "stages", 100_000)):
        above = int(_number(form.get("reject_above") or "0", "stages", 100_000))
        stages.append({"kind": "batch", "tier": "expert", "sample": sample, "reject_above": above})
    return body | {"stages": stages}


def _day(text: str, field: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ThumbwheelError("invalid_query", f"{text!r} is no day.", "For example 2026-01-31.", field) from error


def _number(text: str, field: str, most: int) -> float:
    try:
        number = float(text)
    except ValueError as error:
        raise ThumbwheelError("invalid_task", f"{text!r} is no number.", "For example 2.", field) from error
    if not 0 <= number <= most:
        raise ThumbwheelError("invalid_task", f"{text!r} is out of range.", f"Use 0 to {most}.", field)
    return number
