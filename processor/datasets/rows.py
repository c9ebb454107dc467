"""Rows that may enter a dataset, read from the tables, and why others may not."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import duckdb

from contract.control_text import holds_control_text
from contract.envelope import text_of
from processor.datasets.filters import EVALUATION_LABEL, Filters, has_label

_SHARED = """
r.interaction_id, r.event_id, lower(replace(CAST(r.prompt_hash AS VARCHAR), '-', '')), r.received_at,
i.conversation_id, i.source, i.labels, i.messages, i.trial, i.received_at,
"""
# Of those who judged the same, the row that trains is one; `steps.consensus` says so of the others.
_PAIRS = f"""
WITH others AS (
    SELECT interaction_key, chosen_candidate, rejected_candidate, count(*) AS n FROM pairs
    WHERE project = $project AND why_not IN ('agreeing', 'outvoted') GROUP BY ALL
)
SELECT {_SHARED} 'preference', r.pair_id, r.kind, r.weight_num, r.weight_den, r.chosen, r.rejected,
    r.chosen_model, r.rejected_model, r.truncated_chosen, r.truncated_rejected, NULL,
    (1 + coalesce(a.n, 0)) / (1 + coalesce(a.n, 0) + coalesce(o.n, 0))
FROM pairs r JOIN interactions i USING (interaction_key)
    LEFT JOIN others a ON a.interaction_key = r.interaction_key
        AND a.chosen_candidate = r.chosen_candidate AND a.rejected_candidate = r.rejected_candidate
    LEFT JOIN others o ON o.interaction_key = r.interaction_key
        AND o.chosen_candidate = r.rejected_candidate AND o.rejected_candidate = r.chosen_candidate
WHERE r.project = $project AND r.trainable
"""
_UNPAIRED = f"""
WITH others AS (
    SELECT interaction_key, candidate_id, count(*) FILTER (why_not = 'agreeing') AS agreeing, count(*) AS n
    FROM unpaired WHERE project = $project AND why_not IN ('agreeing', 'outvoted') GROUP BY ALL
)
SELECT {_SHARED} 'unpaired', r.unpaired_id, 'thumb', 1, 1, r.text, '', r.model, NULL, r.truncated, false, r.label,
    (1 + coalesce(o.agreeing, 0)) / (1 + coalesce(o.n, 0))
FROM unpaired r JOIN interactions i USING (interaction_key)
    LEFT JOIN others o ON o.interaction_key = r.interaction_key AND o.candidate_id = r.candidate_id
WHERE r.project = $project AND r.trainable
"""
_DEMONSTRATIONS = f"""
SELECT {_SHARED} 'demonstration', r.demonstration_id, r.kind, 1, 1, r.text, '', NULL, NULL, false, false, NULL, 1.0
FROM demonstrations r JOIN interactions i USING (interaction_key) WHERE r.project = $project AND r.trainable
"""
_UNTRAINABLE = """
SELECT why_not, count(*) FROM (
    SELECT project, trainable, why_not FROM pairs UNION ALL SELECT project, trainable, why_not FROM unpaired
    UNION ALL SELECT project, trainable, why_not FROM demonstrations
) WHERE project = ? AND NOT trainable GROUP BY why_not ORDER BY why_not
"""
_EVALUATION = """
SELECT lower(replace(CAST(prompt_hash AS VARCHAR), '-', '')), conversation_id, labels
FROM interactions WHERE project = ? AND len(list_filter(labels, lambda label: starts_with(label, ?))) > 0
"""
_DECISIONS = """
SELECT subject, max(least(occurred_at, received_at)) FROM facts
WHERE project = ? AND type IN ('model.promoted', 'model.rejected', 'model.held', 'model.rolled_back') GROUP BY subject
"""
_NEAR = """
SELECT lower(replace(CAST(a.prompt_hash AS VARCHAR), '-', '')), lower(replace(CAST(b.prompt_hash AS VARCHAR), '-', ''))
FROM duplicates d JOIN interactions a ON a.interaction_key = d.interaction_key
JOIN interactions b ON b.interaction_key = d.canonical_key
WHERE d.project = ? AND a.prompt_hash IS NOT NULL AND b.prompt_hash IS NOT NULL ORDER BY 1, 2
"""


@dataclass(slots=True)
class DataRow:
    """One row of a dataset. `chosen` is the completion of unpaired and demonstration rows; the weight is exact.

    `share`: of those who judged these replies, how many say what the row says.
    """

    interaction_id: str
    event_id: str
    prompt_hash: str
    received_at: datetime
    conversation_id: str | None
    source: str | None
    labels: list[str] | None
    messages: str
    trial: str | None
    shown_at: datetime
    config: str
    id: str
    kind: str
    weight_num: int
    weight_den: int
    chosen: str
    rejected: str
    chosen_model: str | None
    rejected_model: str | None
    truncated_chosen: bool
    truncated_rejected: bool
    label: bool | None
    share: float
    replay: bool = False
    split: str = ""

    @property
    def order(self) -> tuple[datetime, str, str]:
        """Order rows the same way whatever order the tables have them in."""
        return self.received_at, self.event_id, self.id

    def prompt(self) -> list[dict[str, Any]]:
        """Return the prompt as messages of plain text, with calls of tools and what they answer."""
        return [
            {"role": m["role"], "content": text_of(m.get("content")) or "", **of_tools(m)}
            for m in json.loads(self.messages)
        ]  # fmt: skip

    def uses_tools(self) -> bool:
        """Say whether its prompt calls tools."""
        return any(of_tools(message) for message in json.loads(self.messages))

    def holds_control_text(self) -> bool:
        """Say whether its messages or replies hold what is a control token of some family of models."""
        return any(holds_control_text(text) for text in (self.messages, self.chosen, self.rejected))


def of_tools(message: dict[str, Any]) -> dict[str, Any]:
    """Return what a stored message says of tools: its calls, each with its arguments as text, or what it answers."""
    found: dict[str, Any] = {}
    if calls := message.get("tool_calls"):
        found["tool_calls"] = [_call(call) for call in calls]
    if message["role"] in ("tool", "function"):
        found |= {name: message.get(name) for name in ("name", "tool_call_id")}
    return found


def _call(call: Any) -> dict[str, Any]:
    """Return a call in OpenAI's form; a function without a name is kept, and refused by whoever trains on it."""
    function = call.get("function") if isinstance(call, dict) else None
    function = function if isinstance(function, dict) else {}
    name, arguments = function.get("name"), function.get("arguments")
    if arguments is not None and not isinstance(arguments, str):
        arguments = json.dumps(arguments, ensure_ascii=False, sort_keys=True)
    told = call.get("id") if isinstance(call, dict) else None
    return {
        "id": told if isinstance(told, str) else None, "type": "function",
        "function": {"name": name if isinstance(name, str) else None, "arguments": arguments},
    }  # fmt: skip


