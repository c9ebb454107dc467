"""Servers to measure, as processes of their own: the collector, a bare Flask endpoint, or any command with a port."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.load import Target
from contract.ids import uuid7
from contract.signing import sign_candidate
from control_store.control import Control, Key
from runtime.settings import Bind

READY_SECONDS = 20.0
# Different requests sent in turn.
BODIES = 64


@dataclass(frozen=True)
class Collector:
    """A running collector, its port, and a secret key."""

    pid: int
    port: int
    text: str
    key: Key

    def target(self, events: int) -> Target:
        """Return its events address with requests of so many events."""
        headers = {"Authorization": f"Bearer {self.text}"}
        return Target(self.port, "/v1/events", [batch(events, self.key) for _ in range(BODIES)], headers)


def batch(events: int, key: Key) -> bytes:
    """Return a request's body of so many events."""
    body = {"events": [thumb(key) for _ in range(events)], "sent_at": "2026-01-31T12:00:01Z"}
    return json.dumps(body, separators=(",", ":")).encode()


def thumb(key: Key) -> dict[str, Any]:
    """Return a thumb of about 650 bytes on a reply of the gateway, as the JavaScript SDK sends it."""
    interaction = f"chatcmpl-{uuid7().hex}"
    return {
        "type": "thumb", "event_id": str(uuid7()), "occurred_at": "2026-01-31T12:00:00.123Z",
        "actor": {"id": "u-5f1d7a2c", "kind": "user"}, "interaction_id": interaction, "conversation_id": "conv-4411",
        "candidate_id": sign_candidate(key.signing_key, key.key_id, key.project, interaction), "value": "up",
        "reasons": ["clear", "solved"], "labels": ["refund/late"],
        "comment": "Exactly what I needed: the form, the label and the address. " * 3,
        "sdk": {"name": "thumbwheel-js", "version": "0.1.0"},
    }  # fmt: skip


def make_bare() -> Any:
    """Return the Flask app to compare with: it parses the JSON and answers."""
    from flask import Flask, request

    app = Flask("bare")

    @app.post("/v1/events")
    def events() -> tuple[dict[str, bool], int]:
        return {"ok": bool(request.get_json())}, 202

    @app.get("/readyz")
    def readyz() -> dict[str, bool]:
        return {"ok": True}

    return app


def serve_bare(port: int, workers: int) -> None:
    """Serve the bare app exactly as the collector is served."""
    from collector.__main__ import THREADS
    from runtime.serve import serve

    serve(make_bare, Bind("127.0.0.1", port), service="bare", workers=workers, threads=THREADS)


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(
    command: Sequence[str], port: int, env: dict[str, str], *, ready: str = "/readyz", seconds: float = READY_SECONDS,
    says: bool = True,
) -> Iterator[int]:  # fmt: skip
    """Run a server until the block ends, from when it answers; gives its process id. What it says is shown, or not."""
    process = subprocess.Popen(command, env=env, stderr=None if says else subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + seconds
        while not _answers(f"http://127.0.0.1:{port}{ready}"):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"error: {' '.join(command[-3:])} does not answer on port {port}.")
            time.sleep(0.1)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False


@contextmanager
def running_bare(workers: int = 1) -> Iterator[tuple[int, int]]:
    """Run the bare Flask app; gives its process id and port."""
    port = free_port()
    command = [sys.executable, "-c", f"from bench.serving import serve_bare; serve_bare({port}, {workers})"]
    with running(command, port, dict(os.environ)) as pid:
        yield pid, port


@contextmanager
def running_collector(home: Path, workers: int = 1, module: str = "collector", **settings: str) -> Iterator[Collector]:
    """Run a collector with its log under this folder (unless `log` says where) and no rate limit."""
    port = free_port()
    control = Control.open(f"sqlite:///{home / 'control.db'}")
    text = control.create_key("default", "secret").key
    key = control.find_key(text)
    control.close()
    assert key is not None
    env = os.environ | {
        "THUMBWHEEL_HOME": str(home), "THUMBWHEEL_COLLECTOR_BIND": f"127.0.0.1:{port}",
        "THUMBWHEEL_COLLECTOR_RATE": "0", "THUMBWHEEL_COLLECTOR_WORKERS": str(workers),
    } | {f"THUMBWHEEL_{name.upper()}": value for name, value in settings.items()}  # fmt: skip
    with running([sys.executable, "-m", module], port, env) as pid:
        yield Collector(pid, port, text, key)
