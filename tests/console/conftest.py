"""A console over a real store and a real log, with a project in the middle of its second turn."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from eventlog.control import Control
from eventlog.events import Event
from eventlog.log import Log, open_log
from eventlog.settings import Settings
from eventlog.topics import TOPICS
from processor.console import create_app
from processor.runner import store_records
from processor.store import Store
from tests.console import story

PASSWORD = "correct horse"
_CSRF = re.compile(r'name="csrf" value="([0-9a-f]{64})"')


@dataclass
class Bench:
    """Everything a console test works with."""

    app: Flask
    store: Store
    log: Log
    control: Control
    settings: Settings
    secret: str
    service: str

    def put(self, *events: Event) -> None:
        """Append events to the log and take the log into the tables."""
        story.append(self.log, events)
        self.catch_up()

    def catch_up(self) -> None:
        """Take what is new in the log into the tables, as the runner does."""
        reader = self.log.reader(self.store.offsets())
        try:
            while records := reader.poll(1000, 0.05):
                store_records(self.store, records)
        finally:
            reader.close()

    def get(self, address: str, key: str | None = None) -> Any:
        """Ask the data API with a key (the secret one unless told) and return the JSON."""
        headers = {"Authorization": f"Bearer {key or self.secret}"}
        return self.app.test_client().get(f"/api/v1/{address}", headers=headers).get_json()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    settings = Settings(home=tmp_path)
    log = open_log(settings.log_url)
    control = Control.open(settings.control_url)
    for name, role in (("ada", "admin"), ("rei", "reviewer"), ("vic", "viewer")):
        control.create_user(name, PASSWORD, role)
    secret = control.create_key("default", "secret").key
    service = control.create_key("*", "service").key
    with Store.open(tmp_path / "processor" / "thumbwheel.duckdb") as store:
        store.claim("test", {(topic, 0): 0 for topic in TOPICS})
        app = create_app(settings, store, log, control)
        yield Bench(app, store, log, control, settings, secret, service)
    log.close()
    control.close()


@pytest.fixture
def told(bench: Bench) -> Bench:
    """A bench whose project has lived through a turn: feedback, dataset, run, challenger, blind picks."""
    story.tell(bench)
    return bench


@pytest.fixture
def login(bench: Bench) -> Callable[..., FlaskClient]:
    def log_in(name: str = "ada") -> FlaskClient:
        client = bench.app.test_client()
        answer = client.post("/login", data={"name": name, "password": PASSWORD})
        assert answer.status_code == 303
        return client

    return log_in


@pytest.fixture
def csrf() -> Callable[[FlaskClient], str]:
    def find(client: FlaskClient) -> str:
        match = _CSRF.search(client.get("/adapters").get_data(as_text=True))
        assert match
        return match[1]

    return find
