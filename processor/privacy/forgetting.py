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
from processor.steps import decode, forget
from processor.steps.batch import Batch, Forgets, Row, microseconds
from processor.steps.forget import refusal_is_forgotten
from processor.tables.arrow import arrow_table, uuid_array
from processor.tables.store import Store, insert

CHUNK = 5000
# Events known to be forgotten: their keys, and whose they were.
Marks = set[tuple[bytes, str]]
Carry = Callable[[duckdb.DuckDBPyConnection, Batch], None]

_FORGETS = 'SELECT project, actor_digest, epoch_us("before") FROM forgets'
_SET_FORGET = """
INSERT INTO forgets VALUES (?, ?, make_timestamp(?)) ON CONFLICT DO UPDATE SET "before" = excluded."before"
"""
# As contract.forgetting.actor_digest makes it.
_DIGEST = "left(sha256({project} || chr(31) || {actor}), 32)"
_BODY_DIGEST = _DIGEST.format(project="t.project", actor="(t.body->>'$.actor.id')")
_INTERACTIONS = f"""
SELECT t.interaction_key FROM events t JOIN leaving l
ON t.project = l.project AND {_DIGEST.format(project="t.project", actor="t.actor_id")} = l.actor_digest
UNION
SELECT t.interaction_key FROM conflicts t JOIN leaving l ON t.project = l.project AND {_BODY_DIGEST} = l.actor_digest
WHERE t.kind = 'event'
ORDER BY 1
"""
_FACTS = f"""
SELECT t.project, t.event_key, t.event_id, t.type, t.subject, epoch_us(t.occurred_at), epoch_us(t.received_at), t.body,
    t.digest, t."partition", t."offset"
FROM facts t JOIN leaving l ON t.project = l.project AND {_BODY_DIGEST} = l.actor_digest
"""
_REJECTED = """
SELECT project, topic, "partition", "offset", epoch_us(received_at), key_id, code, message, event_id, raw FROM rejected
WHERE project IS NULL OR project IN (SELECT project FROM leaving)
"""
_DELETE_REJECTED = 'DELETE FROM rejected WHERE topic = ? AND "partition" = ? AND "offset" = ?'
_ERASE_ALL = """
INSERT INTO erasing BY NAME
SELECT topic, "partition", 0 AS start, next_offset AS stop FROM offsets UNION ALL SELECT '', 0, 0, 0
"""
_FORGOTTEN = """
SELECT project, event_key, interaction_key, actor_digest, described FROM forgotten
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


def load_forgets(cursor: duckdb.DuckDBPyConnection, store: Store, batch: Batch) -> Forgets:
    """Tell the batch who is forgotten, and return and store what is new in it."""
    batch.forgets = held = forgets_of(cursor, store)
    new = Forgets()
    for row in batch.facts.values():
        if row[3] != "forget":
            continue
        fact: Any = decode_stored(row[7].encode())
        before = microseconds(fact.before)
        if not new:
            batch.forgets = held.copy()
        if batch.forgets.add(row[0], fact.actor_digest, before):
            new.add(row[0], fact.actor_digest, before)
    if new:
        store.forgets = None
        for project, digest, before in new.rows():
            cursor.execute(_SET_FORGET, [project, digest, before])
    return new


def brings_forget(batch: Batch) -> bool:
    """Say whether the batch holds a `forget` fact."""
    return any(row[3] == "forget" for row in batch.facts.values())


def load_forgotten(cursor: duckdb.DuckDBPyConnection, batch: Batch) -> None:
    """Load which events of forgotten actors the batch touches are known to be forgotten."""
    keys = {row[1] for row in batch.forgotten}
    if batch.forgets:
        copies = [copy for arrived in batch.arrived.values() for copy in arrived]
        copies += [copy for known in batch.known.values() for copy in (*known.kept, *known.lost)]
        for copy in copies:
            event: Any = copy.event
            if batch.forgets.before(event.project, event.actor.id) is not None:
                keys.add(copy.key)
    if keys:
        cursor.register("touched", pa.table({"key": uuid_array(sorted(keys))}))
        found = cursor.execute(_FORGOTTEN).fetchall()
        cursor.unregister("touched")
        batch.known_forgotten = {(row[0], row[1].bytes, row[2].bytes, *row[3:]) for row in found}


def take_out(cursor: duckdb.DuckDBPyConnection, new: Forgets, forgets: Forgets, carry: Carry) -> None:
    """Take the newly forgotten out of what is stored, some thousand interactions at a time."""
    projects, digests, _ = zip(*new.rows(), strict=True)
    cursor.register("leaving", pa.table({"project": projects, "actor_digest": digests}))
    touched = [row[0].bytes for row in cursor.execute(_INTERACTIONS).fetchall()]
    facts = [fact_row(values) for values in cursor.execute(_FACTS).fetchall()]
    refused: list[tuple[Any, ...]] = []
    cursor.execute(_REJECTED)
    while found := cursor.fetchmany(CHUNK):
        refused += [row[1:4] for row in found if refusal_is_forgotten(row, forgets)]
    cursor.unregister("leaving")
    for position in refused:
        cursor.execute(_DELETE_REJECTED, list(position))
    for start in range(0, len(touched), CHUNK):
        part = Batch()
        part.forgets = forgets
        part.arrived = {key: [] for key in touched[start : start + CHUNK]}
        carry(cursor, part)
    part = Batch()
    part.forgets = forgets
    part.facts = {row[1]: row for row in facts}
    carry(cursor, part)
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
        batch = decode([record])
        batch.forgets = forgets
        batch.known_forgotten = {("", key, b"", digest, False) for key, digest in _marked(batch, marks)}
        for made in forget(batch).erased.values():
            if made != record.value:
                key = record.key if record.topic == RUNS else "-" * len(record.key.encode())
                found[record.offset] = (key, made or blank(record.value))
        marks.update((row[1], row[3]) for row in batch.forgotten)
    return found


def _marked(batch: Batch, marks: Marks) -> list[tuple[bytes, str]]:
    """Return which of the batch's events are marked; a batch of one record has one at most."""
    events: list[Any] = [copy for copies in batch.arrived.values() for copy in copies]
    named = [(copy.key, actor_digest(copy.event.project, copy.event.actor.id)) for copy in events]
    return [mark for mark in named if mark in marks]


def fact_row(values: tuple[Any, ...]) -> Row:
    """Return a row of `facts` as the steps have it, from what a query returned."""
    return (values[0], values[1].bytes, *values[2:8], values[8].bytes, *values[9:])


def note_erasures(cursor: duckdb.DuckDBPyConnection, positions: Iterable[tuple[str, int, int]]) -> None:
    """Note records that came too late: the log holds them."""
    rows = [(topic, partition, offset, offset + 1) for topic, partition, offset in sorted(positions)]
    if rows:
        insert(cursor, "erasing", arrow_table("erasing", rows))
