"""Bodies have deadlines in every service: stalled, dribbled, cut off; and who is honest keeps being served."""

from __future__ import annotations

import http.client
import io
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from runtime.deadline import Body, Deadlines
from tests.hostile import code_of, dribbling, first_line, stalled_posts, status_of, until_closed
from tests.waiting import eventually

pytest.importorskip("granian")
REPOSITORY = Path(__file__).parents[2]
# Answers how many bytes came; /slow takes its time first, as a model does.
SERVICE = """
import sys, time
from runtime.serve import serve
from runtime.settings import Bind

def make():
    def app(environ, start_response):
        body = environ["wsgi.input"].read()
        if environ["PATH_INFO"] == "/slow":
            time.sleep(14)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"%d" % len(body)]
    return app

if __name__ == "__main__":
    serve(make, Bind("127.0.0.1", int(sys.argv[1])), service="test", threads=int(sys.argv[2]))
"""
POST = b"POST / HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
ME = "127.0.0.1"


@pytest.fixture
def serving(tmp_path: Path, free_port: Callable[[], int]) -> Callable[..., object]:
    """Starts a service with so many threads; gives its port."""

    @contextmanager
    def started(threads: int = 16) -> Iterator[int]:
        port, program = free_port(), tmp_path / "service.py"
        program.write_text(SERVICE)
        env = os.environ | {"PYTHONPATH": str(REPOSITORY)}
        process = subprocess.Popen([sys.executable, str(program), str(port), str(threads)], env=env)
        try:
            eventually(lambda: status_of(port, "/") == 200)
            yield port
        finally:
            process.kill()
            process.wait()

    return started


def ask(port: int, sent: bytes, end: str = "") -> bytes:
    """What comes back for some bytes, after which the client ends its sending, or not."""
    with socket.create_connection((ME, port), 20) as client:
        client.sendall(sent)
        if end:
            time.sleep(0.2)
            client.shutdown(socket.SHUT_WR)
            return until_closed(client)
        return client.recv(4096)


class Honest:
    """A client at the address of those who mean harm, on one connection or on a new one for each request."""

    def __init__(self, port: int, keep: bool) -> None:
        self.statuses: list[int] = []
        self._port, self._keep = port, keep
        self._connection = http.client.HTTPConnection(ME, port, timeout=30, source_address=(ME, 0))

    def post(self, times: int, pause: float) -> None:
        for _ in range(times):
            if not self._keep:
                self._connection = http.client.HTTPConnection(ME, self._port, timeout=30, source_address=(ME, 0))
            try:
                self._connection.request("POST", "/", b"x" * 300)
                answer = self._connection.getresponse()
                answer.read()
                self.statuses.append(answer.status)
            except (OSError, http.client.HTTPException):
                self.statuses.append(0)
                self._connection.close()
            if not self._keep:
                self._connection.close()
            time.sleep(pause)


def test_what_an_app_reads_is_what_was_sent(serving: Callable[..., object]) -> None:
    with serving() as port:  # type: ignore[attr-defined]
        assert ask(port, POST + b"Content-Length: 5\r\n\r\nhello").endswith(b"\r\n5")
        assert ask(port, CHUNKED + b"5\r\nhello\r\n2\r\n, \r\n0\r\n\r\n").endswith(b"\r\n7")
        size = 3 * 1024 * 1024 + 7
        assert ask(port, POST + b"Content-Length: %d\r\n\r\n" % size + bytes(size)).endswith(b"\r\n%d" % size)
        assert ask(port, POST + b"Content-Length: 0\r\n\r\n").endswith(b"\r\n0")


