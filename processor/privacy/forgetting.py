"""Carries out `forget` facts in the tables, within the transaction of the batch that brought them.

What the log and the database's file still hold afterwards is noted in `erasing`; `processor.privacy.erasing` removes
it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import duckdb
import pyarrow as pa

from contract.events import decode_stored
from contract.forgetting import actor_digest, blank
from contract.topics import RUNS
from eventlog.log import Record
from processor.rows import ErasingRow, FactRow, ForgottenRow, RejectedRow
from processor.steps import decode, forget
from processor.steps.batch import Decoded, Forgets, Held, microseconds
from processor.steps.forget import refusal_is_forgotten
from processor.tables.arrow import arrow_table
from processor.tables.selecting import among, rows_from, selected
from processor.tables.store import Store, insert

CHUNK = 5000
# Events known to be forgotten: their keys, and whose they were.
Marks = set[tuple[bytes, str]]
Carry = Callable[[duckdb.DuckDBPyConnection, Decoded, Forgets], object]

_FORGETS = 'SELECT project, actor_digest, epoch_us("before") FROM forgets'
_SET_FORGET = """
INSERT INTO forgets VALUES (?, ?, make_timestamp(?)) ON CONFLICT DO UPDATE SET "before" = excluded."before"
"""
# As contract.forgetting.actor_digest makes it.
_DIGEST = "left(sha256({project} || chr(31) || {actor}), 32)"
_BODY_DIGEST = _DIGEST.format(project="t.project", actor="(t.body->>'$.actor.id')")
# Whom a fact speaks of, such as somebody paused in a task.
_MEMBER_DIGEST = _DIGEST.format(project="t.project", actor="(t.body->>'$.member')")
_INTERACTIONS = f"""
SELECT t.interaction_key FROM events t JOIN leaving l
ON t.project = l.project AND {_DIGEST.format(project="t.project", actor="t.actor_id")} = l.actor_digest
UNION
SELECT t.interaction_key FROM conflicts t JOIN leaving l ON t.project = l.project AND {_BODY_DIGEST} = l.actor_digest
WHERE t.kind = 'event'
UNION
SELECT t.interaction_key FROM over_limit t JOIN leaving l
ON t.project = l.project AND {_DIGEST.format(project="t.project", actor="t.actor_id")} = l.actor_digest
ORDER BY 1
"""
_FACTS = f"""
SELECT {selected(FactRow, "t")} FROM facts t JOIN leaving l ON t.project = l.project
    AND (l.actor_digest = {_BODY_DIGEST} OR l.actor_digest = {_MEMBER_DIGEST})
"""
_REJECTED = f"""
SELECT {selected(RejectedRow, "rejected")} FROM rejected
WHERE project IS NULL OR project IN (SELECT project FROM leaving)
"""
_DELETE_REJECTED = 'DELETE FROM rejected WHERE topic = ? AND "partition" = ? AND "offset" = ?'
_ERASE_ALL = """
INSERT INTO erasing BY NAME
SELECT topic, "partition", 0 AS start, next_offset AS stop FROM offsets UNION ALL SELECT '', 0, 0, 0
"""
_FORGOTTEN = f"""
SELECT {selected(ForgottenRow, "forgotten")} FROM forgotten
WHERE event_key IN (SELECT key FROM touched)
"""
# Prompts that are gone lose their embedding and marks; one that others asked too goes on under theirs. Positions are
# numbered anew without gaps, as the neighbour index numbers them.
_MARKS = """
CREATE TEMP TABLE asked AS SELECT project, prompt_hash, min_by(interaction_key, (received_at, interaction_key)) AS key
FROM interactions WHERE described AND prompt_hash IS NOT NULL GROUP BY project, prompt_hash;
CREATE TEMP TABLE embedded AS
SELECT e.project, e.prompt_hash, CASE WHEN i.prompt_hash = e.prompt_hash THEN e.interaction_key ELSE a.key END AS key,
    e.model, e.vector, e.skipped, CASE WHEN e.position IS NOT NULL
    THEN row_number() OVER (PARTITION BY e.project, e.position IS NULL ORDER BY e.position) - 1 END AS position
FROM embedded_prompts e JOIN asked a USING (project, prompt_hash)
LEFT JOIN interactions i ON i.interaction_key = e.interaction_key;
DELETE FROM embedded_prompts;
INSERT INTO embedded_prompts BY NAME
SELECT project, prompt_hash, key AS interaction_key, model, position, vector, skipped FROM embedded;
DELETE FROM duplicates WHERE interaction_key NOT IN (SELECT key FROM embedded)
    OR canonical_key NOT IN (SELECT key FROM embedded);
