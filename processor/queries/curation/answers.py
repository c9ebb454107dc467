"""In: a project, a task. Out: single answers as they were given, by pages or all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import duckdb

from contract.errors import ThumbwheelError
from processor.queries.reading import Page, page, parse_json

STATES = ("vote", "superseded", "retracted", "unmatched", "untrusted")
_COLUMNS = """answer_id, interaction_id, event_id, task_id, task_version, stage, round, slot, unit, label,
    label_version, value, actor_id, actor_kind, via, state, suggestion_shown, active_ms, occurred_at, received_at"""
_PAGE = f"""
SELECT {_COLUMNS}, received_at AS page_at, answer_id AS page_key FROM answers
WHERE project = $project AND ($task::TEXT IS NULL OR task_id = $task) AND ($label::TEXT IS NULL OR label = $label)
    AND ($actor::TEXT IS NULL OR actor_id = $actor) AND ($interaction::TEXT IS NULL OR interaction_id = $interaction)
    AND ($state::TEXT IS NULL OR state = $state)
    AND ($at::TIMESTAMP IS NULL OR (received_at, answer_id) > ($at::TIMESTAMP, $page_key::UUID))
ORDER BY received_at, answer_id LIMIT $take
"""
_NAMES = ("task", "label", "actor", "interaction", "state")


def list_answers(
    cursor: duckdb.DuckDBPyConnection, project: str, given: Mapping[str, str | None], after: str | None = None,
    limit: int = 50,
) -> Page:  # fmt: skip
    """Return answers in the order they were received; `given`: task, label, actor, interaction, state."""
    if (state := given.get("state")) and state not in STATES:
        raise ThumbwheelError(
            "bad_state", f"No answer is {state!r}.", f"Use one of: {', '.join(f'`{one}`' for one in STATES)}.", "state"
        )
    parameters: dict[str, Any] = {"project": project} | {name: given.get(name) or None for name in _NAMES}
    found = page(cursor, _PAGE, parameters, after, limit)
    for row in found.items:
        row["value"] = parse_json(row["value"])
    return found
