"""Rejected events: what could not be taken in, and why."""

from __future__ import annotations

import duckdb

from processor.queries.reading import Page, Row, page, rows

SHOWN_BYTES = 2000

# The key of a row is its position in the log, as a UUID so that one cursor serves every list.
_LIST = """
WITH found AS (
    SELECT *, coalesce(received_at, TIMESTAMP '1970-01-01') AS page_at,
        md5(topic || '|' || "partition" || '|' || "offset")::UUID AS page_key
    FROM rejected WHERE (project = $project OR ($unknown AND project IS NULL))
)
SELECT project, topic, "partition", "offset", received_at, key_id, code, message, event_id,
    raw[1:$shown] AS raw, length, digest, page_at, page_key
FROM found
WHERE ($at::TIMESTAMP IS NULL OR (page_at, page_key) < ($at::TIMESTAMP, $key::UUID))
    AND ($code::TEXT IS NULL OR code = $code)
ORDER BY page_at DESC, page_key DESC LIMIT $take
"""
_COUNTS = """
SELECT code, count(*) AS n, max(received_at) AS last_at FROM rejected
WHERE project = $project OR ($unknown AND project IS NULL) GROUP BY code ORDER BY n DESC, code
"""


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
