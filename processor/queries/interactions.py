"""Interactions: the filtered list, one with everything known about it, and which events have arrived.

When an imported row happened is not known: its events say 1970, and their `occurred_at` is None here.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from contract.ids import key128
from processor.queries.blinding import BLINDED, NOT_BLIND, Blind
from processor.queries.history_pages import Places, events_page, feedback_page, over_limit, said_of_replies
from processor.queries.reading import MAX_CHOICES, NotFound, Page, Row, one, page, parse_json, rows

SHOW = ("feedback", "orphans", "untrusted", "conflicts")
# The rest are among the events.
MAX_CONFLICTS = 100
_START = Places()

_LIST = f"""
WITH found AS (
    SELECT * FROM interactions i
    WHERE project = $project
        AND ($at::TIMESTAMP IS NULL OR (received_at, interaction_key) < ($at::TIMESTAMP, $page_key::UUID))
        AND ($label::TEXT IS NULL OR len(list_filter(
            coalesce(labels, []), lambda l: l = $label OR starts_with(l, $label || '/'))) > 0)
        AND ($q::TEXT IS NULL OR contains(lower(coalesce(prompt_text, '')), lower($q)) OR interaction_id = $q
            OR conversation_id = $q)
        AND ($surface::TEXT IS NULL OR surface = $surface)
        AND ($source::TEXT IS NULL OR source = $source)
        AND CASE $show
            WHEN 'orphans' THEN NOT described
            WHEN 'untrusted' THEN described AND NOT trusted
            WHEN 'feedback' THEN interaction_key IN (
                SELECT interaction_key FROM feedback WHERE project = $project AND state = 'vote')
            WHEN 'conflicts' THEN interaction_key IN (SELECT interaction_key FROM conflicts WHERE project = $project)
            ELSE true END
    ORDER BY received_at DESC, interaction_key DESC LIMIT $take
), votes AS (
    SELECT interaction_key, count(*) AS feedback,
        count(*) FILTER (type = 'thumb' AND value = 'up' AND state = 'vote') AS up,
        count(*) FILTER (type = 'thumb' AND value = 'down' AND state = 'vote') AS down,
        count(*) FILTER (type IN ('pick', 'choice') AND state = 'vote') AS picks,
        count(*) FILTER ((type = 'edit' OR (type = 'pick' AND text IS NOT NULL)) AND state = 'vote') AS edits
    FROM feedback WHERE interaction_key IN (SELECT interaction_key FROM found) GROUP BY ALL
), replies AS (
    SELECT interaction_key, count(*) AS candidates, list(DISTINCT model ORDER BY model) AS models
    FROM candidates WHERE interaction_key IN (SELECT interaction_key FROM found) GROUP BY ALL
)
SELECT i.interaction_id, i.conversation_id, i.surface, i.source, i.labels, i.prompt_text, i.via, i.trusted,
    i.truncated, i.described, {BLINDED} AS blinded,
    nullif(i.occurred_at, TIMESTAMP '1970-01-01') AS occurred_at, i.received_at,
    coalesce(v.feedback, 0) AS feedback,
    coalesce(v.up, 0) AS up, coalesce(v.down, 0) AS down, coalesce(v.picks, 0) AS picks,
    coalesce(v.edits, 0) AS edits, coalesce(r.candidates, 0) AS candidates,
    CASE WHEN blinded THEN [] ELSE coalesce(r.models, []) END AS models,
    i.received_at AS page_at, i.interaction_key AS page_key
FROM found i LEFT JOIN votes v USING (interaction_key) LEFT JOIN replies r USING (interaction_key)
ORDER BY i.received_at DESC, i.interaction_key DESC
"""
_ONE = """
SELECT * REPLACE (nullif(occurred_at, TIMESTAMP '1970-01-01') AS occurred_at) FROM interactions
WHERE interaction_key = $key AND project = $project
"""
_CANDIDATES = """
SELECT candidate_id, position, content, model, finish_reason, sampling FROM candidates
WHERE interaction_key = $key ORDER BY position
"""
_VOTE = """
SELECT event_id, type, state FROM feedback WHERE interaction_key = $key AND project = $project AND event_id = $event_id
"""
_CONFLICTS = """
SELECT kind, event_id, kept_event_id, detail FROM conflicts WHERE interaction_key = $key
ORDER BY kind, event_id LIMIT $most
"""
_SAME_PROMPT = """
SELECT i.interaction_id, d.similarity, d.method FROM prompt_duplicates d
JOIN interactions i ON i.interaction_key = CASE WHEN d.interaction_key = $key THEN d.canonical_key
    ELSE d.interaction_key END
