"""Whatever the collector accepts, the processor stores: no record of an event becomes a row of `rejected`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.topics import EVENTS
from control_store.control import Control
from eventlog.opening import open_log
from processor.ingest.runner import store_records
from processor.tables.store import Store
from runtime.settings import Settings
from tests.collector.oracle import Door
from tests.collector.wire_events import batch_of, damaged, events

# Events of a few interactions meet each other there: votes, retractions, conflicts, duplicates.
FEW = st.sampled_from(["i-1", "i-2", "i-3"])


@pytest.fixture
def door(tmp_path: Path) -> Iterator[tuple[Door, str]]:
    home = Settings(home=tmp_path)
    log, control = open_log(home.log_url), Control.of(home)
    opened = Door(home, log, control)
    yield opened, control.create_key("default", "secret").key
    opened.close()
    log.close()
    control.close()


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
@given(
    st.lists(st.builds(lambda event, name: event | {"interaction_id": name}, events(), FEW), min_size=1, max_size=8),
    st.lists(damaged(), max_size=2),
)
def test_every_accepted_event_is_a_row_and_none_is_poison(
    door: tuple[Door, str], store: Store, rows: Callable[..., list[Any]], good: list[Any], bad: list[bytes]
) -> None:
    collector, key = door
    reply = collector.send(batch_of([json.dumps(one).encode() for one in good] + bad), key)
    records = collector.logged()
    store_records(store, records)
    assert reply.status in (202, 207, 400)
    accepted = {json.loads(one.value)["event_id"] for one in records if one.topic == EVENTS}
    assert accepted >= {one["event_id"] for one in good} or reply.status == 400
    assert accepted <= set(rows("SELECT event_id FROM events"))
    assert rows("SELECT message FROM rejected WHERE topic = $1", EVENTS) == []
