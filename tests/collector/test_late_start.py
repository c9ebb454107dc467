"""A collector that starts while the brokers, or its control store's database, are away: not ready, then ready."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from contract.topics import EVENTS
from control_store.control import Control
from eventlog.opening import open_log
from runtime.settings import Settings
from tests.kafka_broker import Broker
from tests.postgresql import PostgreSQL
from tests.waiting import eventually

from .conftest import Process, thumb, wait_ready
from .test_process import post


def stored(broker: Broker) -> set[str]:
    log = open_log(f"kafka://{broker.address}?allow_unsafe=true")
    places = [(EVENTS, partition) for partition in range(log.partitions(EVENTS))]
    reader = log.reader(log.start_offsets(places))
    found: set[str] = set()
    try:
        left = sum(log.end_offsets(places).values())
        while left > 0 and (batch := reader.poll(1000, 10.0)):
            found |= {json.loads(record.value)["event_id"] for record in batch}
            left -= len(batch)
        return found
    finally:
        reader.close()
        log.close()


def told(running: Process) -> dict[str, Any]:
    status, body = running.get("/readyz")
    return {"status_code": status, **json.loads(body)}


@pytest.mark.kafka
def test_brokers_that_are_away_at_the_start_are_waited_for_and_events_are_to_be_sent_again(
    start: Any, late_broker: Broker, tmp_path: Path
) -> None:
    lines = tmp_path / "lines"
    url = f"kafka://{late_broker.address}?allow_unsafe=true"
    with start(ready=False, lines=lines, LOG=url) as running:
        not_ready = told(running)
        assert (not_ready["status_code"], not_ready["error"]["code"]) == (503, "log_unavailable")
        eventually(lambda: late_broker.address in told(running)["error"]["message"], 30)
        assert running.get("/healthz")[0] == 200
        sent = [thumb() for _ in range(20)]
        status, body = post(running, sent)
        assert status == 207
        assert {(one["event_id"], one["status"]) for one in body["results"]} == {
            (event["event_id"], "retry") for event in sent
        }
        late_broker.start().wait()
        wait_ready(running, 60)
        assert post(running, sent)[0] == 202
        assert {event["event_id"] for event in sent} <= stored(late_broker)
        assert running.process.poll() is None, "the same process"
    said = lines.read_text("utf-8")
    assert "The log cannot be opened yet" in said and "The brokers are there." in said


@pytest.mark.kafka
def test_with_a_spool_a_start_without_brokers_is_ready_and_what_it_took_follows(
    start: Any, late_broker: Broker, tmp_path: Path
) -> None:
    spool = tmp_path / "spool"
    with start(LOG=f"kafka://{late_broker.address}?allow_unsafe=true", COLLECTOR_SPOOL=str(spool)) as running:
        assert told(running)["status"] == "degraded"
        sent = [thumb() for _ in range(20)]
        status, body = post(running, sent)
        assert status == 202, body
        late_broker.start().wait()
        wait_ready(running, 60)
        eventually(lambda: told(running)["status"] == "ready", 60)
        assert {event["event_id"] for event in sent} <= stored(late_broker)


def test_a_setting_of_the_brokers_that_cannot_work_ends_the_start(start: Any, tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    with (
        pytest.raises(AssertionError, match="the collector ended"),
        start(ready=False, lines=lines, LOG="kafka://127.0.0.1:1?nonsense=1"),
    ):
        pass
    assert "hint: Known:" in lines.read_text("utf-8")


def test_a_control_store_that_is_away_at_the_start_is_waited_for(
    start: Any, postgresql: PostgreSQL, tmp_path: Path
) -> None:
    url = postgresql.database()
    control = Control.of(Settings(home=tmp_path, control=url))
    key = control.create_key("default", "secret").key
    control.close()
    postgresql.stop()
    try:
        with start(ready=False, CONTROL=url) as running:
            not_ready = told(running)
            assert (not_ready["status_code"], not_ready["error"]["code"]) == (503, "control_unavailable")
            event = thumb()
            status, body = post(running, [event], key)
            assert (status, body["error"]["code"]) == (503, "control_unavailable"), (
                "nobody is told that the key is wrong"
            )
            postgresql.start()
            wait_ready(running, 30)
            assert post(running, [event], key)[0] == 202
            assert running.process.poll() is None, "the same process"
    finally:
        if not (postgresql.files() / "postmaster.pid").exists():
            postgresql.start()
