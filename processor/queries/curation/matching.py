"""In: a query and a unit. Out: how many items it matches, the items, and what asking them would cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb

from processor.curation.query import ItemQuery
from processor.queries.curation.evidence import Item
from processor.queries.reading import Row, one, rows

# With "all" an interaction is an item as a whole, by each of its replies and by each pair of them.
UNITS = ("interaction", "candidate", "pair", "all")
_MATCHING = """
WITH matching AS (
    SELECT interaction_key, interaction_id, received_at FROM interactions i
    WHERE project = $project AND described
        AND (len($include::TEXT[]) = 0 OR len(list_filter(coalesce(labels, []), lambda l: len(list_filter(
            $include::TEXT[], lambda w: l = w OR starts_with(l, w || '/'))) > 0)) > 0)
        AND (len($exclude::TEXT[]) = 0 OR len(list_filter(coalesce(labels, []), lambda l: len(list_filter(
            $exclude::TEXT[], lambda w: l = w OR starts_with(l, w || '/'))) > 0)) = 0)
        AND ($since::TIMESTAMP IS NULL OR received_at >= $since::TIMESTAMP)
        AND ($until::TIMESTAMP IS NULL OR received_at < $until::TIMESTAMP)
        AND ($q = '' OR contains(lower(coalesce(prompt_text, '')), lower($q)) OR interaction_id = $q
            OR conversation_id = $q)
        AND ($surface = '' OR surface = $surface) AND ($source = '' OR source = $source)
        AND CASE $show WHEN 'untrusted' THEN NOT trusted
            WHEN 'feedback' THEN interaction_key IN (
                SELECT interaction_key FROM feedback WHERE project = $project AND state = 'vote')
            WHEN 'conflicts' THEN interaction_key IN (SELECT interaction_key FROM conflicts WHERE project = $project)
            ELSE true END
        AND (len($kinds::TEXT[]) = 0 OR interaction_key IN (
            SELECT interaction_key FROM feedback
            WHERE project = $project AND state = 'vote' AND list_contains($kinds::TEXT[], type)))
        AND ($least = 0 OR interaction_key IN (
            SELECT interaction_key FROM candidates WHERE project = $project GROUP BY ALL HAVING count(*) >= $least))
), units AS (
    SELECT interaction_key, interaction_id, received_at, '' AS unit, -1 AS place FROM matching
    WHERE $unit IN ('interaction', 'all')
    UNION ALL
    SELECT m.interaction_key, m.interaction_id, m.received_at, c.candidate_id, c.position
    FROM matching m JOIN candidates c USING (interaction_key) WHERE $unit IN ('candidate', 'all')
    UNION ALL
    SELECT m.interaction_key, m.interaction_id, m.received_at, a.candidate_id || '|' || b.candidate_id,
        100 + a.position + b.position
    FROM matching m JOIN candidates a USING (interaction_key) JOIN candidates b USING (interaction_key)
    WHERE $unit IN ('pair', 'all') AND a.candidate_id < b.candidate_id
)
"""
_COUNT = _MATCHING + "SELECT count(*) AS items FROM units"
_NEW = (
    _MATCHING
    + """
SELECT interaction_id, unit FROM units u
WHERE NOT EXISTS (SELECT 1 FROM task_items t WHERE t.project = $project AND t.task_id = $task
    AND t.item_key = u.interaction_key AND t.unit = u.unit)
ORDER BY received_at, interaction_id, place, unit LIMIT $take
"""
)
_HELD = "SELECT interaction_id, unit FROM task_items WHERE project = $project AND task_id = $task"
_KNOWN = """
SELECT i.interaction_id, list(c.candidate_id) FILTER (c.candidate_id IS NOT NULL) AS candidates
FROM interactions i LEFT JOIN candidates c USING (interaction_key)
WHERE i.project = $project AND i.described AND list_contains($ids::TEXT[], i.interaction_id) GROUP BY ALL
"""
# Of past answers to the same labels, else to any.
_SECONDS = """
WITH took AS (
    SELECT event_key, max(active_ms) AS ms, bool_or(list_contains($labels::TEXT[], label)) AS same FROM answers
    WHERE project = $project AND active_ms > 0 AND state = 'vote' GROUP BY event_key
)
SELECT count(*) FILTER (same) AS same, count(*) AS answers,
    median(ms) FILTER (same) / 1000 AS same_seconds, median(ms) / 1000 AS seconds FROM took
"""
# Fewer say nothing about the next ones.
ENOUGH = 5


def count_matching(cursor: duckdb.DuckDBPyConnection, project: str, query: ItemQuery, unit: str) -> int:
    """Return how many items a query matches now."""
    found = one(cursor, _COUNT, _parameters(project, query, unit)) or {"items": 0}
    return int(found["items"])


def new_items(
    cursor: duckdb.DuckDBPyConnection, project: str, task_id: str, query: ItemQuery, unit: str, limit: int
) -> list[Item]:
    """Return at most `limit` items that a query matches and that are not in the task, the oldest first."""
    place = _parameters(project, query, unit) | {"task": task_id, "take": limit}
    return cursor.execute(_NEW, place).fetchall()


def items_of(cursor: duckdb.DuckDBPyConnection, project: str, task_id: str) -> set[Item]:
    """Return the items that are in a task."""
    return set(cursor.execute(_HELD, {"project": project, "task": task_id}).fetchall())


def unknown_items(cursor: duckdb.DuckDBPyConnection, project: str, items: Sequence[Item]) -> list[Item]:
    """Return which of these items are not in the tables: no such interaction, or no such reply or pair of it."""
    ids = sorted({interaction_id for interaction_id, _ in items})
    there = {row["interaction_id"]: set(row["candidates"] or ())
             for row in rows(cursor, _KNOWN, {"project": project, "ids": ids})}  # fmt: skip
    return [item for item in items if not _is_there(there.get(item[0]), item[1])]


def _is_there(candidates: set[str] | None, unit: str) -> bool:
    if candidates is None:
        return False
    if not unit or unit in candidates:
        return True
    return any(unit == f"{first}|{other}" for first in candidates for other in candidates if first < other)


def cost(cursor: duckdb.DuckDBPyConnection, project: str, items: int, answers_each: int, labels: Sequence[str]) -> Row:
    """Return what a task would take: `answers`, and `seconds` for all of them, None where nothing is known yet.

    By the median time of past answers to these labels, or of all where they have too few; `based_on` counts those.
    """
    found = one(cursor, _SECONDS, {"project": project, "labels": list(labels)})
    answers = items * answers_each
    each, based_on = None, 0
    if found and found["same"] >= ENOUGH:
        each, based_on = found["same_seconds"], found["same"]
    elif found and found["answers"] >= ENOUGH:
        each, based_on = found["seconds"], found["answers"]
    seconds = None if each is None else each * answers
    return {"items": items, "answers": answers, "seconds": seconds, "seconds_each": each, "based_on": based_on}


def _parameters(project: str, query: ItemQuery, unit: str) -> dict[str, Any]:
    return {
        "project": project, "unit": unit, "include": list(query.include_labels),
        "exclude": list(query.exclude_labels), "since": _naive(query.since), "until": _naive(query.until),
        "q": query.q, "surface": query.surface, "source": query.source, "show": query.show,
        "kinds": list(query.kinds), "least": query.min_candidates,
    }  # fmt: skip


def _naive(moment: Any) -> Any:
    return None if moment is None else moment.replace(tzinfo=None)