@dataclass
class Candidates:
    """Rows that passed the filters, the reasons of those that did not, and which prompts are near each other."""

    rows: list[DataRow]
    dropped: Counter[str] = field(default_factory=Counter)
    near: list[tuple[str, str]] = field(default_factory=list)


def select_rows(cursor: duckdb.DuckDBPyConnection, project: str, filters: Filters) -> Candidates:
    """Return the rows these filters take, in order."""
    found: list[DataRow] = []
    for query in (_PAIRS, _UNPAIRED, _DEMONSTRATIONS):
        for values in cursor.execute(query, {"project": project}).fetchall():
            row = DataRow(*values)
            row.id = str(row.id)
            found.append(row)
    candidates = Candidates([])
    candidates.near = [(str(a), str(b)) for a, b in cursor.execute(_NEAR, [project]).fetchall()]
    candidates.dropped.update({reason: n for reason, n in cursor.execute(_UNTRAINABLE, [project]).fetchall()})
    prompts, conversations = _evaluation(cursor, project, candidates.near)
    decided = dict(cursor.execute(_DECISIONS, [project]).fetchall())
    for row in sorted(found, key=lambda row: row.order):
        if row.prompt_hash in prompts or row.conversation_id in conversations:
            reason: str | None = "evaluation_prompt"
        else:
            reason = _why_not(row, filters, decided)
        if reason is None:
            candidates.rows.append(row)
        else:
            candidates.dropped[reason] += 1
    return candidates


def _evaluation(
    cursor: duckdb.DuckDBPyConnection, project: str, near: Iterable[tuple[str, str]]
) -> tuple[set[str], set[str]]:
    """Return the prompts (by hash, near duplicates too) and the conversations that only evaluate."""
    prompts: set[str] = set()
    conversations: set[str] = set()
    for prompt_hash, conversation, labels in cursor.execute(_EVALUATION, [project, EVALUATION_LABEL]).fetchall():
        if has_label(labels, [EVALUATION_LABEL]):
            prompts.add(prompt_hash)
            if conversation is not None:
                conversations.add(conversation)
    close = {b for a, b in near if a in prompts} | {a for a, b in near if b in prompts}
    return prompts | close, conversations


def _why_not(row: DataRow, filters: Filters, decided: dict[str, datetime]) -> str | None:
    if filters.kinds and row.config not in filters.kinds and row.kind not in filters.kinds:
        return "kind"
    if filters.include_labels and not has_label(row.labels, filters.include_labels):
        return "label_not_included"
    if has_label(row.labels, filters.exclude_labels):
        return "label_excluded"
    if _test_runs(row, decided):
        return "test_running"
    old = _is_old(row, filters)
    if filters.policy is None:
        return "before_since" if old else None
    # A reply of unknown origin (an import) is nobody's replay.
    other = row.config == "preference" and row.rejected_model is not None and row.rejected_model != filters.policy
    row.replay = other or old
    return None


def _is_old(row: DataRow, filters: Filters) -> bool:
    """Say whether the row came before what the filters call new; of a kind they name apart, before that kind's day."""
    since = filters.since_of.get(row.config, filters.since)  # type: ignore[call-overload]
    return since is not None and row.received_at.replace(tzinfo=UTC) < since


def _test_runs(row: DataRow, decided: dict[str, datetime]) -> bool:
    """Say whether the row was shown in a blind test that is not decided: what decides a test must not train."""
    if row.trial is None:
        return False
    trial: dict[str, Any] = json.loads(row.trial)
    challenger = trial.get("challenger")
    if not challenger:
        return False
    end = decided.get(challenger)
    return end is None or end < row.shown_at
