"""The collector as a process: durable through SIGKILL, nothing lost at SIGTERM, slow and oversized clients, metrics."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from thumbwheel import Client

from contract.topics import REJECTED
from tests.hostile import code_of, until_closed

from .conftest import Bench, Process, events, thumb

HEAD = "POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer {key}\r\n"


def post(
    running: Process, sent: list[dict[str, Any]], key: str = "", more: dict[str, str] | None = None
) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=15)
    try:
        headers = {"Authorization": f"Bearer {key or running.secret}", "Content-Type": "application/json"} | (
            more or {}
        )
        connection.request("POST", "/v1/events", json.dumps({"events": sent}), headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def metric(text: bytes, name: str, **labels: str) -> float:
    """The sum of a metric's samples that carry these labels."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


class Senders:
    """Threads that send single events until told to stop, and remember what was accepted."""

    def __init__(self, running: Process, count: int = 8) -> None:
        self.accepted: list[str] = []
        self.failures: Counter[str] = Counter()
        self._running = running
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def _send(self) -> None:
        while not self._stop.is_set():
            event = thumb()
            try:
                status, body = post(self._running, [event])
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.failures[type(error).__name__] += 1
                time.sleep(0.05)
                continue
            if status == 202:
                self.accepted.append(event["event_id"])
            else:
                self.failures[str(body)] += 1

    def wait(self, count: int) -> None:
        deadline = time.monotonic() + 20
        while len(self.accepted) < count:
            assert time.monotonic() < deadline, f"{len(self.accepted)} accepted, {self.failures}"
            time.sleep(0.02)

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(20)


def stored_ids(running: Process) -> Counter[str]:
    log = running.log()
    found = Counter(event["event_id"] for event in events(log))
    log.close()
    return found


@pytest.mark.faults
def test_what_was_accepted_is_there_after_sigkill(start: Any) -> None:
    with start() as running:
        senders = Senders(running)
        senders.wait(100)
        running.kill()
        senders.stop()
        stored = stored_ids(running)
        assert set(senders.accepted) <= set(stored)
        assert len(stored) <= len(senders.accepted) + 8


@pytest.mark.faults
@pytest.mark.parametrize("workers", ["1", "2"])
def test_sigterm_under_load_answers_what_is_in_flight_and_loses_nothing_accepted(start: Any, workers: str) -> None:
    with start(COLLECTOR_WORKERS=workers) as running:
        senders = Senders(running)
        senders.wait(100)
        began = time.monotonic()
        running.process.terminate()
        assert running.process.wait(10) == 0
        assert time.monotonic() - began < 10
        senders.stop()
        stored = stored_ids(running)
        assert set(senders.accepted) <= set(stored)
        assert set(stored.values()) == {1}


