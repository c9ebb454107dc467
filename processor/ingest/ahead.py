"""Makes the rows of a batch while the batch before it is written: Python works while DuckDB commits.

What the batches that are not written yet will have stored is taken from themselves (`processor.ingest.known`), so the
rows are those that would be made after them. When one of them is stored otherwise, rows made after it are made anew.
"""

from __future__ import annotations

import threading

import duckdb
import pyarrow as pa

from processor.ingest.batch import Batch, Made, make_rows
from processor.ingest.known import load_held
from processor.ingest.over_limit import waits_for
from processor.privacy.forgetting import brings_forget, forgets_of
from processor.steps.batch import Decoded
from processor.tables.faults import StoreMemory
from processor.tables.store import Store

# What one record can do to a batch; the batch is then split until that record stands alone, and is rejected.
POISON = (
    duckdb.DataError, duckdb.IntegrityError, duckdb.InvalidInputException, duckdb.ConversionException,
    pa.ArrowException, ValueError, TypeError, KeyError, AttributeError, OverflowError,
)  # fmt: skip


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

    def prepare(self, decoded: Decoded) -> Batch:
        """Make the rows of decoded records where that is possible: `made` then is there.

        It is not when the batch says who is to be forgotten, which concerns everything stored, speaks of what those
        before it have yet to write into `over_limit`, or cannot be stored as it is. Rows of the batches after such a
        one wait until it is written.
        """
        batch = Batch(decoded)
        with self._changed:
            self._changed.wait_for(lambda: self._closed or all(earlier.made for earlier in self._unwritten))
            before = list(self._unwritten)
            earlier = [one.made for one in before if one.made]
            self._unwritten.append(batch)
        if len(earlier) == len(before) and not (brings_forget(decoded) or waits_for(decoded, earlier)):
            made = self._make(decoded, earlier)
            with self._changed:
                batch.made = made if all(one.made for one in before) else None
        return batch

    def _make(self, decoded: Decoded, before: list[Made]) -> Made | None:
        try:
            with self._store.read() as cursor:
                held = load_held(cursor, decoded, forgets_of(cursor, self._store), before)
            return make_rows(decoded, held)
        except (*POISON, StoreMemory):
            return None

    def written(self, batch: Batch, whole: bool) -> None:
        """Note that a batch was stored: `whole`, with the rows made of it, or otherwise."""
        with self._changed:
            self._unwritten.remove(batch)
            if not whole:
                for later in self._unwritten:
                    later.made = None
                batch.made = None
            self._changed.notify_all()

    def close(self) -> None:
        """Let nobody wait any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
