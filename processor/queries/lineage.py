"""Lineage both ways: from a feedback event to the adapters it shaped, from an adapter to each feedback event."""

from __future__ import annotations

import duckdb

from contract.topics import EVENTS
from processor.queries.datasets import Datasets
from processor.queries.facts import ancestors, list_adapters, list_runs
from processor.queries.reading import NotFound, Row, one, rows

_EVENT = """
SELECT event_id, type, interaction_id, actor_id, nullif(occurred_at, TIMESTAMP '1970-01-01') AS occurred_at,
    received_at, topic, "partition", via, NULL AS state
FROM events WHERE project = $project AND event_id = $id
UNION ALL
SELECT event_id, type, interaction_id, actor_id, nullif(occurred_at, TIMESTAMP '1970-01-01'), received_at, $topic,
    "partition", via, 'over_limit'
FROM over_limit WHERE project = $project AND event_id = $id AND why <> 'contents'
ORDER BY state IS NOT NULL, received_at LIMIT 1
"""
_STATE = "SELECT state FROM feedback WHERE project = $project AND event_id = $id LIMIT 1"
_DERIVED = """
SELECT 'pair' AS kind, pair_id AS row_id, trainable, why_not FROM pairs WHERE project = $project AND event_id = $id
UNION ALL SELECT 'demonstration', demonstration_id, trainable, why_not FROM demonstrations
WHERE project = $project AND event_id = $id
UNION ALL SELECT 'unpaired', unpaired_id, trainable, why_not FROM unpaired WHERE project = $project AND event_id = $id
ORDER BY 1, 2
"""
_INTERACTION = "SELECT 1 AS found FROM interactions WHERE project = $project AND interaction_id = $id LIMIT 1"
_INTERACTION_EVENTS = """
SELECT event_id FROM feedback WHERE project = $project AND interaction_id = $id ORDER BY received_at, event_id
"""
_TYPES = """
SELECT event_id, type, interaction_id, actor_id, nullif(occurred_at, TIMESTAMP '1970-01-01') AS occurred_at FROM events
WHERE project = $project AND event_id IN (SELECT unnest($ids::TEXT[])) ORDER BY received_at, event_id
"""


def lineage(cursor: duckdb.DuckDBPyConnection, project: str, datasets: Datasets, subject: str) -> Row:
    """Return what came from, or led to, an event, interaction, dataset, run or adapter; raise NotFound."""
    adapters = list_adapters(cursor, project)["items"]
    runs = {run["run_id"]: run for run in list_runs(cursor, project)}
    if any(adapter["adapter_id"] == subject for adapter in adapters):
        return _of_adapter(cursor, project, datasets, adapters, runs, subject)
    if run := runs.get(subject):
        return {"kind": "run", "id": subject, "run": run, **_upwards(cursor, project, datasets, [run["dataset_id"]])}
    if any(folder.name == subject for folder in datasets.folders()):
        down = downwards(adapters, runs, {subject: 0})
        return {"kind": "dataset", "id": subject, **_upwards(cursor, project, datasets, [subject]), **down}
    event = one(cursor, _EVENT, {"project": project, "id": subject.lower(), "topic": EVENTS})
    if event:
        return _of_events(cursor, project, datasets, adapters, runs, event)
    if one(cursor, _INTERACTION, {"project": project, "id": subject}):
        inner = _of_interaction(cursor, project, datasets, adapters, runs, subject)
        return {"kind": "interaction", "id": subject, **inner}
    raise NotFound(
        "unknown_subject", f"Nothing is known of {subject!r} in project {project!r}.",
        "Give the id of an event, an interaction, a dataset, a run or an adapter.",
    )  # fmt: skip


