"""What forgetting a person would remove, how far it has come, and which datasets and adapters still hold them."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import duckdb
import pyarrow.parquet as pq

from contract.dataset_folder import LINEAGE
from contract.forgetting import actor_digest
from contract.ids import key_bytes
from processor.queries.datasets import Datasets
from processor.queries.facts import list_adapters, list_runs
from processor.queries.lineage import downwards
from processor.queries.reading import NotFound, Row, one, rows
from processor.rows import RejectedRow
from processor.steps.batch import Forgets, microseconds
from processor.steps.forget import refusal_is_forgotten
from processor.tables.selecting import rows_from, selected

# Events of the actor from before, and the interactions whose description leaves with them.
_LEAVING = """
WITH leaving AS (
    SELECT event_key, interaction_key, event_id, type FROM events
    WHERE project = $project AND actor_id = $actor AND least(occurred_at, received_at) < $before::TIMESTAMP
    UNION ALL SELECT event_key, interaction_key, event_id, type FROM over_limit
    WHERE project = $project AND actor_id = $actor AND least(occurred_at, received_at) < $before::TIMESTAMP
        AND why <> 'contents'
), undescribed AS (
    SELECT i.interaction_key FROM interactions i JOIN leaving l USING (interaction_key)
    WHERE i.described_by = l.event_id
)
"""
_COUNTS = f"""{_LEAVING}
SELECT count(*) AS events, count(*) FILTER (type = 'interaction') AS interactions,
    count(*) FILTER (type <> 'interaction') AS feedback,
    (SELECT count(*) FROM pairs WHERE event_key IN (SELECT event_key FROM leaving)
        OR interaction_key IN (FROM undescribed)) AS pairs,
    (SELECT count(*) FROM demonstrations WHERE event_key IN (SELECT event_key FROM leaving)
        OR interaction_key IN (FROM undescribed)) AS demonstrations,
    (SELECT count(*) FROM unpaired WHERE event_key IN (SELECT event_key FROM leaving)
        OR interaction_key IN (FROM undescribed)) AS unpaired,
    (SELECT count(*) FROM conflicts WHERE project = $project AND kind = 'event' AND body->>'$.actor.id' = $actor)
        + (SELECT count(*) FROM over_limit WHERE project = $project AND actor_id = $actor AND why = 'contents')
        AS conflicts,
    (SELECT count(*) FROM facts WHERE project = $project AND body->>'$.actor.id' = $actor
        AND least(occurred_at, received_at) < $before::TIMESTAMP) AS facts_without_name,
    (SELECT count(DISTINCT interaction_key) FROM leaving JOIN interactions USING (interaction_key)
        WHERE described AND interaction_key NOT IN (FROM undescribed)) AS prompts_told_by_others
FROM leaving
"""
_KEYS = f"""{_LEAVING}
SELECT event_key, interaction_key, interaction_key IN (FROM undescribed) AS described FROM leaving
UNION ALL SELECT event_key, interaction_key, described FROM forgotten
WHERE project = $project AND actor_digest = $digest
"""
_REJECTED = f"""
SELECT {selected(RejectedRow, "rejected")} FROM rejected
WHERE project = $project OR project IS NULL
"""
_FACT = """
SELECT f.project, f.body->>'$.actor_digest' AS digest, f."offset", (
    SELECT count(DISTINCT event_key) FROM forgotten g
    WHERE g.project = f.project AND g.actor_digest = f.body->>'$.actor_digest'
) AS events
FROM facts f WHERE f.project = $project AND f.type = 'forget' AND f.event_id = $id
"""
_PENDING = "SELECT count(*) FILTER (topic <> '') AS log, count(*) FILTER (topic = '') AS file FROM erasing"
CHUNK = 5000


def stored_time(moment: datetime) -> datetime:
    """Return a time as the tables hold it: UTC, without saying so."""
    return moment.astimezone(UTC).replace(tzinfo=None)


def look_up(cursor: duckdb.DuckDBPyConnection, project: str, actor: str, before: datetime) -> dict[str, int]:
    """Return what the tables hold of this actor from before, by kind. `facts_without_name` are redacted, not removed;
    `prompts_told_by_others` stay: whoever described those interactions is somebody else.
    """
    query = {"project": project, "actor": actor, "before": stored_time(before)}
    counts = one(cursor, _COUNTS, query) or {}
    forgets = Forgets([(project, actor_digest(project, actor), microseconds(before))])
    refused = 0
    cursor.execute(_REJECTED, {"project": project})
    while found := cursor.fetchmany(CHUNK):
        refused += sum(refusal_is_forgotten(row, forgets) for row in rows_from(RejectedRow, found))
    return {**counts, "rejected": refused}


def holding(
    cursor: duckdb.DuckDBPyConnection, project: str, datasets: Datasets, actor: str, before: datetime
) -> dict[str, Any]:
    """Return datasets with rows of this person, forgotten before or not, and the runs and adapters made from them."""
    digest = actor_digest(project, actor)
    query = {"project": project, "actor": actor, "before": stored_time(before), "digest": digest}
    found = rows(cursor, _KEYS, query)
    events = {row["event_key"].bytes for row in found}
    prompts = {row["interaction_key"].bytes for row in found if row["described"]}
    uses: Counter[str] = Counter()
    if events:
        for folder in datasets.folders():
            table = pq.read_table(folder / LINEAGE, columns=["interaction_id", "event_id"])
            for ids in zip(*(column.to_pylist() for column in table.columns), strict=True):
                if key_bytes(project, *ids) in events or key_bytes(project, ids[0]) in prompts:
                    uses[folder.name] += 1
    adapters = list_adapters(cursor, project)["items"]
    return downwards(adapters, {run["run_id"]: run for run in list_runs(cursor, project)}, dict(uses))


def progress(cursor: duckdb.DuckDBPyConnection, project: str, event_id: str, erasable: bool) -> Row:
    """Return how far a `forget` fact has come: {stored, events, log, file}; raise NotFound while it is not stored."""
    fact = one(cursor, _FACT, {"project": project, "id": event_id.lower()})
    if fact is None:
        raise NotFound("unknown_forget", f"No `forget` {event_id!r} is stored yet.", "Ask again in a moment.")
    pending = one(cursor, _PENDING) or {"log": 0, "file": 0}
    log = "kept" if not erasable else "pending" if pending["log"] else "erased"
    return {"events": fact["events"], "log": log, "file": "pending" if pending["file"] else "rewritten"}
