"""The gateway as it runs: `python -m gateway`, served by granian, stopped by SIGTERM."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from contract.events import Interaction, decode_stored
from contract.topics import EVENTS
from control_store.control import Control
from eventlog.opening import open_log
from gateway.wire import MAX_BODY_BYTES
from tests.gateway.conftest import CHALLENGER, CHAMPION
from tests.kafka_broker import free_port as find_free_port

ASK = [{"role": "user", "content": "where is my parcel"}]
READY_SECONDS = 90


@dataclass
class Running:
    process: subprocess.Popen[bytes]
    port: int
    key: str
    log_url: str
    output: Path

    def ask(self, path: str, body: Any = None) -> tuple[int, bytes]:
        raw = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", raw, {"Authorization": f"Bearer {self.key}"}
        )
        try:
            with urllib.request.urlopen(asked, timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def logged(self) -> list[Interaction]:
        log = open_log(self.log_url)
        try:
            records = log.reader({(EVENTS, 0): 0}).poll(1000, 0)
        finally:
            log.close()
        return [event for record in records if isinstance(event := decode_stored(record.value), Interaction)]


def environment(home: Path, base: Path, port: int) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("THUMBWHEEL_")}
    return kept | {
        "THUMBWHEEL_HOME": str(home), "THUMBWHEEL_BASE_MODEL": str(base), "THUMBWHEEL_GATEWAY_BIND": f"127.0.0.1:{port}"
    }  # fmt: skip


def start(env: dict[str, str], output: Path) -> subprocess.Popen[bytes]:
    with output.open("wb") as file:
        return subprocess.Popen([sys.executable, "-m", "gateway"], env=env, stderr=file)


@pytest.fixture(scope="module")
def running(stocked: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    home = tmp_path_factory.mktemp("running")
    (home / "models").symlink_to(stocked / "models")
    control = Control.open(f"sqlite:///{home / 'control.db'}")
    key = control.create_key("shop", "secret").key
    control.close()
    port, output = find_free_port(), home / "stderr"
    process = start(environment(home, stocked / "models" / "base" / "tiny", port), output)
    made = Running(process, port, key, f"sqlite:///{home / 'log' / 'events.db'}", output)
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            if made.ask("/readyz")[0] == 200:
                break
        except OSError:
            time.sleep(0.2)
        assert process.poll() is None and time.monotonic() < deadline, output.read_text()
    yield made
    process.kill()
    process.wait()


def test_it_answers_and_logs(running: Running) -> None:
    status, body = running.ask("/v1/candidates", {"messages": ASK, "max_tokens": 4})
    assert (status, len(json.loads(body)["candidates"])) == (200, 4)
    status, body = running.ask("/v1/chat/completions", {"messages": ASK, "max_tokens": 4, "stream": True})
    assert status == 200
    assert body.endswith(b"data: [DONE]\n\n")
    assert [len(event.candidates) for event in running.logged()] == [4, 1]


def test_a_body_too_large_is_refused_not_reset(running: Running) -> None:
    huge = {"messages": [{"role": "user", "content": "x" * (3 * MAX_BODY_BYTES)}]}
    status, body = running.ask("/v1/chat/completions", huge)
    assert (status, json.loads(body)["error"]["code"]) == (413, "too_large")


def test_a_client_that_leaves_a_stream_has_what_it_saw_logged(running: Running) -> None:
    before = len(running.logged())
    body = json.dumps({"messages": ASK, "max_tokens": 400, "stream": True, "temperature": 1.0}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {running.key}\r\n"
    with socket.create_connection(("127.0.0.1", running.port)) as client:
        client.sendall(head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        got = b""
        while got.count(b"data: ") < 5:
            got += client.recv(65536)
    deadline = time.monotonic() + 20
    while len(running.logged()) == before and time.monotonic() < deadline:
        time.sleep(0.1)
    (event,) = running.logged()[before:]
    assert event.candidates[0].finish_reason == "cancelled"
    assert event.candidates[0].content


def test_nothing_of_what_is_said_is_in_the_output(running: Running) -> None:
    said = [{"role": "user", "content": "my secret address"}]
    assert running.ask("/v1/chat/completions", {"messages": said, "max_tokens": 2})[0] == 200
    assert running.ask("/v1/chat/completions", said)[0] == 400
    output = running.output.read_text()
    assert "secret address" not in output
    assert running.key not in output
    assert CHAMPION not in output and CHALLENGER not in output


def test_sigterm_answers_what_is_in_flight_and_ends_with_0(running: Running) -> None:
    answers: list[int] = []
    body = {"messages": ASK, "max_tokens": 200, "temperature": 0.9}
    asking = threading.Thread(target=lambda: answers.append(running.ask("/v1/chat/completions", body)[0]))
    asking.start()
    time.sleep(0.2)
    began = time.monotonic()
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(12) == 0
    assert time.monotonic() - began < 10
    asking.join()
    assert answers == [200]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"THUMBWHEEL_BASE_MODEL": "/nowhere/at/all"}, "/nowhere/at/all"),
        ({"THUMBWHEEL_GATEWAY_BIND": "nonsense"}, "THUMBWHEEL_GATEWAY_BIND"),
        ({"THUMBWHEEL_MODEL_API": "ftp://x"}, "THUMBWHEEL_MODEL_API"),
        ({}, "Port"),
    ],
)
def test_a_start_that_cannot_work_ends_with_one_line_that_names_why(
    change: dict[str, str], named: str, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = free_port() if change else taken.getsockname()[1]
        env = environment(tmp_path, tmp_path, port) | change
        ended = subprocess.run(
            [sys.executable, "-m", "gateway"], env=env, capture_output=True, text=True, timeout=60, check=False
        )
    assert ended.returncode != 0
    said = [line for line in ended.stderr.splitlines() if line]
    assert len(said) == 1, ended.stderr
    assert named in said[0]
    assert "hint:" in said[0]
