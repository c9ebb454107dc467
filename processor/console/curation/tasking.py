"""Tasks: what managers want to have answered, appended to the log; and the items that enter them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from contract.curation.definitions import DefinitionTask
from contract.errors import ThumbwheelError
from contract.ids import uuid7
from processor.console.access import Caller
from processor.console.curation.defining import append_facts
from processor.console.services import reading
from processor.curation.labels import LabelDef
from processor.curation.query import parse_query
from processor.curation.tasks import Task, defined_tasks
from processor.queries.curation.matching import count_matching, items_of, new_items, unknown_items
from processor.queries.labels import list_labels
from processor.queries.reading import NotFound
from processor.queries.tasks import get_task

STATES = ("open", "paused", "closed")
OWN = frozenset(DefinitionTask.__struct_fields__) & {
    "task_id", "title", "description", "labels", "unit", "query", "live", "write", "order", "stages", "gold",
    "guideline", "owner",
}  # fmt: skip
# As many as a fact may name.
AT_ONCE = 1000
# More than that at once is a mistake, or worth several tasks.
MOST = 500_000
_TASK_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")


def define_task(caller: Caller, project: str, given: Mapping[str, Any]) -> Task:
    """Define a task; with the `version` that was read, define it anew. Raises ThumbwheelError.

    A new task with a query takes in what matches now, as `add_matching`.
    """
    if unknown := sorted(given.keys() - OWN - {"version"}):
        raise _refused(f"A task has no {unknown[0]!r}.", "See the guide about labelling tasks.", unknown[0])
    body = {name: value for name, value in given.items() if name in OWN and value is not None}
    body.setdefault("task_id", f"task-{uuid7().hex[-12:]}")
    body.setdefault("owner", caller.actor["id"])
    if not isinstance(body["task_id"], str) or not _TASK_ID.match(body["task_id"]):
        raise _refused("A task's id is up to 64 letters, digits, dots, - and _.", "For example tone-march.", "task_id")
    old = _standing(project, body["task_id"])
    _check_read(old, given.get("version"))
    with reading() as cursor:
        labels = list_labels(cursor, project)
    _check_body(body, labels)
    (event,) = append_facts(caller, project, [
        {**body, "type": "definition.task", "version": (old.version if old else 0) + 1},
    ])  # fmt: skip
    task = defined_tasks([event])[event.task_id]
    if old is None and task.query:
        add_matching(caller, project, task, task.query)
    return task


def _standing(project: str, task_id: str) -> Task | None:
    try:
        with reading() as cursor:
            return get_task(cursor, project, task_id)
    except NotFound:
        return None


def _check_read(old: Task | None, version: Any) -> None:
    standing = old.version if old else 0
    if version is None and old is not None:
        raise ThumbwheelError(
            "task_exists", f"There is a task {old.task_id!r} already.", "Choose another id, or send the version read.",
            "task_id", 409,
        )  # fmt: skip
    if version is not None and version != standing:
        raise ThumbwheelError(
            "task_changed", f"The task is at version {standing} by now.", "Read it again, and change that.", "version",
            409,
        )  # fmt: skip


def _check_body(body: dict[str, Any], labels: Mapping[str, LabelDef]) -> None:
    """Raise what no type says about a task."""
    if not isinstance(body.get("query", {}), dict):
        raise _refused("The query is no object.", 'For example {"include_labels": ["refund"]}.', "query")
    body["query"] = parse_query(body.get("query", {})).as_dict()
    asked = body.get("labels") or []
    if isinstance(asked, list):
        for path in asked:
            label = labels.get(path) if isinstance(path, str) else None
            if label is None or label.moved_to or label.deprecated:
                raise _refused(f"No label {path!r} is asked for.", "See the list of labels.", "labels")
    if not asked and not body.get("write"):
        raise _refused("The task asks nothing.", "Name one label or more.", "labels")
    if body.get("order") == "uncertain":
        raise _refused("No model has said how sure it is.", "Use order disagreement or random.", "order")
    if isinstance(stages := body.get("stages"), list):
        _check_stages(stages)
    else:
        raise _refused("The task has no stages.", 'For example [{"k": 2}, {"kind": "review"}].', "stages")


def _check_stages(stages: Sequence[Any]) -> None:
    """Say what stages cannot follow from; what each may hold the contract checks."""
    kinds = [stage.get("kind", "answer") for stage in stages if isinstance(stage, dict)]
    if not kinds or kinds[0] != "answer":
        raise _refused("The first stage is one that people answer at.", 'Put {"k": 2} first.', "stages")
    for stage in stages:
        if not isinstance(stage, dict):
            continue
        if stage.get("assignment", "pull") in ("named", "round_robin", "load") and not stage.get("people"):
            raise _refused("The stage gives items to named people and names none.", "Send people.", "stages")
        if stage.get("kind") == "batch" and not stage.get("sample"):
            raise _refused("The spot check has no sample.", "Send sample, for example 50.", "stages")
        if isinstance(stage.get("extra"), int) and stage["extra"] > 0 and not stage.get("agree"):
            raise _refused(
                "More answers are allowed, but no agreement asks for them.", "Send agree, for example 0.7.", "stages"
            )


def add_matching(caller: Caller, project: str, task: Task, query: Mapping[str, Any]) -> dict[str, int]:
    """Take in what a query matches and the task does not have. Returns {matched, added}; raises ThumbwheelError."""
    parsed = parse_query(query)
    with reading() as cursor:
        matched = count_matching(cursor, project, parsed, task.unit)
        if matched > MOST:
            raise _refused(
                f"The query matches {matched} items, more than {MOST}.", "Narrow it, or make several tasks.", "query"
            )
        items = new_items(cursor, project, task.task_id, parsed, task.unit, MOST)
    _append_items(caller, project, task, items)
    return {"matched": matched, "added": len(items)}


def add_items(caller: Caller, project: str, task: Task, given: Any) -> dict[str, int]:
    """Take in items by reference, all or none of them. Returns {matched, added}; raises ThumbwheelError."""
    if not isinstance(given, list) or not given or len(given) > MOST:
        raise _refused("items is no list of items.", 'Send [{"interaction_id": "...", "unit": ""}].', "items")
    items = list(dict.fromkeys(_reference(one) for one in given))
    with reading() as cursor:
        unknown = unknown_items(cursor, project, items)
        held = items_of(cursor, project, task.task_id)
    if unknown:
        raise ThumbwheelError(
            "unknown_item", f"Interaction {unknown[0][0]!r} with unit {unknown[0][1]!r} is not in the tables.",
            "Feedback reaches the tables about a second after it was accepted.", "items", 404,
        )  # fmt: skip
    new = [item for item in items if item not in held]
    _append_items(caller, project, task, new)
    return {"matched": len(items), "added": len(new)}


def _reference(given: Any) -> tuple[str, str]:
    if isinstance(given, dict) and not given.keys() - {"interaction_id", "unit"}:
        interaction_id, unit = given.get("interaction_id"), given.get("unit", "")
        if isinstance(interaction_id, str) and interaction_id and isinstance(unit, str):
            return interaction_id, "|".join(sorted(unit.split("|"))) if unit.count("|") == 1 else unit
    raise _refused("items is no list of items.", 'Send [{"interaction_id": "...", "unit": ""}].', "items")


def _append_items(caller: Caller, project: str, task: Task, items: Sequence[tuple[str, str]]) -> None:
    bodies = [
        items_fact(task.task_id, items[start : start + AT_ONCE]) for start in range(0, len(items), AT_ONCE)
    ]  # fmt: skip
    if bodies:
        append_facts(caller, project, bodies)


def items_fact(task_id: str, items: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return the body of a `task.items` fact."""
    return {"type": "task.items", "task_id": task_id,
            "items": [{"interaction_id": interaction_id, "unit": unit} for interaction_id, unit in items]}  # fmt: skip


def set_state(caller: Caller, project: str, task: Task, state: Any, reason: Any = None) -> None:
    """Open, pause or close a task; raises ThumbwheelError."""
    if state not in STATES:
        raise ThumbwheelError(
            "bad_state", f"No task is {state!r}.", f"Use one of: {', '.join(f'`{one}`' for one in STATES)}.", "state"
        )
    if reason is not None and not isinstance(reason, str):
        raise _refused("reason is no text.", "Leave it out, or say why.", "reason")
    append_facts(caller, project, [
        {"type": "task.state", "task_id": task.task_id, "state": state, **({"reason": reason} if reason else {})},
    ])  # fmt: skip


def _refused(message: str, hint: str, field: str) -> ThumbwheelError:
    return ThumbwheelError("invalid_task", message, hint, field)
