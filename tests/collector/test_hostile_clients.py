"""Clients that mean harm, at the real process: they cost the others little, and work and memory stay bounded."""

from __future__ import annotations

import fcntl
import json
import resource
import select
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import run
from typing import Any

import pytest

from collector.limits import MAX_IN_FLIGHT
from runtime.settings import Settings
from tests.hostile import http2_posts_without_bodies

from .conftest import Process, events, thumb
from .test_process import HEAD, metric, post

BODY = json.dumps({"events": [thumb()]}).encode()
# Another address of this machine, so that who is slow and who is not can be told apart.
THEIRS = "127.0.0.2"


@contextmanager
def connected(running: Process, count: int, source: str = THEIRS) -> Iterator[list[socket.socket]]:
    """So many connections to a collector."""
    clients = [socket.create_connection(("127.0.0.1", running.port), 60, (source, 0)) for _ in range(count)]
    try:
        yield clients
    finally:
        for client in clients:
            client.close()


def answered(running: Process, sent: bytes) -> bytes:
    """The first bytes that come back for some bytes; empty when the connection is closed."""
    with connected(running, 1, "127.0.0.1") as (client,):
        try:
            client.sendall(sent)
            return client.recv(4096)
        except (BrokenPipeError, ConnectionResetError):
            return b""


def head(running: Process, *lines: str) -> bytes:
    return (HEAD.format(key=running.secret) + "".join(f"{line}\r\n" for line in lines) + "\r\n").encode("latin-1")


def megabytes(running: Process) -> float:
    """What the workers hold in memory."""
    workers = run(["pgrep", "-P", str(running.process.pid)], capture_output=True, text=True).stdout.split()
    pages = [int(Path(f"/proc/{worker}/statm").read_text().split()[1]) for worker in workers]
    return sum(pages) * resource.getpagesize() / 1e6


def check_healthy(running: Process, seconds: float) -> None:
    """An honest client is answered in this time, and so is the probe."""
    began = time.monotonic()
    assert post(running, [thumb()])[0] == 202
    assert running.get("/healthz")[0] == 200
    assert time.monotonic() - began < seconds


@pytest.mark.slow
def test_http2_heads_without_bodies_cost_the_others_nothing(start: Any) -> None:
    with start() as running:
        with http2_posts_without_bodies(running.port, "/v1/events"):
            check_healthy(running, 5)
        check_healthy(running, 5)


LENGTH = f"Content-Length: {len(BODY)}"
CHUNKED = "Transfer-Encoding: chunked"
WRONG = {
    "head of 2 MB": (("X-A: " + "a" * 2_000_000, LENGTH), BODY, 431),
    "10,000 headers": ((*(f"X-{n}: a" for n in range(10_000)), LENGTH), BODY, 431),
    "longer than announced": (("Content-Length: 10",), BODY, 400),
    "two lengths": (("Content-Length: 5", "Content-Length: 7"), BODY, 400),
    "negative length": (("Content-Length: -5",), BODY, 400),
    "length with a sign": (("Content-Length: +5",), BODY, 400),
    "length of 20 digits": (("Content-Length: " + "9" * 20,), BODY, 400),
    "no length": ((), BODY, 400),
    "chunk without size": ((CHUNKED,), b"ZZ\r\n" + BODY, 400),
    "chunk of 2^72 bytes": ((CHUNKED,), b"f" * 18 + b"\r\n" + BODY, 400),
    "chunk longer than announced": ((CHUNKED,), b"5\r\n" + BODY + b"\r\n0\r\n\r\n", 400),
    "a coding nobody knows": (("Transfer-Encoding: gzip",), BODY, 400),
}  # fmt: skip


