"""Rows made before the batches ahead of them are written are the rows that are made after."""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.events import encode
from contract.topics import EVENTS, TOPICS
from eventlog.log import Record
from processor.ingest.ahead import Ahead
from processor.ingest.batch import Batch
from processor.ingest.runner import store_records
from processor.steps import decode
from processor.tables.digest import table_digests
from processor.tables.store import Store, insert
from tests.processor.privacy.test_forget import story as of_forgetting
from tests.processor.samples import event, event_id, interaction, pick, records
from tests.processor.steps.test_order_and_doubles import story as of_votes

Way = Callable[[Sequence[Sequence[Record]], Store], None]


def told() -> list[Record]:
    """Everything that can meet: votes, conflicts, facts, a forgotten person, what nobody can read or store."""
    run = {"run_id": "run-1", "method": "dpo", "via": "trainer"}
    facts = [event("run.started", "r1", at=1, **run), event("run.started", "r1", at=1, received=4, **run)]
    found = records([*of_votes(), *of_forgetting(), *facts])
    huge = encode(pick("t1", "ab", "a", "huge", dwell_ms=1)).replace(b'"dwell_ms":1', b'"dwell_ms":9007199254740993000')
    return [*found, Record(EVENTS, 0, 0, "t1", huge, 0), Record(EVENTS, 0, 0, "t1", b"unreadable", 0)]


def tables(batches: Sequence[Sequence[Record]], way: Way) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder) / "t.duckdb") as store:
        store.claim("test", {(topic, 0): 0 for topic in TOPICS})
        way(batches, store)
        return table_digests(store)


def one_by_one(batches: Sequence[Sequence[Record]], store: Store) -> None:
    for batch in batches:
        store_records(store, batch)


class Pipeline:
    """Makes rows `depth` batches before they are written, as the runner's threads do."""

    def __init__(self, depth: int) -> None:
        self.prepared = 0
        self._depth = depth

    def __call__(self, batches: Sequence[Sequence[Record]], store: Store) -> None:
        ahead = Ahead(store)
        waiting: deque[tuple[Sequence[Record], Batch]] = deque()
        for batch in batches:
            # What could not be prepared is waited for; here nobody else would write it.
            while len(waiting) >= self._depth or not all(one.made for _, one in waiting):
                self._write(store, ahead, *waiting.popleft())
            waiting.append((batch, ahead.prepare(decode(batch))))
            self.prepared += waiting[-1][1].made is not None
        while waiting:
            self._write(store, ahead, *waiting.popleft())
        assert ahead.unwritten == 0

    def _write(self, store: Store, ahead: Ahead, found: Sequence[Record], batch: Batch) -> None:
        ahead.written(batch, store_records(store, found, batch if batch.made else None))


@given(data=st.data())
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_rows_made_ahead_are_the_rows_made_in_turn(data: st.DataObject) -> None:
    log = data.draw(st.permutations(told()))
    log += data.draw(st.lists(st.sampled_from(log), max_size=6))
    log = [record._replace(offset=offset) for offset, record in enumerate(log)]
    cuts = sorted(data.draw(st.sets(st.integers(1, len(log) - 1), min_size=3, max_size=12)))
    batches = [log[start:end] for start, end in zip([0, *cuts], [*cuts, len(log)], strict=True)]
    pipeline = Pipeline(data.draw(st.integers(2, 4)))
    assert tables(batches, pipeline) == tables(batches, one_by_one)


def test_batches_are_prepared_before_the_ones_ahead_are_written() -> None:
    log = [record._replace(offset=offset) for offset, record in enumerate(records(of_votes()))]
    pipeline = Pipeline(3)
    tables([log[:5], log[5:9], log[9:]], pipeline)
    assert pipeline.prepared == 3


def test_rows_that_count_on_a_record_are_made_anew_when_the_store_refuses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(cursor: duckdb.DuckDBPyConnection, table: str, rows: pa.Table) -> None:
        if table == "events" and event_id("refused") in rows["event_id"].to_pylist():
            raise duckdb.ConversionException("not this one")
        insert(cursor, table, rows)

    monkeypatch.setattr("processor.ingest.runner.insert", refusing)
    asked = interaction("t1", {"a": "Yes.", "b": "No."})
    vote = {"interaction_id": "t1", "candidate_id": "a"}
    log = records([
        asked, event("thumb", "refused", at=9, value="up", **vote), event("thumb", "v", at=2, value="down", **vote),
        pick("t1", "ab", "a"),
    ])  # fmt: skip
    batches = [log[:2], log[2:3], log[3:]]
    pipeline = Pipeline(3)
    assert tables(batches, pipeline) == tables(batches, one_by_one)
    assert pipeline.prepared == 3