DROP TABLE asked;
DROP TABLE embedded;
"""


def forgets_of(cursor: duckdb.DuckDBPyConnection, store: Store) -> Forgets:
    """Return who is forgotten according to the tables."""
    if store.forgets is None:
        store.forgets = Forgets(cursor.execute(_FORGETS).fetchall())
    return store.forgets


def load_forgets(cursor: duckdb.DuckDBPyConnection, store: Store, decoded: Decoded) -> tuple[Forgets, Forgets]:
    """Return who is forgotten, with the batch's own facts, and of that, stored now, what is new in it."""
    forgets = forgets_of(cursor, store)
    new = Forgets()
    for row in decoded.facts.values():
        if row.type != "forget":
            continue
        fact: Any = decode_stored(row.body.encode())
        before = microseconds(fact.before)
        if not new:
            forgets = forgets.copy()
        if forgets.add(row.project, fact.actor_digest, before):
            new.add(row.project, fact.actor_digest, before)
    if new:
        store.forgets = None
        for project, digest, before in new.rows():
            cursor.execute(_SET_FORGET, [project, digest, before])
    return forgets, new


def brings_forget(decoded: Decoded) -> bool:
    """Say whether the batch holds a `forget` fact."""
    return any(row.type == "forget" for row in decoded.facts.values())


def load_forgotten(cursor: duckdb.DuckDBPyConnection, decoded: Decoded, held: Held) -> set[ForgottenRow]:
    """Return which events of forgotten actors the batch touches are known to be forgotten."""
    keys = {row.event_key for row in decoded.forgotten}
    if held.forgets:
        copies = [copy for arrived in decoded.arrived.values() for copy in arrived]
        copies += [copy for known in held.known.values() for copy in (*known.kept, *known.lost, *known.over)]
        for copy in copies:
            event: Any = copy.event
            if held.forgets.before(event.project, event.actor.id) is not None:
                keys.add(copy.key)
    if not keys:
        return set()
    return set(rows_from(ForgottenRow, among(cursor, sorted(keys), _FORGOTTEN)))


def take_out(cursor: duckdb.DuckDBPyConnection, new: Forgets, forgets: Forgets, carry: Carry) -> None:
    """Take the newly forgotten out of what is stored, some thousand interactions at a time."""
    projects, digests, _ = zip(*new.rows(), strict=True)
    cursor.register("leaving", pa.table({"project": projects, "actor_digest": digests}))
    touched = [key.bytes for (key,) in cursor.execute(_INTERACTIONS).fetchall()]
    facts = rows_from(FactRow, cursor.execute(_FACTS).fetchall())
    refused: list[tuple[str, int, int]] = []
    cursor.execute(_REJECTED)
    while found := cursor.fetchmany(CHUNK):
        refused += [
            (row.topic, row.partition, row.offset)
            for row in rows_from(RejectedRow, found) if refusal_is_forgotten(row, forgets)
        ]  # fmt: skip
    cursor.unregister("leaving")
    for position in refused:
        cursor.execute(_DELETE_REJECTED, list(position))
    for start in range(0, len(touched), CHUNK):
        carry(cursor, Decoded(arrived={key: [] for key in touched[start : start + CHUNK]}), forgets)
    carry(cursor, Decoded(facts={row.event_key: row for row in facts}), forgets)
    cursor.execute(_MARKS)
    cursor.execute(_ERASE_ALL)


def overwritten(records: Sequence[Record], forgets: Forgets, marks: Marks) -> dict[int, tuple[str, bytes]]:
    """Return key and value by offset for records of one partition that the step `forget` takes out.

    Each is looked at by itself; `marks` says which events are known to be forgotten, and is added to.
    """
    found: dict[int, tuple[str, bytes]] = {}
    if not forgets:
        return found
    for record in records:
        decoded = decode([record])
        known = {ForgottenRow("", key, b"", digest, described=False) for key, digest in _marked(decoded, marks)}
        remaining = forget(decoded, Held(forgets, forgotten=known))
        for made in remaining.erased.values():
            if made != record.value:
                key = record.key if record.topic == RUNS else "-" * len(record.key.encode())
                found[record.offset] = (key, made or blank(record.value))
        marks.update((row.event_key, row.actor_digest) for row in remaining.forgotten)
    return found


def _marked(decoded: Decoded, marks: Marks) -> list[tuple[bytes, str]]:
    """Return which of the batch's events are marked; a batch of one record has one at most."""
    events: list[Any] = [copy for copies in decoded.arrived.values() for copy in copies]
    named = [(copy.key, actor_digest(copy.event.project, copy.event.actor.id)) for copy in events]
    return [mark for mark in named if mark in marks]


def note_erasures(cursor: duckdb.DuckDBPyConnection, positions: Iterable[tuple[str, int, int]]) -> None:
    """Note records that came too late: the log holds them."""
    rows = [ErasingRow(topic, partition, offset, offset + 1) for topic, partition, offset in sorted(positions)]
    if rows:
        insert(cursor, "erasing", arrow_table("erasing", rows))