@pytest.mark.parametrize("framed", [{"CONTENT_LENGTH": "11"}, {"CONTENT_LENGTH": "40000"}])
def test_an_app_may_read_as_wsgi_lets_it(framed: dict[str, str]) -> None:
    size = int(framed["CONTENT_LENGTH"])
    sent = b"one\ntwo\n\nf" + b"x" * (size - 10)

    def body() -> Body:
        found: list[Body] = []

        def app(environ: dict[str, Any], start: object) -> list[bytes]:
            found.append(environ["wsgi.input"])
            return []

        Deadlines(app, 1, 16)({"wsgi.input": io.BytesIO(sent), "REMOTE_ADDR": ME} | framed, print)
        return found[0]

    assert body().read() == body().read(None) == body().read(size + 5) == sent
    assert list(body()) == body().readlines() == [b"one\n", b"two\n", b"\n", sent[9:]]
    pieces = body()
    assert (pieces.read(0), pieces.read(2), pieces.readline(), pieces.readline(2)) == (b"", b"on", b"e\n", b"tw")
    assert pieces.read(20_000) + pieces.read() == sent[6:] and pieces.read() == pieces.readline() == b""


def test_a_body_that_ends_early_is_refused(serving: Callable[..., object]) -> None:
    with serving() as port:  # type: ignore[attr-defined]
        for head in (POST + b"Content-Length: 50\r\n\r\nhello", CHUNKED + b"5\r\nhello\r\n"):
            answer = ask(port, head, "cut")
            assert answer.startswith(b"HTTP/1.1 408"), answer
            assert b"connection: close" in answer.lower()
            assert code_of(answer) == "too_slow"


def test_a_body_of_chunks_that_never_ends_is_refused(serving: Callable[..., object]) -> None:
    with serving() as port:  # type: ignore[attr-defined]
        assert ask(port, CHUNKED + b"5\r\nhello\r\n").startswith(b"HTTP/1.1 408")


@pytest.mark.slow
@pytest.mark.parametrize("keep", [True, False], ids=["one connection", "new connections"])
@pytest.mark.parametrize("dribble", [True, False], ids=["dribbling", "stalled"])
def test_slow_bodies_cost_no_honest_request_of_the_same_address(
    serving: Callable[..., object], dribble: bool, keep: bool
) -> None:
    with serving(64) as port:  # type: ignore[attr-defined]
        honest = [Honest(port, keep) for _ in range(4)]
        for client in honest:
            client.post(1, 0)
        with stalled_posts(port, "/", 300, ME) as slow, dribbling(slow if dribble else []):
            threads = [threading.Thread(target=client.post, args=(6, 0.3)) for client in honest]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert [status for client in honest for status in client.statuses] == [200] * 28


@pytest.mark.slow
def test_a_request_that_is_being_answered_outlives_a_slow_body_of_its_address(serving: Callable[..., object]) -> None:
    with serving() as port:  # type: ignore[attr-defined]
        answers: list[int] = []
        before = threading.Thread(target=lambda: answers.append(status_of(port, "/slow", b"x" * 300, seconds=40)))
        after = threading.Thread(target=lambda: answers.append(status_of(port, "/slow", b"x" * 300, seconds=40)))
        before.start()
        time.sleep(0.3)
        with stalled_posts(port, "/", 1, ME) as (slow,):
            time.sleep(0.3)
            after.start()
            assert first_line(slow) == b"HTTP/1.1 408"
        before.join()
        after.join()
        assert answers == [200, 200]


@pytest.mark.slow
def test_stalled_bodies_after_an_answer_on_the_same_connection_end_too(serving: Callable[..., object]) -> None:
    with serving(8) as port:  # type: ignore[attr-defined]
        clients = [socket.create_connection((ME, port), 60) for _ in range(12)]
        for client in clients:
            # A whole request and the beginning of another, in one go: the kernel's clocks cannot tell them apart.
            client.sendall(POST + b"Content-Length: 1\r\n\r\nx" + POST + b"Content-Length: 9\r\n\r\nx")
        assert status_of(port, "/", seconds=30) == 200
        assert eventually(lambda: status_of(port, "/", b"x", seconds=30) == 200)
        for client in clients:
            client.close()