WHERE d.project = $project AND (d.interaction_key = $key OR d.canonical_key = $key)
ORDER BY d.similarity DESC, i.interaction_id LIMIT 20
"""
_FILTERS = """
WITH found AS (
    SELECT 'labels' AS kind, unnest(list_distinct(labels)) AS value FROM interactions WHERE project = $project
    UNION ALL SELECT 'surfaces', surface FROM interactions WHERE project = $project
    UNION ALL SELECT 'sources', source FROM interactions WHERE project = $project
), counted AS (
    SELECT kind, value, row_number() OVER (PARTITION BY kind ORDER BY count(*) DESC, value) AS place
    FROM found WHERE value <> '' GROUP BY kind, value
)
SELECT kind, value FROM counted WHERE place <= $take ORDER BY kind, value
"""
_ARRIVED = """
SELECT event_id FROM events WHERE project = $project AND list_contains($ids, event_id)
UNION SELECT event_id FROM over_limit WHERE project = $project AND list_contains($ids, event_id)
UNION SELECT event_id FROM facts WHERE project = $project AND list_contains($ids, event_id)
"""


def list_interactions(
    cursor: duckdb.DuckDBPyConnection, project: str, *, after: str | None = None, limit: int = 50,
    label: str | None = None, q: str | None = None, surface: str | None = None, source: str | None = None,
    show: str | None = None, blind: Blind = NOT_BLIND,
) -> Page:  # fmt: skip
    """Return interactions, newest first, with counts of their feedback.

    `show` is one of SHOW. Of interactions that `blind` hides, no model is told.
    """
    parameters = {
        "project": project, "label": label or None, "q": q or None, "surface": surface or None,
        "source": source or None, "show": show or "", **blind.parameters(),
    }  # fmt: skip
    return page(cursor, _LIST, parameters, after, limit)


def find_interaction(
    cursor: duckdb.DuckDBPyConnection, project: str, interaction_id: str, blind: Blind = NOT_BLIND,
    places: Places = _START,
) -> Row:  # fmt: skip
    """Return one interaction with messages, candidates, feedback history, events and conflicts; raise NotFound.

    Feedback and events are pages, read on at `feedback_next` and `events_next`; `over_limit` counts what of them does
    not count, there being too much. Of one that `blind` hides no model is told (`blinded`).
    """
    key = key128(project, interaction_id)
    found = one(cursor, _ONE, {"key": key, "project": project})
    if found is None:
        raise NotFound(
            "unknown_interaction", f"No interaction {interaction_id!r} in project {project!r}.",
            "Feedback reaches the tables about a second after it was accepted.",
        )  # fmt: skip
    found["messages"] = parse_json(found["messages"]) or []
    found["trial"] = parse_json(found["trial"])
    found["candidates"] = rows(cursor, _CANDIDATES, {"key": key})
    for candidate in found["candidates"]:
        candidate["sampling"] = parse_json(candidate["sampling"])
    said = said_of_replies(cursor, project, interaction_id)
    for candidate in found["candidates"]:
        candidate["said"] = said.get(candidate["candidate_id"], [])
    feedback = feedback_page(cursor, project, interaction_id, places.feedback, places.limit)
    events = events_page(cursor, project, interaction_id, places.events, places.limit)
    found |= {"feedback": feedback.items, "feedback_next": feedback.next}
    found |= {"events": events.items, "events_next": events.next}
    found["over_limit"] = over_limit(cursor, project, interaction_id)
    found["conflicts"] = rows(cursor, _CONFLICTS, {"key": key, "most": MAX_CONFLICTS})
    found["same_prompt"] = rows(cursor, _SAME_PROMPT, {"key": key, "project": project})
    del found["interaction_key"]
    found["blinded"] = blind.hides(found["trial"])
    if found["blinded"]:
        _hide_models(found)
    return found


def find_vote(cursor: duckdb.DuckDBPyConnection, project: str, interaction_id: str, event_id: str) -> Row | None:
    """Return {event_id, type, state} of a piece of feedback on the interaction, or None."""
    key = key128(project, interaction_id)
    return one(cursor, _VOTE, {"key": key, "project": project, "event_id": event_id.lower()})


def _hide_models(found: Row) -> None:
    found["trial"] = None
    for candidate in found["candidates"]:
        candidate["model"] = None
    for event in found["events"]:
        event["body"].pop("trial", None)
        for candidate in event["body"].get("candidates") or ():
            candidate.pop("model", None)


def filter_values(cursor: duckdb.DuckDBPyConnection, project: str) -> Row:
    """Return the labels, surfaces and sources there are to filter by; of many, those of the most interactions."""
    found: Row = {"labels": [], "surfaces": [], "sources": []}
    for row in rows(cursor, _FILTERS, {"project": project, "take": MAX_CHOICES}):
        found[row["kind"]].append(row["value"])
    return found


def missing_events(cursor: duckdb.DuckDBPyConnection, project: str, event_ids: Sequence[str]) -> list[str]:
    """Return which of these events the tables do not hold yet."""
    wanted = {event_id.lower(): event_id for event_id in event_ids}
    arrived = {row["event_id"] for row in rows(cursor, _ARRIVED, {"project": project, "ids": list(wanted)})}
    return [given for event_id, given in wanted.items() if event_id not in arrived]
