"""What the log holds besides good events: copies, conflicts, facts, and what nobody can read."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contract.events import encode
from contract.topics import EVENTS, REJECTED
from eventlog.log import Record
from processor.ingest.runner import store_records
from processor.tables.faults import Fenced, StoreError
from processor.tables.store import Store
from tests.processor.samples import event, event_id, interaction, moment, pick, records

Put = Callable[..., None]
Rows = Callable[..., list[Any]]


def raw(value: bytes, offset: int, topic: str = EVENTS) -> Record:
    return Record(topic, 0, offset, "k", value, 1_772_366_400_000)


def test_event_sent_twice_is_stored_once_with_its_first_arrival(put: Put, rows: Rows) -> None:
    first = event("thumb", "t", interaction_id="t1", candidate_id="a", value="up", at=0, received=5)
    again = event("thumb", "t", interaction_id="t1", candidate_id="a", value="up", at=0, received=2)
    again = msgspec.structs.replace(again, sent_at=moment(1))
    put(first)
    put(again, first)
    assert rows("SELECT epoch(received_at - occurred_at) FROM events") == [2.0]
    assert rows("SELECT 1 FROM conflicts") == []


def test_other_content_under_one_event_id_is_a_conflict(put: Put, rows: Rows) -> None:
    put(event("thumb", "t", interaction_id="t1", candidate_id="a", value="up", at=1))
    put(event("thumb", "t", interaction_id="t1", candidate_id="a", value="down", at=1, received=2))
    assert rows("SELECT value FROM feedback") == ["up"]
    assert rows("SELECT kind, detail FROM conflicts") == [("event", "differs in value")]


def test_unreadable_records_become_rejected_rows_with_their_position(put: Put, rows: Rows) -> None:
    unstamped = encode(event("thumb", "t", interaction_id="t1", candidate_id="a", value="up"))
    body = json.loads(unstamped)
    del body["project"]
    put(raw(b"\xff not json", 0), raw(b'{"type": "unheard.of"}', 1), raw(json.dumps(body).encode(), 2))
    put(pick("t1", "ab", "a"))
    assert rows('SELECT "offset", code FROM rejected ORDER BY 1') == [
        (0, "invalid_event"), (1, "invalid_event"), (2, "not_stamped"),
    ]  # fmt: skip
    assert rows("SELECT raw FROM rejected ORDER BY 1 DESC LIMIT 1") == [b"\xff not json"]
    assert rows("SELECT count(*) FROM events") == [1]


def test_bytes_that_are_no_text_are_rejected_where_nobody_reads_them_too(put: Put, rows: Rows) -> None:
    said = event("thumb", "t", interaction_id="t1", candidate_id="a", value="up", comment="好的 café")
    broken = encode(event("thumb", "u", interaction_id="t1", candidate_id="a", value="up"))
    put(said, raw(broken.replace(b'{"', b'{"unknown":"\xff","', 1), 1))
    assert [body.encode() for body in rows("SELECT body FROM events")] == [encode(said)]
    assert rows('SELECT "offset", code FROM rejected') == [(1, "invalid_event")]


def test_what_the_collector_rejected_is_shown_with_its_reason(put: Put, rows: Rows) -> None:
    rejection = {
        "project": "default", "received_at": "2026-03-01T12:00:00Z", "key_id": "k1", "code": "unknown_type",
        "message": "Unknown event type 'x'.", "event_id": "e-1", "raw": base64.b64encode(b"{bad").decode(),
        "length": 4, "digest": "d",
    }  # fmt: skip
    put(raw(json.dumps(rejection).encode(), 0, REJECTED))
    assert rows("SELECT project, key_id, code, raw, length, event_id FROM rejected") == [
        ("default", "k1", "unknown_type", b"{bad", 4, "e-1")
    ]


def test_a_record_the_store_refuses_is_rejected_and_its_neighbours_stay(put: Put, rows: Rows) -> None:
    good = event("thumb", "t", interaction_id="t1", candidate_id="a", value="up")
    bad = encode(event("thumb", "bad", interaction_id="t2", candidate_id="a", value="up"))
    bad = bad.replace(b'"interaction_id":"t2"', b'"dwell_ms":0,"interaction_id":"t2"')
    poison = encode(pick("t3", "ab", "a", dwell_ms=1)).replace(b'"dwell_ms":1', b'"dwell_ms":9007199254740993000')
    put(good, raw(bad, 1), raw(poison, 2))
    assert rows("SELECT interaction_id FROM events ORDER BY 1") == ["t1", "t2"]
    assert len(rows("SELECT 1 FROM rejected")) == 1


def test_facts_keep_their_subject_and_are_stored_once(put: Put, rows: Rows) -> None:
    finished = event("run.finished", "f", run_id="run-1", adapter_id="ad-1", via="trainer")
    wish = event("request.train", "w", method="dpo", via="console")
    put(finished, wish)
    put(finished)
    assert rows("SELECT type, subject FROM facts ORDER BY type") == [
        ("request.train", event_id("w")), ("run.finished", "run-1"),
    ]  # fmt: skip


def test_offsets_move_with_the_rows_or_not_at_all(store: Store, rows: Rows) -> None:
    second = Store(store._connection, store.path)
    second.claim("other", {})
    with store.transaction() as cursor:
        cursor.execute("UPDATE offsets SET epoch = epoch + 1")
    with pytest.raises(Fenced):
        store_records(store, records([interaction("t1", {"a": "x"})]))
    assert rows("SELECT count(*) FROM events") == [0]
    assert set(store.offsets().values()) == {0}


def test_a_file_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    with Store.open(tmp_path / "newer.duckdb") as store:
        store.set_meta({"schema_version": "999"})
    with pytest.raises(StoreError, match="newer release"):
        Store.open(tmp_path / "newer.duckdb")