def _of_events(
    cursor: duckdb.DuckDBPyConnection, project: str, datasets: Datasets, adapters: list[Row], runs: dict[str, Row],
    event: Row,
) -> Row:  # fmt: skip
    event_id = event["event_id"]
    state = one(cursor, _STATE, {"project": project, "id": event_id}) or event
    derived = rows(cursor, _DERIVED, {"project": project, "id": event_id})
    if event["type"] == "interaction":
        inner = _of_interaction(cursor, project, datasets, adapters, runs, event["interaction_id"])
        return {"kind": "event", "id": event_id, "event": event, **inner}
    return {
        "kind": "event", "id": event_id, "event": {**event, "state": state["state"]},
        "interaction_id": event["interaction_id"], "derived": derived,
        "pairs": [row["row_id"] for row in derived if row["kind"] == "pair"],
        **downwards(adapters, runs, datasets.uses_of(cursor, [event_id])),
    }  # fmt: skip


def _of_interaction(
    cursor: duckdb.DuckDBPyConnection, project: str, datasets: Datasets, adapters: list[Row], runs: dict[str, Row],
    interaction_id: str,
) -> Row:  # fmt: skip
    found = rows(cursor, _INTERACTION_EVENTS, {"project": project, "id": interaction_id})
    feedback = [row["event_id"] for row in found]
    uses = datasets.uses_of(cursor, feedback)
    return {"interaction_id": interaction_id, "events": feedback, **downwards(adapters, runs, uses)}


def downwards(adapters: list[Row], runs: dict[str, Row], uses: dict[str, int]) -> Row:
    """Return datasets, their runs, those runs' adapters, and the adapters trained from these (`inherited`)."""
    used_by = [run for run in runs.values() if run["dataset_id"] in uses]
    direct = {a["adapter_id"] for a in adapters if a["dataset_id"] in uses}
    shaped = [
        {"adapter_id": a["adapter_id"], "state": a["state"], "run_id": a["run_id"],
         "inherited": a["adapter_id"] not in direct}
        for a in adapters if direct & set(ancestors(adapters, a["adapter_id"]))
    ]  # fmt: skip
    return {
        "datasets": [{"dataset_id": dataset_id, "rows": n} for dataset_id, n in sorted(uses.items())],
        "runs": [{"run_id": run["run_id"], "dataset_id": run["dataset_id"], "state": run["state"]} for run in used_by],
        "adapters": shaped,
    }


def _upwards(cursor: duckdb.DuckDBPyConnection, project: str, datasets: Datasets, dataset_ids: list[str | None]) -> Row:
    """Return the feedback events some datasets were made from."""
    ids: list[str] = []
    for dataset_id in dict.fromkeys(filter(None, dataset_ids)):
        ids.extend(datasets.events_of(cursor, dataset_id))
    ids = list(dict.fromkeys(ids))
    known = {row["event_id"]: row for row in rows(cursor, _TYPES, {"project": project, "ids": ids})}
    events = [known.get(event_id, {"event_id": event_id}) for event_id in ids]
    return {"events": events, "event_count": len(events)}


def _of_adapter(
    cursor: duckdb.DuckDBPyConnection, project: str, datasets: Datasets, adapters: list[Row], runs: dict[str, Row],
    adapter_id: str,
) -> Row:  # fmt: skip
    by_id = {adapter["adapter_id"]: adapter for adapter in adapters}
    adapter = by_id[adapter_id]
    dataset_id = adapter["dataset_id"]
    older = [by_id[name] for name in ancestors(adapters, adapter_id)[1:] if name in by_id]
    inherited = _upwards(cursor, project, datasets, [a["dataset_id"] for a in older])
    return {
        "kind": "adapter", "id": adapter_id, "adapter": adapter, "run": runs.get(adapter["run_id"]),
        "dataset": {"dataset_id": dataset_id} if dataset_id else None,
        **_upwards(cursor, project, datasets, [dataset_id]),
        "ancestors": [{name: a[name] for name in ("adapter_id", "run_id", "dataset_id")} for a in older],
        "inherited_events": inherited["events"],
    }  # fmt: skip
