"""In: a project. Out: its labels as they are defined now, their history, and how much each was answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import duckdb

from contract.events import decode_stored
from processor.curation.labels import LabelDef, defined, former_paths, now_at
from processor.queries.reading import NotFound, Row, rows

_DEFINITIONS = """
SELECT event_id, received_at, body FROM facts WHERE project = $project AND type = 'definition.label'
    AND ($path::TEXT IS NULL OR body->>'$.path' = $path)
ORDER BY "partition", "offset"
"""
_ANSWERED = """
SELECT m.now AS path, a.label_version, count(*) AS answers, count(DISTINCT a.actor_id) AS people,
    max(a.received_at) AS last_at
FROM answers a JOIN (SELECT unnest($former::TEXT[]) AS label, unnest($now::TEXT[]) AS now) m USING (label)
WHERE a.project = $project AND a.state IN ('vote', 'untrusted')
GROUP BY GROUPING SETS ((m.now), (m.now, a.label_version))
"""
_CARRIED = """
SELECT path, count(*) AS interactions FROM (
    SELECT DISTINCT interaction_key, unnest(labels) AS path FROM interactions WHERE project = $project
) GROUP BY path
"""

_HEALTH = """
SELECT a.label_version AS version, a.actor_kind AS tier, coalesce(i.source, '') AS source,
    CASE WHEN regexp_matches(coalesce(i.prompt_text, ''), '[\u3400-\u9fff]') THEN 'zh' ELSE 'other' END AS language,
    count(*) AS answers, min(a.received_at) AS first_at, max(a.received_at) AS last_at
FROM answers a LEFT JOIN interactions i USING (interaction_key)
WHERE a.project = $project AND a.label IN (SELECT unnest($paths::TEXT[])) AND a.state IN ('vote', 'untrusted')
GROUP BY ALL
"""
_VALUES = """
SELECT value, count(*) AS answers FROM answers
WHERE project = $project AND label IN (SELECT unnest($paths::TEXT[])) AND state IN ('vote', 'untrusted')
GROUP BY value ORDER BY answers DESC, value LIMIT 50
"""
_TRAINABLE = """
SELECT count(*) FROM {table} r JOIN interactions i USING (interaction_key)
WHERE r.project = $project AND r.trainable AND list_has_any(i.labels, $paths::TEXT[])
"""
_STATES = """
SELECT state, count(*) AS answers FROM answers
WHERE project = $project AND label IN (SELECT unnest($paths::TEXT[])) GROUP BY state
"""


def list_labels(cursor: duckdb.DuckDBPyConnection, project: str) -> dict[str, LabelDef]:
    """Return the labels by path; those that moved elsewhere and those no longer asked for among them."""
    return defined(_events(cursor, project))


def get_label(cursor: duckdb.DuckDBPyConnection, project: str, path: str) -> LabelDef:
    """Return one label, under its former path too; raises NotFound."""
    return find_label(list_labels(cursor, project), path)


def find_label(labels: Mapping[str, LabelDef], path: str) -> LabelDef:
    """Return one of the labels, under its former path too; raises NotFound."""
    if path not in labels:
        raise NotFound("unknown_label", f"No label {path!r} is defined.", "See the list of labels.", "path")
    return labels[now_at(labels, path)]


def label_history(cursor: duckdb.DuckDBPyConnection, project: str, path: str) -> list[Row]:
    """Return every definition of a path, in the order of the log, as the events say it."""
    found = []
    for row in rows(cursor, _DEFINITIONS, {"project": project, "path": path}):
        event: Any = decode_stored(row["body"].encode())
        found.append({"event_id": row["event_id"], "received_at": row["received_at"], "actor": event.actor.id,
                      "definition": event})  # fmt: skip
    return found


def label_counts(cursor: duckdb.DuckDBPyConnection, project: str, labels: dict[str, LabelDef]) -> dict[str, Row]:
    """Return per path of today: answers that count, by version; people; interactions that carry it as it came."""
    answered = _answered(cursor, project, labels)
    carried = {row["path"]: row["interactions"] for row in rows(cursor, _CARRIED, {"project": project})}
    counts: dict[str, Row] = {}
    for path in labels:
        found = [row for row in answered if row["path"] == path]
        whole = next(
            (row for row in found if row["label_version"] is None), {"answers": 0, "people": 0, "last_at": None}
        )
        counts[path] = {
            "answers": whole["answers"], "people": whole["people"], "last_at": whole["last_at"],
            "versions": {row["label_version"]: row["answers"] for row in found if row["label_version"] is not None},
            "interactions": sum(carried.get(one, 0) for one in former_paths(labels, path)),
        }  # fmt: skip
    return counts


def answers_of(cursor: duckdb.DuckDBPyConnection, project: str, labels: Mapping[str, LabelDef]) -> dict[str, int]:
    """Return per path of today how many answers count; paths without one are left out."""
    return {
        row["path"]: row["answers"] for row in _answered(cursor, project, labels) if row["label_version"] is None
    }  # fmt: skip


def _answered(cursor: duckdb.DuckDBPyConnection, project: str, labels: Mapping[str, LabelDef]) -> list[Row]:
    paths = {"former": list(labels), "now": [now_at(labels, path) for path in labels]}
    return rows(cursor, _ANSWERED, {"project": project, **paths})


def _events(cursor: duckdb.DuckDBPyConnection, project: str) -> list[Any]:
    found = rows(cursor, _DEFINITIONS, {"project": project, "path": None})
    return [decode_stored(row["body"].encode()) for row in found]


def label_health(cursor: duckdb.DuckDBPyConnection, project: str, paths: list[str]) -> Row:
    """Return what a label's answers are like; `paths` are its own and the ones it had.

    Answers that count by version, tier, source and language of the prompt (Chinese or other), their values, their
    age, how many were replaced or taken back, and how many rows train of interactions that carry the label.
    """
    given = {"project": project, "paths": paths}
    found = rows(cursor, _HEALTH, given)
    health: Row = {
        f"by_{name}": _summed(found, name) for name in ("version", "tier", "source", "language")
    }  # fmt: skip
    health["answers"] = sum(row["answers"] for row in found)
    health["first_at"] = min((row["first_at"] for row in found), default=None)
    health["last_at"] = max((row["last_at"] for row in found), default=None)
    health["values"] = rows(cursor, _VALUES, given)
    health["states"] = {row["state"]: row["answers"] for row in rows(cursor, _STATES, given)}
    health["trainable"] = {
        table: cursor.execute(_TRAINABLE.format(table=table), given).fetchall()[0][0]
        for table in ("pairs", "demonstrations", "unpaired")
    }
    return health


def _summed(found: list[Row], name: str) -> dict[str, int]:
    sums: dict[str, int] = {}
    for row in found:
        sums[str(row[name])] = sums.get(str(row[name]), 0) + row["answers"]
    return dict(sorted(sums.items()))
