"""In: the id of a row. Out: every stage it passed: what was shown, who said what, what came of it, where it trained."""

from __future__ import annotations

import uuid

import duckdb

from processor.queries.blinding import BLINDED, NOT_BLIND, Blind
from processor.queries.datasets import Datasets
from processor.queries.facts import list_adapters, list_runs
from processor.queries.lineage import downwards
from processor.queries.reading import NotFound, Row, one, parse_json, rows

_ROWS = {
    "pair": """
SELECT pair_id AS row_id, interaction_id, event_id, kind, chosen AS text, rejected, chosen_candidate,
    rejected_candidate, weight_num, weight_den, strength, actor_id, trainable, why_not, received_at
FROM pairs WHERE project = $project AND pair_id = $id::UUID LIMIT 1""",
    "demonstration": """
SELECT demonstration_id AS row_id, interaction_id, event_id, kind, text, actor_id, trainable, why_not, received_at
FROM demonstrations WHERE project = $project AND demonstration_id = $id::UUID LIMIT 1""",
    "unpaired": """
SELECT unpaired_id AS row_id, interaction_id, event_id, 'thumb' AS kind, text, candidate_id AS chosen_candidate, label,
    actor_id, trainable, why_not, received_at
FROM unpaired WHERE project = $project AND unpaired_id = $id::UUID LIMIT 1""",
}
_INTERACTION = f"""
SELECT interaction_id, prompt_text, source, labels, surface, via, trusted, described_by, received_at,
    {BLINDED} AS blinded
FROM interactions i WHERE project = $project AND interaction_id = $interaction LIMIT 1
"""
_EVENT = """
SELECT event_id, type, actor_id, actor_kind, via, verified, state, outcome, value, comment, received_at
FROM feedback WHERE project = $project AND interaction_id = $interaction AND event_id = $event LIMIT 1
"""
# Of the same two replies, in either order.
_OTHERS = """
SELECT pair_id AS row_id, event_id, kind, actor_id, chosen_candidate = $chosen AS agrees, trainable, why_not,
    received_at
FROM pairs WHERE project = $project AND interaction_id = $interaction AND pair_id <> $id::UUID
    AND ((chosen_candidate = $chosen AND rejected_candidate = $rejected)
        OR (chosen_candidate = $rejected AND rejected_candidate = $chosen))
ORDER BY received_at, event_id
"""
_ANSWERS = """
SELECT event_id, task_id, stage, round, unit, label, label_version, value, actor_id, actor_kind, state, received_at
FROM answers WHERE project = $project AND interaction_id = $interaction ORDER BY received_at, event_id, label
"""
_REVIEWS = """
SELECT event_id, kind, task_id, stage, round, unit, target, verdict, reasons, comment, actor_id, actor_kind, state,
    received_at
FROM reviews WHERE project = $project AND interaction_id = $interaction ORDER BY received_at, event_id
"""


def why(
    cursor: duckdb.DuckDBPyConnection, project: str, datasets: Datasets, row_id: str, blind: Blind = NOT_BLIND
) -> Row:  # fmt: skip
    """Return the row, what it was made of, who judged the same, and the datasets, runs and adapters that hold it.

    Which model wrote a reply stands nowhere in it; of the interaction it is said whether a blind test hides that.
    Raises NotFound.
    """
    table, row = _row(cursor, project, row_id)
    given = {"project": project, "interaction": row["interaction_id"]}
    found: Row = {
        "table": table, "row": row,
        "interaction": one(cursor, _INTERACTION, given | blind.parameters()),
        "event": one(cursor, _EVENT, {**given, "event": row["event_id"]}),
        "others": _others(cursor, given, row) if table == "pair" else [],
        "answers": rows(cursor, _ANSWERS, given), "reviews": rows(cursor, _REVIEWS, given),
    }  # fmt: skip
    for answer in found["answers"]:
        answer["value"] = parse_json(answer["value"])
    adapters = list_adapters(cursor, project)["items"]
    runs = {run["run_id"]: run for run in list_runs(cursor, project)}
    return found | downwards(adapters, runs, datasets.holding(cursor, str(row["row_id"])))


def _row(cursor: duckdb.DuckDBPyConnection, project: str, row_id: str) -> tuple[str, Row]:
    try:
        wanted = str(uuid.UUID(row_id))
    except ValueError:
        wanted = ""
    for table, query in _ROWS.items() if wanted else ():
        if row := one(cursor, query, {"project": project, "id": wanted}):
            return table, row
    raise NotFound(
        "unknown_row", f"No row {row_id!r} in project {project!r}.",
        "Give the id of a pair, a demonstration or an unpaired row; the page of pairs names them.",
    )  # fmt: skip


def _others(cursor: duckdb.DuckDBPyConnection, given: Row, row: Row) -> list[Row]:
    if row["chosen_candidate"] is None:
        return []
    named = {"id": str(row["row_id"]), "chosen": row["chosen_candidate"], "rejected": row["rejected_candidate"]}
    return rows(cursor, _OTHERS, {**given, **named})
