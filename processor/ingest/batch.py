"""In: a decoded batch and what the store holds of it. Out: its rows as Arrow, and what later batches must know."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa

from processor.steps import forget, slices
from processor.steps.batch import Decoded, Held, Key, Known, Remaining
from processor.tables.arrow import arrow_table


class Made(NamedTuple):
    """What the steps made of a batch: what remained of it, its interactions before and after, and its changes."""

    remaining: Remaining
    interactions: dict[Key, tuple[Known | None, Known]]
    added: dict[str, pa.Table]
    gone: dict[str, list[Key]]


@dataclass(slots=True, eq=False)
class Batch:
    """A batch on its way into the store. `made` is there when its rows were made before its transaction."""

    decoded: Decoded
    made: Made | None = None


def make_rows(decoded: Decoded, held: Held) -> Made:
    """Run the steps after `decode`, and turn rows into Arrow as they come."""
    tables: defaultdict[str, list[pa.Table]] = defaultdict(list)
    gone: defaultdict[str, list[Key]] = defaultdict(list)
    interactions: dict[Key, tuple[Known | None, Known]] = {}
    remaining = forget(decoded, held)
    for part in slices(decoded, held, remaining):
        interactions |= part.interactions
        for changes in part.changes:
            for table, rows in changes.added.items():
                if rows:
                    tables[table].append(arrow_table(table, rows))
            for table, keys in changes.gone.items():
                gone[table] += keys
    return Made(remaining, interactions, {table: pa.concat_tables(found) for table, found in tables.items()}, gone)
