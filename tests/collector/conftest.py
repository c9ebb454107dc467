"""The collector in process, on a real embedded log and control store; and as a real process on a free port."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from collector.app import create_app
from collector.limits import Slots
from contract.ids import uuid7
from contract.topics import EVENTS
from control_store.control import Control
from eventlog.log import Log, Record
from eventlog.opening import open_log
from runtime.settings import Settings

ROOT = Path(__file__).parents[2]
SHOP = "https://shop.example"


def thumb(**changes: Any) -> dict[str, Any]:
    """A valid thumb, with changes; a value of ... takes the field out."""
    event = {
        "type": "thumb", "event_id": str(uuid7()), "occurred_at": "2026-01-31T12:00:00.123Z", "actor": {"id": "u-1"},
        "interaction_id": "i-1", "candidate_id": "c-1", "value": "up",
    } | changes  # fmt: skip
    return {name: value for name, value in event.items() if value is not ...}


def interaction(**changes: Any) -> dict[str, Any]:
    """A valid interaction of two replies."""
    own = {
        "type": "interaction", "messages": [{"role": "user", "content": "Where is my parcel?"}],
        "candidates": [{"candidate_id": "c-1", "content": "On its way.", "model": "m"}, {"candidate_id": "c-2"}],
    }  # fmt: skip
    return thumb(**({"candidate_id": ..., "value": ...} | own | changes))


def records(log: Log, topic: str = EVENTS) -> list[Record]:
    """Everything in a topic."""
    reader = log.reader({(topic, partition): 0 for partition in range(log.partitions(topic))})
    found: list[Record] = []
    while batch := reader.poll(10_000, 0):
        found += batch
    reader.close()
    return found


def events(log: Log, topic: str = EVENTS) -> list[dict[str, Any]]:
    return [json.loads(record.value) for record in records(log, topic)]


@dataclass
class Bench:
    """A collector's parts, its keys, and a client that posts to it."""

    settings: Settings
    log: Log
    control: Control
    secret: str = ""
    public: str = ""
    client: FlaskClient = field(init=False)

    def __post_init__(self) -> None:
        self.secret = self.control.create_key("default", "secret").key
        self.public = self.control.create_key("default", "public", [SHOP, "https://*.shop.example"]).key
        self.restart()

    def restart(self, slots: Slots | None = None, log: Log | None = None) -> None:
        app = create_app(self.settings, log or self.log, self.control, slots=slots)
        self.client = app.test_client()

    def post(self, body: Any, key: str | None = None, headers: dict[str, str] | None = None, **options: Any) -> Any:
        """POST a list of events, a body, or raw bytes; under the secret key unless told."""
        if isinstance(body, list):
            body = {"events": body}
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", "Authorization": f"Bearer {key or self.secret}"} | (headers or {})
        sent = {name: value for name, value in sent.items() if value}
        return self.client.post(self.settings.collector_path, data=raw, headers=sent, **options)

    def post_from(self, origin: str | None, body: Any, key: str | None = None) -> Any:
        """POST as a page of this origin does, under the public key unless told."""
        return self.post(body, key or self.public, {"Origin": origin} if origin else {})

    def results(self, body: Any, **options: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.post(body, **options).get_json()["results"]
        return found


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


@pytest.fixture
def bench(settings: Settings) -> Iterator[Bench]:
    log = open_log(settings.log_url)
    control = Control.of(settings)
    yield Bench(settings, log, control)
    log.close()
    control.close()


@dataclass
class Process:
    """A running `python -m collector`."""

    url: str
    port: int
    home: Path
    secret: str
    public: str
    process: subprocess.Popen[bytes]

    def get(self, path: str) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def kill(self) -> None:
        """SIGKILL to the server and its workers."""
        children = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True).stdout.split()
        for pid in [self.process.pid, *map(int, children)]:
            os.kill(pid, signal.SIGKILL)
        self.process.wait(5)

    def log(self) -> Log:
        return open_log(Settings(home=self.home).log_url)


@pytest.fixture
def start(tmp_path: Path, free_port: Callable[[], int]) -> Callable[..., Any]:
    """Starts a collector in a folder, with settings of the environment; stops it at the end of the block.

    `lines`: where it logs to, else to pytest's stderr. `ready`: wait until it is; else until it answers.
    """

    @contextmanager
    def started(
        port: int = 0, folder: Path = ROOT, lines: Path | None = None, ready: bool = True, **settings: str
    ) -> Iterator[Process]:
        control = Control.open(Settings(home=tmp_path).control_url)
        secret, public = (
            control.create_key("default", "secret").key,
            control.create_key("default", "public", [SHOP]).key,
        )
        control.close()
        port = port or free_port()
        env = os.environ | {"THUMBWHEEL_HOME": str(tmp_path), "THUMBWHEEL_COLLECTOR_BIND": f"127.0.0.1:{port}"}
        env["PYTHONPATH"] = str(ROOT)
        env |= {f"THUMBWHEEL_{name}": value for name, value in settings.items()}
        with lines.open("wb") if lines else nullcontext() as stderr:
            process = subprocess.Popen([sys.executable, "-m", "collector"], cwd=folder, env=env, stderr=stderr)
        running = Process(f"http://127.0.0.1:{port}", port, tmp_path, secret, public, process)
        try:
            wait_ready(running) if ready else wait_until(running, 503)
            yield running
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(15)

    return started


def wait_ready(running: Process, seconds: float = 20.0) -> None:
    wait_until(running, 200, seconds)


def wait_until(running: Process, status: int, seconds: float = 20.0) -> None:
    """Wait until `/readyz` answers so."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if running.get("/readyz")[0] == status:
                return
        except OSError:
            pass
        assert running.process.poll() is None, "the collector ended"
        assert time.monotonic() < deadline, f"/readyz does not answer {status}"
        time.sleep(0.05)
