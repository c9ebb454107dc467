from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from contract.events import Event
from contract.topics import TOPICS
from eventlog.log import Log, Record
from eventlog.opening import open_log
from processor.ingest.runner import store_records
from processor.tables.store import Store
from runtime.settings import Settings
from tests.processor.samples import records


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Those of a home of its own."""
    return Settings(home=tmp_path / "home")


@pytest.fixture
def log(settings: Settings) -> Iterator[Log]:
    """The embedded log of that home."""
    opened = open_log(settings.log_url)
    yield opened
    opened.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "thumbwheel.duckdb") as opened:
        opened.claim("test", {(topic, 0): 0 for topic in TOPICS})
        yield opened


@pytest.fixture
def put(store: Store) -> Callable[..., None]:
    """Store events as one batch, as if the log held them from here on."""

    def put_events(*events: Event | Record) -> None:
        offset = max(store.offsets().values())
        given = [e if isinstance(e, Record) else records([e], offset + i)[0] for i, e in enumerate(events)]
        store_records(store, given)

    return put_events


@pytest.fixture
def rows(store: Store) -> Callable[..., list[Any]]:
    """Run a query and return its rows, single columns unwrapped."""

    def run(query: str, *parameters: object) -> list[Any]:
        with store.read() as cursor:
            found = cursor.execute(query, list(parameters)).fetchall()
        return [row[0] if len(row) == 1 else row for row in found]

    return run