@pytest.mark.faults
def test_the_python_sdk_loses_nothing_while_the_collector_is_killed_and_comes_back(
    start: Any, free_port: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thumbwheel.delivery.sender.BACKOFF_SECONDS", 0.05)
    port, ids = free_port(), []
    client = None
    for _ in range(3):
        with start(port=port) as running:
            client = client or Client(running.url, running.secret, actor="u-1")
            for number in range(200):
                ids.append(client.thumb("i-1", f"c-{number}", "up"))
                time.sleep(0.001)
            running.kill()
        ids.append(client.thumb("i-1", "c-between", "up"))
    assert client is not None
    with start(port=port) as running:
        deadline = time.monotonic() + 20
        while not client.flush(1) and time.monotonic() < deadline:
            pass
        assert client.stats().waiting == 0
        assert client.dropped == {}
        assert set(ids) == set(stored_ids(running))
    client.shutdown(0)


def test_a_body_larger_than_the_cap_is_answered_not_reset(start: Any) -> None:
    with start() as running:
        for size in (1_100_000, 1_500_000, 2 * 1024 * 1024):
            with socket.create_connection(("127.0.0.1", running.port), 10) as client:
                client.sendall(HEAD.format(key=running.secret).encode() + f"Content-Length: {size}\r\n\r\n".encode())
                client.sendall(bytes(size))
                assert client.recv(4096).startswith(b"HTTP/1.1 413"), size
        with socket.create_connection(("127.0.0.1", running.port), 10) as client:
            client.sendall(HEAD.format(key=running.secret).encode() + b"Transfer-Encoding: chunked\r\n\r\n")
            for _ in range(24):
                client.sendall(b"10000\r\n" + bytes(0x10000) + b"\r\n")
            client.sendall(b"0\r\n\r\n")
            assert client.recv(4096).startswith(b"HTTP/1.1 413")


def test_a_chunked_body_is_accepted(start: Any) -> None:
    with start() as running, socket.create_connection(("127.0.0.1", running.port), 10) as client:
        body = json.dumps({"events": [thumb()]}).encode()
        client.sendall(HEAD.format(key=running.secret).encode() + b"Transfer-Encoding: chunked\r\n\r\n")
        for part in (body[:10], body[10:]):
            client.sendall(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        client.sendall(b"0\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 202")


def test_a_body_that_stops_arriving_is_answered_408(start: Any) -> None:
    with start() as running:
        for end in ("Content-Length: 500\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n5\r\n"):
            with socket.create_connection(("127.0.0.1", running.port), 30) as client:
                client.sendall(HEAD.format(key=running.secret).encode() + end.encode() + b'{"eve')
                answer = until_closed(client)
            assert answer.startswith(b"HTTP/1.1 408") and b"connection: close" in answer.lower()
            assert code_of(answer) == "too_slow"
        assert post(running, [thumb()])[0] == 202
        assert metric(running.get("/metrics")[1], "thumbwheel_collector_refused_total", code="too_slow") == 2


@pytest.mark.parametrize("cut", [True, False], ids=["cut off", "never ends"])
def test_a_body_of_chunks_without_an_end_is_not_taken_though_its_json_is_whole(start: Any, cut: bool) -> None:
    with start() as running, socket.create_connection(("127.0.0.1", running.port), 30) as client:
        body = json.dumps({"events": [thumb()]}).encode()
        client.sendall(HEAD.format(key=running.secret).encode() + b"Transfer-Encoding: chunked\r\n\r\n")
        client.sendall(f"{len(body):x}\r\n".encode() + body + b"\r\n")
        if cut:
            time.sleep(0.2)
            client.shutdown(socket.SHUT_WR)
        assert client.recv(4096).startswith(b"HTTP/1.1 408")
        assert stored_ids(running) == Counter()


@pytest.mark.slow
def test_stalled_clients_are_told_so_and_others_are_served_meanwhile(start: Any) -> None:
    with start() as running:
        stalled = [socket.create_connection(("127.0.0.1", running.port), 30) for _ in range(100)]
        for client in stalled:
            client.sendall(HEAD.format(key=running.secret).encode() + b'Content-Length: 500\r\n\r\n{"events":')
        assert post(running, [thumb()])[0] == 202
        assert {client.recv(4096)[:12] for client in stalled} == {b"HTTP/1.1 408"}
        for client in stalled:
            client.close()


def check_counts(running: Process) -> None:
    for _ in range(20):
        assert post(running, [thumb(), thumb(), thumb(value="sideways")])[0] == 207
    assert post(running, [thumb()])[0] == 202
    for body in (b"junk", b"{}"):
        with socket.create_connection(("127.0.0.1", running.port), 10) as client:
            client.sendall(HEAD.format(key="tw_sec_x").encode() + b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
            assert client.recv(4096).startswith(b"HTTP/1.1 400")
    text = running.get("/metrics")[1]
    log = running.log()
    assert metric(text, "thumbwheel_collector_events_total", outcome="accepted") == len(events(log)) == 41
    assert metric(text, "thumbwheel_collector_events_total", outcome="rejected") == len(events(log, REJECTED)) == 20
    log.close()
    assert metric(text, "thumbwheel_collector_rejected_total", code="invalid_event") == 20
    assert metric(text, "thumbwheel_collector_refused_total", code="invalid_body") == 2
    for status, count in (("202", 1), ("207", 20), ("400", 2)):
        assert metric(text, "thumbwheel_collector_request_seconds_count", status=status) == count
    assert metric(text, "thumbwheel_collector_append_seconds_count") == 21
    assert metric(text, "thumbwheel_collector_in_flight") == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_metrics_add_up_with_what_the_log_holds_whatever_the_workers(start: Any, workers: str) -> None:
    with start(COLLECTOR_WORKERS=workers) as running:
        check_counts(running)


def test_health_names_the_promise_and_the_script_is_served_to_any_page(start: Any) -> None:
    with start() as running:
        assert json.loads(running.get("/healthz")[1]) == {"status": "ok", "promise": "fsync"}
        assert json.loads(running.get("/readyz")[1])["status"] == "ready"
        for name in ("thumbwheel.js", "thumbwheel-elements.js", "thumbwheel-label.js"):
            connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=5)
            connection.request("GET", f"/sdk/{name}", headers={"Origin": "https://anyone.example"})
            answer = connection.getresponse()
            script = answer.read()
            assert answer.status == 200
            assert answer.getheader("Access-Control-Allow-Origin") == "*"
            assert re.match("text/javascript", answer.getheader("Content-Type", ""))
            assert b"thumbwheel" in script
            connection.request("GET", f"/sdk/{name}", headers={"If-None-Match": answer.getheader("ETag", "")})
            assert connection.getresponse().status == 304
            connection.close()


def test_a_port_in_use_ends_the_start_with_one_line(start: Any) -> None:
    with start() as running:
        env = os.environ | {
            "THUMBWHEEL_HOME": str(running.home), "THUMBWHEEL_COLLECTOR_BIND": f"127.0.0.1:{running.port}",
        }  # fmt: skip
        done = subprocess.run([sys.executable, "-m", "collector"], env=env, capture_output=True, text=True, timeout=20)
        assert done.returncode != 0
        assert done.stderr.count("\n") == 1
        assert str(running.port) in done.stderr


def test_a_home_that_cannot_be_written_ends_the_start_with_one_line(tmp_path: Path, free_port: Any) -> None:
    (tmp_path / "home").write_text("a file, not a folder")
    env = os.environ | {
        "THUMBWHEEL_HOME": str(tmp_path / "home"), "THUMBWHEEL_COLLECTOR_BIND": f"127.0.0.1:{free_port()}",
    }  # fmt: skip
    done = subprocess.run([sys.executable, "-m", "collector"], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "THUMBWHEEL_HOME" in done.stderr


def test_bodies_shorter_than_announced_are_refused(bench: Bench) -> None:
    answer = bench.client.post("/v1/events", data=b'{"events":[]}', content_length=50, content_type="application/json")
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (400, "invalid_body")