@pytest.mark.slow
def test_requests_that_are_wrong_on_the_wire_are_refused_and_store_nothing(start: Any) -> None:
    with start() as running:
        for name, (lines, body, status) in WRONG.items():
            got = answered(running, head(running, *lines) + body)
            assert got[:12] == b"HTTP/1.1 %d" % status, (name, got)
        for junk in (
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"GET\x00/ HTTP/1.1\r\n\r\n",
            b"GET /%00%ff HTTP/9.9\r\n\r\n",
        ):
            assert answered(running, junk + b"a" * 100 + b"\r\n\r\n")[:12] in (b"HTTP/1.1 400", b"")
        with connected(running, 1) as (client,):
            client.sendall(head(running, CHUNKED) + b"5\r\naa")
            client.shutdown(socket.SHUT_WR)
            assert client.recv(4096)[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 408", b"")
        log = running.log()
        assert events(log) == []
        log.close()
        assert answered(running, head(running, LENGTH, "X-A: \xff", "Origin: \xff", "Content-Encoding: \xff") + BODY)
        check_healthy(running, 10)


@pytest.mark.slow
@pytest.mark.parametrize("sent", [b"", b"POST /v1/events HTTP/1.1\r\nHost: x\r\n"], ids=["idle", "half a head"])
def test_hundreds_of_connections_that_ask_nothing_cost_the_others_nothing(start: Any, sent: bytes) -> None:
    with start() as running, connected(running, 700) as clients:
        for client in clients:
            client.sendall(sent)
        for number in range(4):
            check_healthy(running, 5)
            for client in clients:
                client.sendall(b"X-%d: a\r\n" % number if sent else b"")
        assert megabytes(running) < 400


@pytest.mark.slow
@pytest.mark.parametrize("dribble", [False, True], ids=["stalled", "a byte at a time"])
def test_hundreds_of_slow_bodies_end_in_408_and_cost_the_others_little(start: Any, dribble: bool) -> None:
    with start() as running, connected(running, 500) as clients:
        for client in clients:
            client.sendall(head(running, "Content-Length: 500") + b'{"events":')
        stop = threading.Event()

        def drip() -> None:
            while not stop.wait(0.2):
                for client in clients:
                    with suppress(OSError):
                        client.send(b" ")

        if dribble:
            threading.Thread(target=drip, daemon=True).start()
        for _ in range(5):
            check_healthy(running, 9)
        assert megabytes(running) < 400
        answers = Counter(first_line(client) for client in clients)
        stop.set()
        # A client that goes on sending after its answer may find the connection reset before it reads that.
        assert set(answers) <= {b"HTTP/1.1 408", b""} | ({b"reset"} if dribble else set())
        assert answers[b"HTTP/1.1 408"] > 400 or dribble
        assert metric(running.get("/metrics")[1], "thumbwheel_collector_in_flight") == 0
        check_healthy(running, 5)


def first_line(client: socket.socket) -> bytes:
    try:
        return client.recv(4096)[:12]
    except OSError:
        return b"reset"


@pytest.mark.slow
def test_while_the_log_stands_still_only_so_many_wait_and_the_others_hear_503_at_once(start: Any) -> None:
    with start() as running, connected(running, 400) as clients:
        lock = Path(f"{Settings(home=running.home).log_url.removeprefix('sqlite:///')}.lock")
        with lock.open("rb") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            began = time.monotonic()
            for client in clients:
                client.sendall(head(running, LENGTH) + BODY)
            refused = [client.recv(4096) for client in told(clients, 400 - MAX_IN_FLIGHT, 6)]
            assert time.monotonic() - began < 6
            assert {answer[:12] for answer in refused} == {b"HTTP/1.1 503"}
            assert all(b"retry-after: 1\r\n" in answer for answer in refused)
            assert megabytes(running) < 400
            fcntl.flock(held, fcntl.LOCK_UN)
        waiting = [client for client in told(clients, MAX_IN_FLIGHT, 20)]
        answers = Counter(client.recv(4096)[:12] for client in waiting)
        log = running.log()
        assert len(events(log)) == answers[b"HTTP/1.1 202"] == MAX_IN_FLIGHT
        log.close()
        check_healthy(running, 5)


def told(clients: list[socket.socket], count: int, seconds: float) -> list[socket.socket]:
    """The clients that have an answer to read, once they are so many."""
    until = time.monotonic() + seconds
    while len(ready := select.select(clients, [], [], 0.1)[0]) < count:
        assert time.monotonic() < until, f"{len(ready)} answers"
    return ready
