"""Loads what is known already of the interactions and facts a batch touches.

Known is what the tables hold, and what batches before it will have written by then: `unwritten`, oldest first. Of one
interaction the last of them that touched it knows all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb
import pyarrow as pa

from contract.events import decode_stored
from contract.ids import key_bytes
from contract.topics import EVENTS
from processor.privacy.forgetting import fact_row, load_forgotten
from processor.steps.batch import Batch, Key, Known
from processor.steps.decode import copy_of, fact_rank
from processor.tables.arrow import uuid_array

_KNOWN_INTERACTIONS = "SELECT interaction_key FROM interactions WHERE interaction_key IN (SELECT key FROM touched)"
# Which rows, then their bodies: asked for in one step, DuckDB would decompress the bodies of every 2,048 rows among
# which its Bloom filter of the keys finds one, and at thousands of keys that is all of them. Both tables have a primary
# key: of others a checkpoint in between changes the row ids (docs/decisions/0014-row-ids.md).
_KNOWN_EVENTS = """
SELECT body, "partition", true AS kept FROM events
WHERE rowid IN (SELECT rowid FROM events WHERE interaction_key IN (SELECT key FROM touched))
UNION ALL
SELECT body, 0, false FROM conflicts WHERE kind = 'event' AND interaction_key IN (SELECT key FROM touched)
"""
_KNOWN_FACTS = """
SELECT project, event_key, event_id, type, subject, epoch_us(occurred_at), epoch_us(received_at), body, digest,
    "partition", "offset"
FROM facts WHERE rowid IN (SELECT rowid FROM facts WHERE event_key IN (SELECT key FROM touched))
"""


def load_known(cursor: duckdb.DuckDBPyConnection, batch: Batch, unwritten: Sequence[Batch] = ()) -> None:
    """Fill `known`, `known_facts` and `known_forgotten` of the batch."""
    interactions, facts = list(batch.arrived), list(batch.facts)
    for earlier in reversed(unwritten):
        interactions = _take_folded(batch, earlier, interactions)
        facts = _take_facts(batch, earlier, facts)
    if interactions:
        _read_interactions(cursor, batch, interactions)
    if facts:
        for row in _among(cursor, facts, _KNOWN_FACTS):
            batch.known_facts[row[1].bytes] = fact_row(row)
    load_forgotten(cursor, batch)
    for earlier in unwritten:
        batch.known_forgotten |= earlier.forgotten


def _take_folded(batch: Batch, earlier: Batch, keys: list[Key]) -> list[Key]:
    """Take over what an earlier batch made of these interactions; return those it did not touch."""
    rest = []
    for key in keys:
        folded = earlier.folded.get(key)
        if folded is None:
            rest.append(key)
        elif folded[1].kept:
            batch.known[key] = folded[1]
    return rest


def _take_facts(batch: Batch, earlier: Batch, keys: list[Key]) -> list[Key]:
    rest = []
    for key in keys:
        row, held = earlier.facts.get(key), earlier.known_facts.get(key)
        if row is None:
            rest.append(key)
        else:
            batch.known_facts[key] = row if held is None else min(held, row, key=fact_rank)
    return rest


def _read_interactions(cursor: duckdb.DuckDBPyConnection, batch: Batch, keys: Sequence[Key]) -> None:
    held = [row[0].bytes for row in _among(cursor, keys, _KNOWN_INTERACTIONS)]
    if not held:
        return
    found = {key: Known() for key in held}
    for body, partition, kept in _among(cursor, held, _KNOWN_EVENTS):
        raw = body.encode()
        event: Any = decode_stored(raw)
        key = key_bytes(event.project, event.interaction_id)
        copy = copy_of(event, key, raw, EVENTS, partition)
        known = found[key]
        (known.kept if kept else known.lost).append(copy)
    for known in found.values():
        known.kept.sort(key=lambda copy: copy.key)
    batch.known.update(found)


def _among(cursor: duckdb.DuckDBPyConnection, keys: Sequence[Key], query: str) -> list[tuple[Any, ...]]:
    cursor.register("touched", pa.table({"key": uuid_array(keys)}))
    rows = cursor.execute(query).fetchall()
    cursor.unregister("touched")
    return rows
