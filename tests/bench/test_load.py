"""The open-loop generator: a stall is felt by every request it held up, and errors are counted."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bench.load import Target, steady

STALL_SECONDS = 0.5


class Handler(BaseHTTPRequestHandler):
    """Stalls on the body `stall`, fails on `fail`, answers anything else at once."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if body == b"stall":
            time.sleep(STALL_SECONDS)
        self.send_response(500 if body == b"fail" else 202)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join(5)
    server.server_close()


def test_requests_held_up_by_a_stall_count_from_when_they_were_due(port: int) -> None:
    load = steady(Target(port, "/", [b"stall", *[b"ok"] * 19]), rate=100, connections=1, seconds=0.2)
    assert (load.rate, load.errors) == (100, 0)
    # The last was due 190 ms after the first, which took 500 ms.
    assert load.p50 > 350 and load.p999 >= STALL_SECONDS * 1e3


def test_answers_that_are_errors_are_counted(port: int) -> None:
    load = steady(Target(port, "/", [b"ok", b"fail"]), rate=200, connections=4, seconds=0.1)
    assert (load.rate, load.errors) == (200, 10)
