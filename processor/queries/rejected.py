"""Rejected events: what could not be taken in, and why; requests that were refused whole, by reason and origin."""

from __future__ import annotations

import duckdb
import msgspec

from processor.queries.reading import Page, Row, page, rows

SHOWN_BYTES = 2000

# The key of a row is its position in the log, as a UUID so that one cursor serves every list.
_LIST = """
WITH found AS (
    SELECT *, coalesce(received_at, TIMESTAMP '1970-01-01') AS page_at,
        md5(topic || '|' || "partition" || '|' || "offset")::UUID AS page_key
    FROM rejected WHERE (project = $project OR ($unknown AND project IS NULL)) AND NOT starts_with(code, 'refused.')
)
SELECT project, topic, "partition", "offset", received_at, key_id, code, message, event_id,
    raw[1:$shown] AS raw, length, digest, page_at, page_key
FROM found
WHERE ($at::TIMESTAMP IS NULL OR (page_at, page_key) < ($at::TIMESTAMP, $page_key::UUID))
    AND ($code::TEXT IS NULL OR code = $code)
ORDER BY page_at DESC, page_key DESC LIMIT $take
"""
_COUNTS = """
SELECT code, count(*) AS n, max(received_at) AS last_at FROM rejected
WHERE (project = $project OR ($unknown AND project IS NULL)) AND NOT starts_with(code, 'refused.')
GROUP BY code ORDER BY n DESC, code
"""

# Newest first: each counts the requests of a minute at most.
_REFUSED = """
SELECT code[9:] AS code, project, key_id, received_at, raw FROM rejected
WHERE starts_with(code, 'refused.') AND (project = $project OR ($unknown AND project IS NULL))
ORDER BY received_at DESC, "offset" DESC LIMIT $most
"""
MOST_REFUSED_ROWS = 2000
MOST_REFUSED_SHOWN = 200


def list_refused(cursor: duckdb.DuckDBPyConnection, project: str, unknown: bool = False) -> list[Row]:
    """Return refused requests by reason, origin and key, the latest first: `requests`, `last_at`, and that key.

    `origin` is None where none was sent, "*" for those not named one by one. `unknown` adds those of unknown keys.
    """
    found: dict[tuple[str, str | None, str], Row] = {}
    for row in rows(cursor, _REFUSED, {"project": project, "unknown": unknown, "most": MOST_REFUSED_ROWS}):
        for origin, requests in _origins(row["raw"]).items():
            named = row["code"], origin or None, row["key_id"] or ""
            held = found.setdefault(named, {
                "code": row["code"], "origin": origin or None, "key_id": row["key_id"] or None, "requests": 0,
                "last_at": row["received_at"],
            })  # fmt: skip
            held["requests"] += requests
    return list(found.values())[:MOST_REFUSED_SHOWN]


def _origins(raw: bytes) -> dict[str, int]:
    try:
        return msgspec.json.decode(raw, type=_Counts).origins
    except msgspec.MsgspecError:
        return {}


class _Counts(msgspec.Struct):
    origins: dict[str, int]


def list_rejected(
    cursor: duckdb.DuckDBPyConnection, project: str, *, after: str | None = None, limit: int = 50,
    code: str | None = None, unknown: bool = False,
) -> Page:  # fmt: skip
    """Return rejected events, newest first; `unknown` adds those whose project could not be read."""
    parameters = {"project": project, "code": code or None, "unknown": unknown, "shown": SHOWN_BYTES}
    return page(cursor, _LIST, parameters, after, limit)


def rejected_counts(cursor: duckdb.DuckDBPyConnection, project: str, unknown: bool = False) -> list[Row]:
    """Return how many events were rejected for each reason."""
    return rows(cursor, _COUNTS, {"project": project, "unknown": unknown})
