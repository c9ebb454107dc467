"""The gateway and the processor start while the brokers, or the control store's database, are away: they are up, say
what is missing, and go on by themselves when it comes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from control_store.control import Control
from runtime.settings import Settings
from tests.kafka_broker import Broker
from tests.postgresql import PostgreSQL
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
ASK = {"model": "base", "messages": [{"role": "user", "content": "Where is my parcel?"}], "max_tokens": 4}
BINDS = {"gateway": "GATEWAY_BIND", "processor": "CONSOLE_BIND"}


@dataclass
class Running:
    """A process of ours, and how to ask it."""

    process: subprocess.Popen[bytes]
    url: str

    def ask(self, path: str, key: str = "", body: Any = None) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        raw = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(urllib.request.Request(self.url + path, raw, headers), timeout=20) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())
        except OSError:
            assert self.process.poll() is None, "it ended"
            return 0, {}

    def ready(self) -> bool:
        return self.ask("/readyz")[0] == 200


@pytest.fixture
def model() -> Iterator[str]:
    """The address of a server that speaks OpenAI's wire."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self, body: Any) -> None:
            raw = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def do_GET(self) -> None:
            self.answer({"data": []})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.answer({"choices": [{"message": {"content": "On its way."}, "finish_reason": "stop"}]})

        def log_message(self, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


@pytest.fixture
def started(tmp_path: Path, free_port: Callable[[], int], model: str) -> Callable[..., Any]:
    """Starts a service with settings of the environment; stops it at the end of the block."""

    @contextmanager
    def start(service: str, **settings: str) -> Iterator[Running]:
        port = free_port()
        env = {name: value for name, value in os.environ.items() if not name.startswith("THUMBWHEEL_")}
        env |= {
            "PYTHONPATH": str(ROOT), "THUMBWHEEL_HOME": str(tmp_path), "THUMBWHEEL_MODEL_API": model,
            "THUMBWHEEL_EMBEDDER": "none", f"THUMBWHEEL_{BINDS[service]}": f"127.0.0.1:{port}",
        } | {f"THUMBWHEEL_{name}": value for name, value in settings.items()}  # fmt: skip
        process = subprocess.Popen([sys.executable, "-m", service], cwd=ROOT, env=env)
        running = Running(process, f"http://127.0.0.1:{port}")
        try:
            eventually(lambda: running.ask("/healthz")[0] == 200, 60)
            yield running
        finally:
            process.terminate()
            ended = process.wait(15)
        assert ended == 0, "it stops as ever"

    return start


@pytest.fixture
def key(tmp_path: Path) -> str:
    control = Control.of(Settings(home=tmp_path))
    made = control.create_key("default", "secret").key
    control.close()
    return made


@pytest.mark.kafka
def test_a_gateway_without_brokers_answers_uncounted_and_logs_once_they_are_there(
    started: Any, late_broker: Broker, key: str
) -> None:
    with started("gateway", LOG=f"kafka://{late_broker.address}?allow_unsafe=true") as gateway:
        eventually(gateway.ready)
        status, told = gateway.ask("/readyz")
        assert (status, told["log"]) == (200, "away") and told["reason"]
        assert gateway.ask("/v1/chat/completions", key, ASK)[0] == 200
        eventually(lambda: late_broker.address in gateway.ask("/readyz")[1]["reason"], 30)
        late_broker.start().wait()
        eventually(lambda: gateway.ask("/readyz")[1] == {"status": "ready", "log": "ok"}, 60)
        assert gateway.ask("/v1/chat/completions", key, ASK)[0] == 200
        text = urllib.request.urlopen(f"{gateway.url}/metrics", timeout=10).read().decode()
        assert "thumbwheel_gateway_unlogged_total 1.0" in text and "thumbwheel_gateway_logged_total 1.0" in text


@pytest.mark.kafka
def test_a_processor_without_brokers_says_what_is_missing_and_follows_the_log_once_it_is_there(
    started: Any, late_broker: Broker, key: str
) -> None:
    with started("processor", LOG=f"kafka://{late_broker.address}?allow_unsafe=true") as processor:
        status, told = processor.ask("/readyz")
        assert (status, told["error"]["code"]) == (503, "log_unavailable")
        eventually(lambda: late_broker.address in processor.ask("/readyz")[1]["error"]["message"], 30)
        assert processor.ask("/api/v1/overview", key)[0] == 503
        late_broker.start().wait()
        eventually(processor.ready, 60)
        assert processor.ask("/api/v1/overview", key)[0] == 200
        assert processor.ask("/healthz")[1]["log"] == "memory of one broker"


@pytest.mark.parametrize("service", ["gateway", "processor"])
def test_a_control_store_that_is_away_at_the_start_is_waited_for(
    started: Any, postgresql: PostgreSQL, service: str, tmp_path: Path
) -> None:
    url = postgresql.database()
    postgresql.stop()
    try:
        with started(service, CONTROL=url) as running:
            eventually(lambda: running.ask("/readyz")[0] == 503)
            assert "The control store cannot be reached." in json.dumps(running.ask("/readyz")[1])
            path = "/v1/models" if service == "gateway" else "/api/v1/overview"
            assert running.ask(path, "tw_sec_unknown")[0] == 503, "nobody is told that the key is wrong"
            postgresql.start()
            eventually(running.ready, 30)
            # The database was empty: the tables are made by whoever asks first.
            control = Control.of(Settings(home=tmp_path, control=url))
            key = control.create_key("default", "secret").key
            eventually(lambda: running.ask(path, key)[0] == 200)
    finally:
        if not (postgresql.files() / "postmaster.pid").exists():
            postgresql.start()
