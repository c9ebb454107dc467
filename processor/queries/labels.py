"""In: a project. Out: its labels as they are defined now, their history, and how much each was answered."""

from __future__ import annotations

from typing import Any

import duckdb

from contract.events import decode_stored
from processor.curation.labels import LabelDef, defined, former_paths, now_at
from processor.queries.reading import NotFound, Row, rows

_DEFINITIONS = """
SELECT event_id, received_at, body FROM facts WHERE project = $project AND type = 'definition.label'
ORDER BY "partition", "offset"
"""
_ANSWERED = """
SELECT label, label_version, count(*) AS answers, count(DISTINCT interaction_key) AS interactions,
    count(DISTINCT actor_id) AS people, max(received_at) AS last_at
FROM answers WHERE project = $project AND state IN ('vote', 'untrusted') GROUP BY label, label_version
"""
_CARRIED = """
SELECT path, count(*) AS interactions FROM (
    SELECT DISTINCT interaction_key, unnest(labels) AS path FROM interactions WHERE project = $project
) GROUP BY path
"""


def list_labels(cursor: duckdb.DuckDBPyConnection, project: str) -> dict[str, LabelDef]:
    """Return the labels by path; those that moved elsewhere and those no longer asked for among them."""
    return defined(_events(cursor, project))


def get_label(cursor: duckdb.DuckDBPyConnection, project: str, path: str) -> LabelDef:
    """Return one label, under its former path too; raises NotFound."""
    labels = list_labels(cursor, project)
    if path not in labels:
        raise NotFound("unknown_label", f"No label {path!r} is defined.", "See the list of labels.", "path")
    return labels[now_at(labels, path)]


def label_history(cursor: duckdb.DuckDBPyConnection, project: str, path: str) -> list[Row]:
    """Return every definition of a path, in the order of the log, as the events say it."""
    found = []
    for row in rows(cursor, _DEFINITIONS, {"project": project}):
        event: Any = decode_stored(row["body"].encode())
        if event.path == path:
            found.append({"event_id": row["event_id"], "received_at": row["received_at"], "actor": event.actor.id,
                          "definition": event})  # fmt: skip
    return found


def label_counts(cursor: duckdb.DuckDBPyConnection, project: str, labels: dict[str, LabelDef]) -> dict[str, Row]:
    """Return per path of today: answers that count, by version; people; interactions that carry it as it came."""
    answered = rows(cursor, _ANSWERED, {"project": project})
    carried = {row["path"]: row["interactions"] for row in rows(cursor, _CARRIED, {"project": project})}
    counts: dict[str, Row] = {}
    for path in labels:
        own = set(former_paths(labels, path))
        found = [row for row in answered if row["label"] in own]
        counts[path] = {
            "answers": sum(row["answers"] for row in found),
            "people": max((row["people"] for row in found), default=0),
            "versions": {row["label_version"]: row["answers"] for row in found},
            "last_at": max((row["last_at"] for row in found), default=None),
            "interactions": sum(carried.get(one, 0) for one in own),
        }
    return counts


def _events(cursor: duckdb.DuckDBPyConnection, project: str) -> list[Any]:
    found = rows(cursor, _DEFINITIONS, {"project": project})
    return [decode_stored(row["body"].encode()) for row in found]
