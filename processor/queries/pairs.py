"""Preference pairs with the vote each of them came from."""

from __future__ import annotations

import duckdb

from contract.control_text import CONTROL_TEXT
from processor.queries.blinding import BLINDED, NOT_BLIND, Blind
from processor.queries.reading import MAX_CHOICES, Page, Row, page, rows

_LIST = f"""
WITH p AS (
    SELECT p.pair_id, p.interaction_id, p.event_id, p.kind, i.prompt_text, p.chosen, p.rejected, p.chosen_candidate,
        p.rejected_candidate, {BLINDED} AS blinded,
        CASE WHEN blinded THEN NULL ELSE p.chosen_model END AS chosen_model,
        CASE WHEN blinded THEN NULL ELSE p.rejected_model END AS rejected_model,
        p.weight_num, p.weight_den, p.truncated_chosen,
        p.truncated_rejected, p.actor_id, f.actor_kind, f.via, f.verified, f.dwell_ms, f.comment,
        len(f.shown) AS shown, p.trainable, p.why_not, nullif(p.occurred_at, TIMESTAMP '1970-01-01') AS occurred_at,
        p.received_at, p.received_at AS page_at, p.pair_id AS page_key, p.interaction_key
    FROM pairs p JOIN interactions i USING (interaction_key)
        LEFT JOIN feedback f ON f.interaction_key = p.interaction_key AND f.event_key = p.event_key
    WHERE p.project = $project
        AND ($at::TIMESTAMP IS NULL OR (p.received_at, p.pair_id) < ($at::TIMESTAMP, $page_key::UUID))
        AND ($kind::TEXT IS NULL OR p.kind = $kind)
        AND ($trainable::BOOLEAN IS NULL OR p.trainable = $trainable)
        AND ($model::TEXT IS NULL OR (NOT blinded AND (p.chosen_model = $model OR p.rejected_model = $model)))
        AND ($interaction::TEXT IS NULL OR p.interaction_id = $interaction)
    ORDER BY p.received_at DESC, p.pair_id DESC LIMIT $take
), judged AS (
    SELECT interaction_key, chosen_candidate, rejected_candidate, count(*) AS n FROM pairs
    WHERE interaction_key IN (SELECT interaction_key FROM p) AND chosen_candidate IS NOT NULL
        AND (trainable OR why_not IN ('agreeing', 'outvoted', 'tied')) GROUP BY ALL
)
SELECT p.* EXCLUDE (interaction_key), CASE WHEN p.trainable OR p.why_not IN ('agreeing', 'outvoted', 'tied')
    THEN coalesce(a.n, 1) / (coalesce(a.n, 1) + coalesce(o.n, 0)) END AS chosen_share
FROM p LEFT JOIN judged a ON a.interaction_key = p.interaction_key
        AND a.chosen_candidate = p.chosen_candidate AND a.rejected_candidate = p.rejected_candidate
    LEFT JOIN judged o ON o.interaction_key = p.interaction_key
        AND o.chosen_candidate = p.rejected_candidate AND o.rejected_candidate = p.chosen_candidate
ORDER BY p.received_at DESC, p.pair_id DESC
"""
# Of one page only: in the list it would read every prompt of the project.
_CONTROL = """
SELECT p.pair_id FROM pairs p JOIN interactions i USING (interaction_key)
WHERE p.project = $project AND list_contains($ids, p.pair_id)
    AND regexp_matches(concat_ws(' ', i.messages, p.chosen, p.rejected), $pattern)
"""
_COUNTS = """
SELECT kind, coalesce(why_not, '') AS why_not, trainable, count(*) AS n FROM pairs
WHERE project = $project GROUP BY ALL ORDER BY kind, why_not
"""
_MODELS = """
SELECT model FROM (
    SELECT model, row_number() OVER (ORDER BY count(*) DESC, model) AS place FROM (
        SELECT chosen_model AS model FROM pairs WHERE project = $project
        UNION ALL SELECT rejected_model FROM pairs WHERE project = $project
    ) WHERE model <> '' GROUP BY model
) WHERE place <= $take ORDER BY model
"""


def list_pairs(
    cursor: duckdb.DuckDBPyConnection, project: str, *, after: str | None = None, limit: int = 50,
    kind: str | None = None, trainable: bool | None = None, model: str | None = None, interaction: str | None = None,
    blind: Blind = NOT_BLIND,
) -> Page:  # fmt: skip
    """Return pairs, newest first, each with prompt, both texts, who wrote them, and the vote behind it.

    `chosen_share`: of those who judged the two replies, how many chose as this row does; None where it is no judgement.
    `occurred_at` is None where nobody knows it (imports).
    `control_text` says whether its messages or replies hold what is a control token of some family of models.
    Of interactions that `blind` hides, no model is told.
    """
    parameters = {
        "project": project, "kind": kind or None, "trainable": trainable, "model": model or None,
        "interaction": interaction or None, **blind.parameters(),
    }  # fmt: skip
    found = page(cursor, _LIST, parameters, after, limit)
    ids = [item["pair_id"] for item in found.items]
    marked = rows(cursor, _CONTROL, {"project": project, "ids": ids, "pattern": CONTROL_TEXT}) if ids else []
    holding = {row["pair_id"] for row in marked}
    for item in found.items:
        item["control_text"] = item["pair_id"] in holding
    return found


def pair_counts(cursor: duckdb.DuckDBPyConnection, project: str) -> list[Row]:
    """Return how many pairs there are by kind, and why some do not train."""
    return rows(cursor, _COUNTS, {"project": project})


def pair_models(cursor: duckdb.DuckDBPyConnection, project: str) -> list[str]:
    """Return the models that wrote either side of a pair; of many, those of the most pairs."""
    return [row["model"] for row in rows(cursor, _MODELS, {"project": project, "take": MAX_CHOICES})]
