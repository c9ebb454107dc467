"""A console over a real store and a real log, opened in a folder."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Flask
from werkzeug.serving import make_server

from contract.events import Event
from contract.topics import TOPICS
from control_store.control import Control
from eventlog.log import Log
from eventlog.opening import open_log
from processor.console import create_app
from processor.console.curation import defining
from processor.ingest.runner import store_records
from processor.tables.store import Store
from runtime.settings import Settings
from tests.console import story

PASSWORD = "correct horse"
USERS = (("ada", "admin"), ("rei", "reviewer"), ("vic", "viewer"))

# Nobody takes the log into the tables while a request waits: `catch_up` does, after it.
defining.VISIBLE_S = 0.0


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

    def support(self) -> list[dict[str, Any]]:
        """Return the blind tests with their counts, as the trainer sees them, newest first."""
        items: list[dict[str, Any]] = self.get("support", self.service)["items"]
        return items

    @contextmanager
    def served(self) -> Iterator[str]:
        """Serve the console on a free port and yield its address."""
        server = make_server("127.0.0.1", 0, self.app, threaded=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def prepare(home: Path) -> None:
    """Make what every bench begins with: users, whose passwords take long to digest, and empty tables."""
    control = Control.open(Settings(home=home).control_url)
    make_users(control)
    control.close()
    Store.open(tables(home)).close()


def make_users(control: Control) -> None:
    """Make one user of each role."""
    for name, role in USERS:
        control.create_user(name, PASSWORD, role)


def tables(home: Path) -> Path:
    """Return where the tables of a home are."""
    return home / "processor" / "thumbwheel.duckdb"


@contextmanager
def open_bench(home: Path) -> Iterator[Bench]:
    """Yield a bench over the folder, new, prepared or used before."""
    # The story is of last spring: its blind test would be held for its age, or wait for nobody any more.
    settings = Settings(home=home, trial_days=100_000, rater_wait_days=100_000)
    log = open_log(settings.log_url)
    control = Control.of(settings)
    if not control.list_users():
        make_users(control)
    secret = control.create_key("default", "secret").key
    service = control.create_key("*", "service").key
    with Store.open(tables(home)) as store:
        store.claim("test", {(topic, 0): 0 for topic in TOPICS})
        yield Bench(create_app(settings, store, log, control), store, log, control, settings, secret, service)
    log.close()
    control.close()
