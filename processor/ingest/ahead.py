"""Makes the rows of a batch while the batch before it is written: Python works while DuckDB commits.

What the batches that are not written yet will have stored is taken from themselves (`processor.ingest.known`), so the
rows are those that would be made after them. When one of them is stored otherwise, rows made after it are made anew.
"""

from __future__ import annotations

import threading
from collections import defaultdict

import duckdb
import pyarrow as pa

from processor.ingest.known import load_known
from processor.privacy.forgetting import brings_forget, forgets_of
from processor.steps import derive, fold, forget
from processor.steps.batch import Batch, parts
from processor.tables.arrow import arrow_table
from processor.tables.store import Store, StoreMemory

# What one record can do to a batch; the batch is then split until that record stands alone, and is rejected.
POISON = (
    duckdb.DataError, duckdb.IntegrityError, duckdb.InvalidInputException, duckdb.ConversionException,
    pa.ArrowException, ValueError, TypeError, KeyError, AttributeError, OverflowError,
)  # fmt: skip

# Rows of so many interactions at a time: they become Arrow while they are in the processor's cache.
SLICE_INTERACTIONS = 300


def make_rows(batch: Batch) -> None:
    """Run the steps after `decode` on a batch that knows what is known, and turn its rows into Arrow."""
    tables: defaultdict[str, list[pa.Table]] = defaultdict(list)
    forget(batch)
    for part in parts(batch, SLICE_INTERACTIONS):
        derive(fold(part))
        for table, rows in part.added.items():
            if rows:
                tables[table].append(arrow_table(table, rows))
        for table, keys in part.gone.items():
            batch.gone[table] += keys
        batch.folded.update(part.folded)
    batch.tables = {table: pa.concat_tables(found) for table, found in tables.items()}


class Ahead:
    """The batches on their way into the store, oldest first. `prepare` in one thread, `written` in the other."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._unwritten: list[Batch] = []
        self._changed = threading.Condition()
        self._closed = False

    @property
    def unwritten(self) -> int:
        """Return how many batches have been prepared and not yet written."""
        return len(self._unwritten)

    def prepare(self, batch: Batch) -> Batch:
        """Make the rows of a decoded batch where that is possible; `prepared` then is true.

        It is not when the batch says who is to be forgotten, which concerns everything stored, or cannot be stored
        as it is. Rows of the batches after such a one wait until it is written.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or all(earlier.prepared for earlier in self._unwritten))
            before = list(self._unwritten)
            self._unwritten.append(batch)
        if not brings_forget(batch):
            made = self._make(batch, before)
            with self._changed:
                batch.prepared = made and all(earlier.prepared for earlier in before)
        return batch

    def _make(self, batch: Batch, before: list[Batch]) -> bool:
        try:
            with self._store.read() as cursor:
                batch.forgets = forgets_of(cursor, self._store)
                load_known(cursor, batch, before)
            make_rows(batch)
        except (*POISON, StoreMemory):
            return False
        return True

    def written(self, batch: Batch, whole: bool) -> None:
        """Note that a batch was stored: `whole`, with the rows made of it, or otherwise."""
        with self._changed:
            self._unwritten.remove(batch)
            if not whole:
                for later in self._unwritten:
                    later.prepared = False
                batch.prepared = False
            self._changed.notify_all()

    def close(self) -> None:
        """Let nobody wait any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
