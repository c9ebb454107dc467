"""In: a decoded batch, the tables, and the batches before it. Out: what is known already of what it touches.

Known is what the tables hold, and what batches before it will have written by then: `unwritten`, oldest first. Of one
interaction the last of them that touched it knows all.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from processor.ingest.batch import Made
from processor.ingest.over_limit import load_over
from processor.privacy.forgetting import load_forgotten
from processor.rows import FactRow
from processor.steps.batch import Decoded, Forgets, Held, Key, Known, Remaining
from processor.steps.decode import fact_rank, stored_copy
from processor.tables.selecting import among, rows_from, selected

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
_KNOWN_FACTS = f"""
SELECT {selected(FactRow, "f")} FROM facts f
WHERE rowid IN (SELECT rowid FROM facts WHERE event_key IN (SELECT key FROM touched))
"""


def load_held(
    cursor: duckdb.DuckDBPyConnection, decoded: Decoded, forgets: Forgets, unwritten: Sequence[Made] = ()
) -> Held:
    """Return what is known of a batch's interactions, facts and forgotten events; `forgets` says who is forgotten."""
    held = Held(forgets)
    interactions, facts = list(decoded.arrived), list(decoded.facts)
    for earlier in reversed(unwritten):
        interactions = _take_interactions(held, earlier, interactions)
        facts = _take_facts(held, earlier.remaining, facts)
    if interactions:
        known = _read_interactions(cursor, interactions)
        load_over(cursor, known, decoded, forgets)
        held.known |= known
    if facts:
        held.facts |= {row.event_key: row for row in rows_from(FactRow, among(cursor, facts, _KNOWN_FACTS))}
    held.forgotten = load_forgotten(cursor, decoded, held)
    for earlier in unwritten:
        held.forgotten |= earlier.remaining.forgotten
    return held


def _take_interactions(held: Held, earlier: Made, keys: list[Key]) -> list[Key]:
    """Take over what an earlier batch made of these interactions; return those it did not touch."""
    rest = []
    for key in keys:
        folded = earlier.interactions.get(key)
        if folded is None:
            rest.append(key)
        elif folded[1].kept:
            held.known[key] = folded[1]
    return rest


def _take_facts(held: Held, earlier: Remaining, keys: list[Key]) -> list[Key]:
    rest = []
    for key in keys:
        row, before = earlier.facts.get(key), earlier.held_facts.get(key)
        if row is None:
            rest.append(key)
        else:
            held.facts[key] = row if before is None else min(before, row, key=fact_rank)
    return rest


def _read_interactions(cursor: duckdb.DuckDBPyConnection, keys: Sequence[Key]) -> dict[Key, Known]:
    held = [key.bytes for (key,) in among(cursor, keys, _KNOWN_INTERACTIONS)]
    if not held:
        return {}
    found = {key: Known() for key in held}
    for body, partition, kept in among(cursor, held, _KNOWN_EVENTS):
        copy = stored_copy(body, partition)
        known = found[copy.interaction_key]
        (known.kept if kept else known.lost).append(copy)
    for known in found.values():
        known.kept.sort(key=lambda copy: copy.key)
    return found
