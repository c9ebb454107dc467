"""In: a batch and what counts of the interactions it touches. Out: what it must know of `over_limit` besides.

Of an interaction that had too many events (`processor.steps.limit`) that is the contents of the events that arrive
again, and of the people who speak again their first vote and their latest. Only where something that counted
leaves, or gives way to an earlier copy, may any other count again: then all of it is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import duckdb
import pyarrow as pa

from processor.ingest.batch import Made
from processor.steps import limit
from processor.steps.batch import Copy, Decoded, Forgets, Key, Known
from processor.steps.decode import stored_copy
from processor.tables.arrow import uuid_array
from processor.tables.selecting import among

_LIMITED = "SELECT DISTINCT interaction_key FROM over_limit WHERE interaction_key IN (SELECT key FROM touched)"
# The same order as `steps.limit` and `steps.votes.moment` have. Rows, then bodies: as in `processor.ingest.known`.
_SOME = """
WITH speaking AS (SELECT DISTINCT interaction_key, actor_id FROM arriving), ranked AS (
    SELECT event_key, row_number() OVER (
            PARTITION BY interaction_key, actor_id ORDER BY standing, received_at, event_id
        ) AS first, row_number() OVER (
            PARTITION BY interaction_key, actor_id
            ORDER BY least(coalesce(nullif(occurred_at, TIMESTAMP '1970-01-01'), received_at), received_at) DESC,
                occurred_at DESC, event_id DESC
        ) AS latest
    FROM over_limit JOIN speaking USING (interaction_key, actor_id) WHERE why = 'votes'
), wanted AS (SELECT event_key FROM arriving UNION SELECT event_key FROM ranked WHERE first = 1 OR latest < $each)
SELECT body, "partition" FROM over_limit
WHERE rowid IN (SELECT rowid FROM over_limit WHERE event_key IN (FROM wanted))
"""
_ALL = """
SELECT body, "partition" FROM over_limit
WHERE rowid IN (SELECT rowid FROM over_limit WHERE interaction_key IN (SELECT key FROM touched))
"""


def load_over(
    cursor: duckdb.DuckDBPyConnection, known: Mapping[Key, Known], decoded: Decoded, forgets: Forgets
) -> None:  # fmt: skip
    """Add to what is known of these interactions what must be known of the rest."""
    limited = sorted(key.bytes for (key,) in among(cursor, list(known), _LIMITED))
    if not limited:
        return
    arriving = [
        (copy.interaction_key, copy.key, copy.event.actor.id) for key in limited for copy in decoded.arrived[key]
    ]
    arriving += [
        (row.interaction_key, row.event_key, "") for row in decoded.forgotten if row.interaction_key in limited
    ]
    if arriving:
        interactions, events, actors = zip(*arriving, strict=True)
        columns = {"interaction_key": uuid_array(interactions), "event_key": uuid_array(events), "actor_id": actors}
        cursor.register("arriving", pa.table(columns))
        _add(known, cursor.execute(_SOME, {"each": limit.EACH}).fetchall())
        cursor.unregister("arriving")
    unsettled = []
    for key in limited:
        known[key].more = not _may_leave(key, known[key], decoded, forgets)
        if not known[key].more:
            unsettled.append(key)
            known[key].over = []
    if unsettled:
        _add(known, among(cursor, unsettled, _ALL))


def _add(known: Mapping[Key, Known], found: Iterable[tuple[Any, ...]]) -> None:
    for body, partition in found:
        copy = stored_copy(body, partition)
        known[copy.interaction_key].over.append(copy)


def _may_leave(interaction_key: Key, known: Known, decoded: Decoded, forgets: Forgets) -> bool:
    """Say whether something known may leave, or give way to a copy of it that was received earlier."""
    copies = decoded.arrived[interaction_key]
    if not copies and interaction_key not in decoded.buried:
        # Somebody is taken out of what is stored.
        return True
    first: dict[Key, Copy] = {}
    for copy in (*known.kept, *known.lost, *known.over):
        if copy.key not in first or copy.rank < first[copy.key].rank:
            first[copy.key] = copy
    return (
        any(copy.key in first and copy.rank < first[copy.key].rank for copy in copies)
        or any(row.event_key in first for row in decoded.forgotten)
        or any(
            copy.key in first and _from_before(copy, forgets)
            for copy in (*known.kept, *known.lost, *known.over, *copies)
        )
    )


def _from_before(copy: Copy, forgets: Forgets) -> bool:
    before = forgets.before(str(copy.event.project), copy.event.actor.id)
    return before is not None and min(copy.occurred, copy.received) < before


def waits_for(decoded: Decoded, unwritten: Iterable[Made]) -> bool:
    """Say whether rows of a batch can only be made once those before it are in `over_limit`."""
    for earlier in unwritten:
        for key in decoded.arrived.keys() & earlier.interactions.keys():
            after = earlier.interactions[key][1]
            if after.more or after.over:
                return True
    return False
