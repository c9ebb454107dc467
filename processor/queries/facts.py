"""Facts, wishes, runs and adapters: what trainer and people wrote on the runs topic, read as one story."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import duckdb

from processor.queries.reading import NotFound, Row, one, parse_json, rows

_FACTS = """
SELECT event_id, type, subject, occurred_at, received_at, body, "partition", "offset" FROM facts
WHERE project = $project AND ($type::TEXT IS NULL OR type = $type OR starts_with(type, $type || '.'))
    AND ($subject::TEXT IS NULL OR subject = $subject)
ORDER BY "partition", "offset"
"""
_POSITION = 'SELECT "offset" FROM facts WHERE project = $project AND event_id = $after'
_REQUESTS = """
WITH answered AS (
    SELECT DISTINCT body->>'$.request_id' AS request_id FROM facts
    WHERE project = $project AND body->>'$.request_id' IS NOT NULL
)
SELECT f.event_id, f.type, f.subject, f.body, f.occurred_at, f.received_at, a.request_id IS NOT NULL AS handled
FROM facts f LEFT JOIN answered a ON a.request_id = f.event_id
WHERE f.project = $project AND starts_with(f.type, 'request.') AND f."offset" > $offset
ORDER BY f."offset" LIMIT $take
"""
_RUN_FACTS = """
SELECT event_id, type, subject, occurred_at, received_at, body FROM facts
WHERE project = $project AND starts_with(type, 'run.') AND ($run::TEXT IS NULL OR subject = $run)
    AND ($progress OR type <> 'run.progress')
ORDER BY "partition", "offset"
"""
_LAST_PROGRESS = """
SELECT subject AS run_id, max(CAST(body->>'$.step' AS BIGINT)) AS step,
    arg_max(CAST(body->>'$.total_steps' AS BIGINT), CAST(body->>'$.step' AS BIGINT)) AS total_steps,
    max(received_at) AS last_at, any_value(body->'$.metrics.plan') AS plan,
    arg_max(body->>'$.metrics.stage', CAST(body->>'$.step' AS BIGINT)) AS stage
