"""What people said of one interaction, and its events, by pages, oldest first; what is said of each reply in figures.

What is over the limit of an interaction (`processor.steps.limit`) stands among the rest, in the state `over_limit`.
"""

from __future__ import annotations

from typing import NamedTuple

import duckdb

from contract.ids import key128
from contract.topics import EVENTS
from processor.queries.reading import Page, Row, decode_key, encode_key, one, page, parse_json, rows

# Which rows, then what they say: of those that do not count that lies in the body, which is long.
_PLACES = """
SELECT received_at, event_key FROM feedback WHERE interaction_key = $key
UNION ALL SELECT received_at, event_key FROM over_limit WHERE interaction_key = $key AND why = 'votes'
"""
_FEEDBACK = f"""
WITH place AS (
    FROM ({_PLACES}) WHERE $at::TIMESTAMP IS NULL OR (received_at, event_key) > ($at::TIMESTAMP, $page_key::UUID)
    ORDER BY received_at, event_key LIMIT $take
), rest AS (
    FROM over_limit WHERE interaction_key = $key AND why = 'votes' AND event_key IN (SELECT event_key FROM place)
)
SELECT event_id, type, candidate_id, value, outcome, chosen, shown, reasons, comment, text, sent, dwell_ms, actor_id,
    actor_kind, via, verified, nullif(occurred_at, TIMESTAMP '1970-01-01') AS occurred_at, received_at, state, target,
    received_at AS page_at, event_key AS page_key
FROM feedback WHERE interaction_key = $key AND event_key IN (SELECT event_key FROM place)
UNION ALL
SELECT event_id, type, body->>'$.candidate_id', body->>'$.value', body->>'$.outcome', body->>'$.chosen',
    (body->'$.shown')::TEXT[], (body->'$.reasons')::TEXT[], body->>'$.comment',
    coalesce(body->>'$.edited_text', body->>'$.text'), (body->>'$.sent')::BOOLEAN, (body->>'$.dwell_ms')::BIGINT,
    actor_id, actor_kind, via, verified, nullif(occurred_at, TIMESTAMP '1970-01-01'), received_at, 'over_limit',
    body->>'$.target', received_at, event_key
FROM rest
ORDER BY page_at, page_key
"""
_EVENTS = """
WITH place AS (
    FROM (SELECT received_at, digest FROM events WHERE interaction_key = $key
        UNION ALL SELECT received_at, digest FROM over_limit WHERE interaction_key = $key)
    WHERE $at::TIMESTAMP IS NULL OR (received_at, digest) > ($at::TIMESTAMP, $page_key::UUID)
    ORDER BY received_at, digest LIMIT $take
)
SELECT event_id, type, actor_id, actor_kind, via, key_id, verified,
    nullif(occurred_at, TIMESTAMP '1970-01-01') AS occurred_at, received_at, topic, "partition", body,
    NULL AS over_limit, received_at AS page_at, digest AS page_key
FROM events WHERE interaction_key = $key AND digest IN (SELECT digest FROM place)
UNION ALL
SELECT event_id, type, actor_id, actor_kind, via, body->>'$.key_id', verified,
    nullif(occurred_at, TIMESTAMP '1970-01-01'), received_at, $topic, "partition", body, why, received_at, digest
FROM over_limit WHERE interaction_key = $key AND digest IN (SELECT digest FROM place)
ORDER BY page_at, page_key
"""
_SAID = """
SELECT coalesce(candidate_id, chosen) AS candidate_id,
    CASE WHEN type = 'thumb' THEN value WHEN chosen IS NOT NULL THEN 'chosen' ELSE type END AS said, count(*) AS n
FROM feedback WHERE interaction_key = $key AND state = 'vote' AND coalesce(candidate_id, chosen) IS NOT NULL
GROUP BY ALL ORDER BY 1, n DESC, said
"""
_OVER = """
SELECT count(*) FILTER (why = 'votes') AS votes, count(*) FILTER (why = 'descriptions') AS descriptions,
    count(*) FILTER (why = 'contents') AS contents
FROM over_limit WHERE interaction_key = $key
"""
_LABELS = """
SELECT label, CAST(sum(interactions) AS BIGINT) AS interactions FROM (
    SELECT unnest(list_distinct(labels)) AS label, 1 AS interactions FROM interactions WHERE project = $project
    UNION ALL
    SELECT DISTINCT body->>'$.path', 0 FROM facts WHERE project = $project AND type = 'definition.label'
) WHERE $after::TEXT IS NULL OR label > $after
GROUP BY label ORDER BY label LIMIT $take
"""


class Places(NamedTuple):
    """Where to read on: of what was said and of the events (None: from the start), and how many of each."""

    feedback: str | None = None
    events: str | None = None
    limit: int = 200


def feedback_page(
    cursor: duckdb.DuckDBPyConnection, project: str, interaction_id: str, after: str | None, limit: int
) -> Page:  # fmt: skip
    """Return feedback events with their states."""
    return page(cursor, _FEEDBACK, {"key": key128(project, interaction_id)}, after, limit)


def events_page(
    cursor: duckdb.DuckDBPyConnection, project: str, interaction_id: str, after: str | None, limit: int
) -> Page:  # fmt: skip
    """Return events as the log has them; `over_limit` says why one does not count: votes, descriptions, contents."""
    found = page(cursor, _EVENTS, {"key": key128(project, interaction_id), "topic": EVENTS}, after, limit)
    for event in found.items:
        event["body"] = parse_json(event["body"])
        if event["occurred_at"] is None:
            event["body"]["occurred_at"] = None
    return found


def said_of_replies(cursor: duckdb.DuckDBPyConnection, project: str, interaction_id: str) -> dict[str, list[Row]]:
    """Return, by candidate id, what votes that count say of it: `said` and how many `n`."""
    found: dict[str, list[Row]] = {}
    for row in rows(cursor, _SAID, {"key": key128(project, interaction_id)}):
        found.setdefault(row.pop("candidate_id"), []).append(row)
    return found


def over_limit(cursor: duckdb.DuckDBPyConnection, project: str, interaction_id: str) -> Row:
    """Return how many votes, descriptions and other contents of events do not count, there being too many."""
    return one(cursor, _OVER, {"key": key128(project, interaction_id)}) or {}


def labels_page(cursor: duckdb.DuckDBPyConnection, project: str, after: str | None, limit: int) -> Page:
    """Return labels in order, defined ones and those that interactions carry, with the number of the latter."""
    last = decode_key(after) if after else None
    found = rows(cursor, _LABELS, {"project": project, "after": last, "take": limit + 1})
    return Page(found[:limit], encode_key(found[limit - 1]["label"]) if len(found) > limit else None)
