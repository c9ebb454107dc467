"""Rejected events go after 30 days, from the embedded log and from the tables; nothing else does, ever."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import apsw
import pytest

from collector.rejected import rejected_entry
from contract.errors import EventError
from contract.topics import EVENTS, REJECTED, TOPICS
from control_store.keys import Key
from eventlog.log import Log, StoredLog
from eventlog.opening import open_log
from processor.history.replay import open_store, replay
from processor.ingest.runner import store_records
from processor.privacy.expiry import Expiry
from processor.tables.digest import table_digests
from processor.tables.store import Store
from runtime.settings import Settings
from tests.processor.samples import append, interaction, pick

DAY_MS = 24 * 3600 * 1000
NOW_MS = 1_790_000_000_000
NOW = datetime.fromtimestamp(NOW_MS / 1000, UTC)
KEY = Key("k-1", "default", "secret", "", (), b"", datetime(2026, 1, 1, tzinfo=UTC), False)
WHY = EventError("unknown_type", "Unknown event type 'x'.")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return replace(Settings(), home=tmp_path)


@pytest.fixture
def embedded(settings: Settings) -> Iterator[StoredLog]:
    opened = open_log(settings.log_url)
    yield opened
    opened.close()


def raw(number: int) -> bytes:
    return json.dumps({"type": "x", "words": f"secret {number}"}).encode()


def refuse(log: Log, first: int, last: int) -> None:
    for number in range(first, last):
        log.append([rejected_entry(raw(number), KEY, WHY, NOW)])


def follow(store: Store, log: Log) -> None:
    places = [(topic, partition) for topic in TOPICS for partition in range(log.partitions(topic))]
    positions = store.claim("test", {place: log.start_offset(*place) for place in places})
    reader = log.reader(positions)
    while any(store.offsets()[place] < log.end_offset(*place) for place in places):
        store_records(store, reader.poll(50, 5.0))
    reader.close()


def rejected(store: Store) -> list[int]:
    with store.read() as cursor:
        found = cursor.execute('SELECT "offset" FROM rejected WHERE topic = ? ORDER BY ALL', [REJECTED]).fetchall()
    return [row[0] for row in found]


def age(settings: Settings, topic: str, days: dict[int, float]) -> None:
    """Make records of the embedded log so many days old, by offset."""
    with closing(apsw.Connection(str(settings.home / "log" / "events.db"))) as db, db:
        for offset, old in days.items():
            stamp = NOW_MS - int(old * DAY_MS)
            db.execute(f"UPDATE log_{TOPICS.index(topic)}_0 SET timestamp_ms = ? WHERE position = ?", (stamp, offset))


def test_what_is_older_than_30_days_goes_and_the_rest_stays(settings: Settings, embedded: StoredLog) -> None:
    refuse(embedded, 0, 500)
    append(embedded, interaction("t0", {"a": "yes", "b": "no"}), pick("t0", "ab", "a"))
    age(settings, REJECTED, {number: 31.0 for number in range(450)} | {number: 29.9 for number in range(450, 500)})
    age(settings, EVENTS, {0: 4000.0, 1: 4000.0})
    with open_store(settings, embedded) as store:
        follow(store, embedded)
        assert len(rejected(store)) == 500
        assert Expiry(store, embedded).expire(NOW_MS) == 450
        assert rejected(store) == list(range(450, 500))
        assert embedded.start_offset(REJECTED, 0) == 450 and embedded.end_offset(REJECTED, 0) == 500
        assert embedded.start_offset(EVENTS, 0) == 0
        assert Expiry(store, embedded).expire(NOW_MS) == 0
        refuse(embedded, 500, 510)
        follow(store, embedded)
        assert rejected(store) == list(range(450, 510))
        live = table_digests(store)
    assert replay(settings).digests == live
    embedded.purge()  # type: ignore[attr-defined]
    kept = b"".join(path.read_bytes() for path in (settings.home / "log").glob("events.db*"))
    gone, stayed = (rejected_entry(raw(number), KEY, WHY, NOW).value[-60:] for number in (3, 470))
    assert stayed in kept and gone not in kept


def test_one_turn_takes_a_bounded_number_and_no_record_behind_a_young_one(
    settings: Settings, embedded: StoredLog
) -> None:
    refuse(embedded, 0, 300)
    age(settings, REJECTED, {number: 31.0 for number in range(300)} | {250: 1.0})
    turns = []
    while some := embedded.expire(REJECTED, 0, NOW_MS - 30 * DAY_MS):  # type: ignore[attr-defined]
        turns.append(some)
    assert max(turns) <= 200 and sum(turns) == 250
    assert embedded.start_offset(REJECTED, 0) == 250


def test_a_reader_that_lies_behind_passes_over_what_expired(settings: Settings, embedded: StoredLog) -> None:
    refuse(embedded, 0, 5)
    with open_store(settings, embedded) as store:
        reader = embedded.reader({(REJECTED, 0): 0})
        age(settings, REJECTED, {0: 31.0, 1: 31.0, 2: 31.0, 3: 0.0, 4: 0.0})
        Expiry(store, embedded).expire(NOW_MS)
        assert [record.offset for record in reader.poll(10, 5.0)] == [3, 4]
        reader.close()


@pytest.mark.kafka
def test_rows_go_with_what_kafka_s_retention_took(tmp_path: Path, log: StoredLog) -> None:
    refuse(log, 0, 30)
    places = [(REJECTED, partition) for partition in range(log.partitions(REJECTED))]
    with Store.open(tmp_path / "tables.duckdb") as store:
        follow(store, log)
        before = len(rejected(store))
        cut = sum(log.end_offset(*place) // 2 for place in places)
        for place in places:
            log.cut(*place, log.end_offset(*place) // 2)
        Expiry(store, log).expire(NOW_MS)
        assert before == 30 and len(rejected(store)) == 30 - cut
        with store.read() as cursor:
            found = cursor.execute('SELECT "partition", min("offset") FROM rejected GROUP BY 1').fetchall()
        assert all(offset >= log.start_offset(REJECTED, partition) for partition, offset in found)


def test_a_processor_looks_at_its_start(settings: Settings, embedded: StoredLog) -> None:
    refuse(embedded, 0, 3)
    age(settings, REJECTED, {0: 4000.0, 1: 4000.0})
    with open_store(settings, embedded) as store:
        expiry = Expiry(store, embedded)
        expiry.start()
        deadline = time.monotonic() + 20
        while embedded.start_offset(REJECTED, 0) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        expiry.stop()