FROM facts WHERE project = $project AND type = 'run.progress' GROUP BY subject
"""
MODEL_TYPES = ("registered", "challenger", "held", "rejected", "promoted", "rolled_back")
ENVELOPE = frozenset({
    "type", "event_id", "occurred_at", "received_at", "actor", "project", "key_id", "via", "verified", "sdk",
    "labels", "context", "extra", "source", "conversation_id",
})  # fmt: skip


def list_facts(
    cursor: duckdb.DuckDBPyConnection, project: str, kind: str | None = None, subject: str | None = None
) -> list[Row]:
    """Return facts in log order; `kind` is a type (`model.promoted`) or its family (`model`)."""
    found = rows(cursor, _FACTS, {"project": project, "type": kind or None, "subject": subject or None})
    for row in found:
        row["body"] = parse_json(row["body"])
    return found


def list_requests(
    cursor: duckdb.DuckDBPyConnection, project: str, after: str | None = None, limit: int = 500
) -> list[Row]:
    """Return wishes in log order, after the one named; `handled` when a fact names it as its request."""
    offset = -1
    if after:
        position = one(cursor, _POSITION, {"project": project, "after": after.lower()})
        if position is None:
            raise NotFound("unknown_request", f"No wish {after!r}.", "Leave `after` out to read from the start.")
        offset = position["offset"]
    found = rows(cursor, _REQUESTS, {"project": project, "offset": offset, "take": limit})
    for row in found:
        row["body"] = parse_json(row["body"])
    return found


def own_fields(body: Row) -> Row:
    """Return what a fact says beyond its envelope."""
    return {name: value for name, value in body.items() if name not in ENVELOPE}


def list_runs(cursor: duckdb.DuckDBPyConnection, project: str) -> list[Row]:
    """Return the training runs, newest first, each with its state and how far it has come."""
    found: dict[str, Row] = {}
    for fact in rows(cursor, _RUN_FACTS, {"project": project, "run": None, "progress": False}):
        _apply_fact(found, fact)
    for progress in rows(cursor, _LAST_PROGRESS, {"project": project}):
        if run := found.get(progress.pop("run_id")):
            run.update(progress, plan=parse_json(progress["plan"] or "[]"))
    return sorted(found.values(), key=lambda run: (run["started_at"] or run["finished_at"], run["run_id"]))[::-1]


def find_run(cursor: duckdb.DuckDBPyConnection, project: str, run_id: str) -> Row:
    """Return one run with `series`: its metrics by step, in step order; raise NotFound."""
    found: dict[str, Row] = {}
    series: dict[int, Row] = {}
    for fact in rows(cursor, _RUN_FACTS, {"project": project, "run": run_id, "progress": True}):
        if fact["type"] == "run.progress":
            body = parse_json(fact["body"])
            run = found.setdefault(run_id, _blank(run_id))
            run.update(step=int(body["step"]), total_steps=int(body["total_steps"]), last_at=fact["received_at"])
            metrics = body.get("metrics") or {}
            run.update(plan=metrics.get("plan", run["plan"]), stage=metrics.get("stage", run["stage"]))
            # The first line of a run says what it is going to do, and measures nothing.
            if int(body["step"]):
                series[int(body["step"])] = {"step": int(body["step"]), "at": fact["occurred_at"], **_numbers(body)}
        else:
            _apply_fact(found, fact)
    if run_id not in found:
        raise NotFound("unknown_run", f"No run {run_id!r} in project {project!r}.", "See the list of runs.")
    return {**found[run_id], "series": [series[step] for step in sorted(series)]}


def _numbers(body: Row) -> Row:
    metrics = body.get("metrics") or {}
    return {name: value for name, value in metrics.items() if isinstance(value, int | float) and name != "step"}


def _blank(run_id: str) -> Row:
    return {
        "run_id": run_id, "state": "running", "method": None, "tuning": None, "dataset_id": None, "parent": None,
        "config": {}, "adapter_id": None, "metrics": {}, "reason": None, "request_id": None, "started_at": None,
        "finished_at": None, "step": None, "total_steps": None, "last_at": None, "plan": [], "stage": None,
    }  # fmt: skip


def _apply_fact(found: dict[str, Row], fact: Row) -> None:
    body = parse_json(fact["body"])
    run = found.setdefault(body["run_id"], _blank(body["run_id"]))
    if fact["type"] == "run.started":
        run["started_at"] = fact["occurred_at"]
        # A run that starts again after a crash is running again.
        run["state"] = "running"
    else:
        run["state"] = "finished" if fact["type"] == "run.finished" else "failed"
        run["finished_at"] = fact["occurred_at"]
    run.update({name: body[name] for name in run.keys() & body.keys() - {"run_id"}})


def model_story(cursor: duckdb.DuckDBPyConnection, project: str) -> tuple[list[Row], list[Row]]:
    """Return (changes, refusals) in log order.

    Each change of the aliases has a version of its own; a fact that repeats one answers a wish that was refused.
    """
    changes: list[Row] = []
    refusals: list[Row] = []
    seen: set[int] = set()
    for fact in list_facts(cursor, project, "model"):
        version = int(fact["body"].get("alias_version") or 0)
        (refusals if version in seen else changes).append(fact)
        if version:
            seen.add(version)
    return changes, refusals


def list_adapters(cursor: duckdb.DuckDBPyConnection, project: str) -> Row:
    """Return {champion, challenger, items}: adapters, newest first, each with its history and what it came from."""
    changes, refusals = model_story(cursor, project)
    found: dict[str, Row] = {}
    champions: list[str] = []
    for fact in changes:
        kind = fact["type"].removeprefix("model.")
        body = fact["body"]
        adapter = found.setdefault(body["adapter_id"], _new_adapter(body["adapter_id"]))
        for name in ("run_id", "dataset_id", "parent", "baseline"):
            adapter[name] = body.get(name) or adapter[name]
        adapter["metrics"] = {**adapter["metrics"], **body.get("metrics", {})}
        adapter["state"] = kind
        adapter["registered_at"] = adapter["registered_at"] or fact["occurred_at"]
        adapter["history"].append(_step(fact, kind))
        _move_champion(champions, kind, body["adapter_id"])
    for fact in refusals:
        if fact["body"]["adapter_id"] in found:
            found[fact["body"]["adapter_id"]]["refused"].append(_step(fact, "refused"))
    found.pop("base", None)
    _name_states(found, champions)
    _add_runs(cursor, project, found)
    challengers = [a["adapter_id"] for a in found.values() if a["state"] == "challenger"]
    return {
        "champion": champions[-1] if champions else None,
        "challenger": challengers[-1] if challengers else None,
        "items": sorted(found.values(), key=lambda a: (a["registered_at"], a["adapter_id"]), reverse=True),
    }


def _step(fact: Row, change: str) -> Row:
    body = fact["body"]
    return {
        "change": change, "at": fact["received_at"] if change == "refused" else fact["occurred_at"],
        "event_id": fact["event_id"], "reason": body.get("reason"), "alias_version": body.get("alias_version", 0),
        "baseline": body.get("baseline"),
    }  # fmt: skip


def _new_adapter(adapter_id: str) -> Row:
    return {
        "adapter_id": adapter_id, "state": "registered", "run_id": None, "dataset_id": None, "parent": None,
        "baseline": None, "method": None, "tuning": None, "metrics": {}, "registered_at": None, "history": [],
        "refused": [],
    }  # fmt: skip


def _move_champion(champions: list[str], kind: str, adapter_id: str) -> None:
    """Follow the champion. A roll-back names the adapter that was taken back, or the one that answers again."""
    if kind == "promoted":
        champions.append(adapter_id)
    elif kind == "rolled_back":
        if champions and champions[-1] == adapter_id:
            champions.pop()
        else:
            champions[:] = champions[: champions.index(adapter_id) + 1] if adapter_id in champions else []


def _name_states(found: Row, champions: list[str]) -> None:
    for adapter_id, adapter in found.items():
        if champions and adapter_id == champions[-1]:
            adapter["state"] = "champion"
        elif adapter["state"] == "promoted":
            adapter["state"] = "replaced"


def _add_runs(cursor: duckdb.DuckDBPyConnection, project: str, found: Row) -> None:
    runs = {run["run_id"]: run for run in list_runs(cursor, project)}
    by_adapter = {run["adapter_id"]: run for run in runs.values() if run["adapter_id"]}
    for adapter_id, adapter in found.items():
        run = runs.get(adapter["run_id"]) or by_adapter.get(adapter_id)
        if run:
            adapter["run_id"] = run["run_id"]
            adapter["method"], adapter["tuning"] = run["method"], run["tuning"]
            adapter["dataset_id"] = adapter["dataset_id"] or run["dataset_id"]
            parent = adapter["parent"] or run["parent"]
            adapter["parent"] = None if parent == "base" else parent


def ancestors(adapters: Iterable[Row], adapter_id: str) -> list[str]:
    """Return the adapter and those it was trained from, nearest first."""
    parents: dict[str, Any] = {adapter["adapter_id"]: adapter["parent"] for adapter in adapters}
    chain: list[str] = []
    current: str | None = adapter_id
    while current and current != "base" and current not in chain:
        chain.append(current)
        current = parents.get(current)
    return chain
