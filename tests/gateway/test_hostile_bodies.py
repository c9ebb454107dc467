"""Damaged bodies at the gateway: an answer or a documented refusal, never a fault, and no half a reply in the log."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from contract.events import Interaction
from control_store.control import Control
from tests.collector.mutations import damaged
from tests.gateway.conftest import Gateway
from tests.gateway.test_process import Running, environment, start
from tests.gateway.test_refusals import CANDIDATES, CHAT, HELLO, send
from tests.hostile import (
    code_of,
    dribbling,
    first_line,
    http2_posts_without_bodies,
    stalled_posts,
    status_of,
    until_closed,
)
from tests.waiting import eventually

SEED = 20_261_126
BODIES = 150
PART = {
    "interaction_id": "i-1",
    "actor": {"id": "u-1"},
    "labels": ["refund"],
    "context": {"page": 1},
    "surface": "chat",
}
SENT: dict[str, dict[str, Any]] = {
    CHAT: {"messages": HELLO, "model": "base", "max_tokens": 2, "n": 1, "seed": 7, "stop": ["."], "temperature": 0.5},
    CANDIDATES: {"messages": HELLO, "k": 2, "max_tokens": 2, "top_p": 0.9, "seed": 7},
}
REFUSED = frozenset({400, 404, 413, 415, 422, 429, 503})


@pytest.mark.parametrize("path", SENT)
def test_no_damage_to_a_body_is_a_fault_of_the_gateway(gateway: Gateway, path: str) -> None:
    random, answered = Random(SEED), 0
    for number in range(BODIES):
        whole = json.dumps(SENT[path] | ({"thumbwheel": PART | {"interaction_id": f"i-{number}"}})).encode()
        body = damaged(whole, random)
        status, content, _ = send(gateway, path, body)
        assert status == 200 or status in REFUSED, (SEED, number, status, body)
        if status != 200:
            assert {"code", "message", "hint"} <= set(content["error"]), (SEED, number, body)
        answered += status == 200
    assert answered > 10
    assert len(gateway.logged()) <= answered


@pytest.fixture
def running(stocked: Path, tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Running]:
    """A real gateway with a model."""
    (tmp_path / "models").symlink_to(stocked / "models")
    control = Control.open(f"sqlite:///{tmp_path / 'control.db'}")
    key = control.create_key("shop", "secret").key
    control.close()
    port, output = free_port(), tmp_path / "stderr"
    process = start(environment(tmp_path, stocked / "models" / "base" / "tiny", port), output)
    try:
        eventually(lambda: status_of(port, "/readyz") == 200, 90)
        yield Running(process, port, key, f"sqlite:///{tmp_path / 'log' / 'events.db'}", output)
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("path", SENT)
def test_stalled_posts_do_not_hang_the_gateway(running: Running, path: str) -> None:
    port, bearer = running.port, f"Authorization: Bearer {running.key}"
    body = json.dumps(SENT[path]).encode()
    with stalled_posts(port, path, 80, "127.0.0.2", bearer) as clients:
        began = time.monotonic()
        assert status_of(port, "/healthz") == 200
        assert status_of(port, path, body, running.key) == 200
        assert time.monotonic() - began < 8
        assert {first_line(client) for client in clients} == {b"HTTP/1.1 408"}
    # From the address of those who mean harm, too.
    with stalled_posts(port, path, 80, "127.0.0.1", bearer) as clients, dribbling(clients):
        assert status_of(port, path, body, running.key, 30) == 200
    with http2_posts_without_bodies(port, path):
        assert status_of(port, path, body, running.key) == 200
    assert status_of(port, "/healthz") == 200


@pytest.mark.slow
def test_a_body_that_ends_early_asks_no_model(running: Running) -> None:
    body = json.dumps(SENT[CHAT]).encode()
    head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {running.key}\r\n".encode()
    for framed in (b"Content-Length: 500\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(body)):
        with socket.create_connection(("127.0.0.1", running.port), 30) as client:
            client.sendall(head + framed + body + b"\r\n")
            time.sleep(0.3)
            client.shutdown(socket.SHUT_WR)
            answer = until_closed(client)
        assert answer.startswith(b"HTTP/1.1 408") and code_of(answer) == "too_slow"
    assert [event for event in running.logged() if isinstance(event, Interaction)] == []
