"""In: an item of a task. Out: what its annotator sees: the conversation and the replies, not who wrote them."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import duckdb

from contract.events import decode_stored
from contract.ids import key128
from processor.curation.questions import candidates_of
from processor.queries.reading import NotFound, Row, one, parse_json, rows

_MESSAGES = "SELECT messages FROM interactions WHERE interaction_key = $key AND project = $project AND described"
# Neither model nor sampling: what is not read cannot be shown.
_REPLIES = "SELECT candidate_id, content FROM candidates WHERE interaction_key = $key ORDER BY position"
_GUIDELINES = """
SELECT body FROM facts WHERE project = $project AND type = 'definition.guideline' ORDER BY "partition", "offset"
"""


def shown_item(cursor: duckdb.DuckDBPyConnection, project: str, interaction_id: str, unit: str, person: str) -> Row:
    """Return `messages` and `candidates` of an item, in an order of this person's own; raises NotFound.

    The order is drawn by item and person: the first reply is not preferred for its place, and a reload changes nothing.
    """
    key = key128(project, interaction_id)
    found = one(cursor, _MESSAGES, {"key": key, "project": project})
    if found is None:
        raise NotFound("unknown_interaction", f"No interaction {interaction_id!r} in project {project!r}.",
                       "It may have been forgotten.")  # fmt: skip
    replies = {row["candidate_id"]: row["content"] for row in rows(cursor, _REPLIES, {"key": key})}
    own = candidates_of(unit, list(replies))
    own.sort(key=lambda candidate: blake2b("\x1f".join((interaction_id, unit, person, candidate)).encode()).digest())
    return {
        "messages": [_said(message) for message in parse_json(found["messages"]) or []],
        "candidates": [{"candidate_id": name, "content": replies[name]} for name in own],
    }


def _said(message: Row) -> Row:
    return {"role": message.get("role"), "content": message.get("content")}


def guidelines(cursor: duckdb.DuckDBPyConnection, project: str, names: set[str]) -> list[Row]:
    """Return the guidelines of these ids as they are now, in both languages: of equal versions the latest counts."""
    found: dict[str, Row] = {}
    for row in rows(cursor, _GUIDELINES, {"project": project}):
        event: Any = decode_stored(row["body"].encode())
        held = found.get(event.id)
        if event.id in names and (held is None or event.version >= held["version"]):
            found[event.id] = {
                "id": event.id, "version": event.version, "en": event.markdown, "zh": event.markdown_zh,
            }  # fmt: skip
    return [found[name] for name in sorted(found)]
