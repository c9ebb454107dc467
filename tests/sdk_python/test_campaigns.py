"""Which campaign asks: the shared cases, and a collector that is slow, stale or away."""

from __future__ import annotations

import asyncio
import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import thumbwheel
from thumbwheel import AsyncClient, Client
from thumbwheel.campaigns import share

from tests.waiting import eventually

from .test_guides import GUIDES

Serve = Callable[..., "Server"]
YEAR_S = 31_536_000


class Server:
    """Answers `GET /v1/campaigns` with `campaigns`, after `wait` seconds, with `status`."""

    def __init__(self, campaigns: Any, fresh_for_s: float, status: int = 200, wait: float = 0.0) -> None:
        self.campaigns, self.fresh_for_s, self.status, self.wait = campaigns, fresh_for_s, status, wait
        self.asked: list[dict[str, str]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server.asked.append({"path": self.path, "authorization": self.headers["Authorization"]})
                time.sleep(server.wait)
                body = json.dumps({"campaigns": server.campaigns, "fresh_for_s": server.fresh_for_s}).encode()
                self.send_response(server.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def serve() -> Iterator[Serve]:
    running: list[Server] = []

    def start(campaigns: Any, fresh_for_s: float = YEAR_S, **options: Any) -> Server:
        running.append(Server(campaigns, fresh_for_s, **options))
        return running[-1]

    yield start
    for server in running:
        server.stop()


def client_of(server: Server, **options: Any) -> Client:
    return Client(**({"url": server.url, "key": "tw_sec_test", "actor": "u-1"} | options))


EVERYBODY = [{"campaign_id": "ca-1", "surface": "chat", "rate": 1.0, "question": "Did this help?"}]


def test_shares_lie_evenly() -> None:
    below = sum(share("ca-1", f"u-{n}", f"i-{n}") < 0.1 for n in range(20_000))
    # Binomial, n = 20,000, p = 0.1: five standard deviations are 212.
    assert abs(below - 2_000) < 212


def test_the_list_is_fetched_once_with_the_key_in_the_header(serve: Serve) -> None:
    server = serve(EVERYBODY)
    client = client_of(server)
    found = [client.campaign(f"i-{n}") for n in range(50)]
    assert all(one is not None and one["question"] == "Did this help?" for one in found)
    assert server.asked == [{"path": "/v1/campaigns", "authorization": "Bearer tw_sec_test"}]


def test_a_stale_list_serves_while_a_new_one_is_fetched_aside(serve: Serve) -> None:
    server = serve(EVERYBODY, fresh_for_s=0)
    client = client_of(server)
    assert client.campaign("i-1") is not None
    server.campaigns, server.wait = [], 0.3
    begun = time.monotonic()
    assert client.campaign("i-2") is not None
    assert time.monotonic() - begun < 0.3
    assert eventually(lambda: client.campaign("i-3") is None)


def test_a_collector_that_is_slow_or_away_asks_nobody_and_holds_nobody_up(serve: Serve) -> None:
    slow = client_of(serve(EVERYBODY, wait=3.0))
    begun = time.monotonic()
    assert slow.campaign("i-1", timeout=0.2) is None
    assert time.monotonic() - begun < 2.0
    failing = serve(EVERYBODY, status=503)
    client = client_of(failing)
    assert [client.campaign(f"i-{n}") for n in range(20)] == [None] * 20
    assert len(failing.asked) == 1
    away = Client("http://127.0.0.1:9", "tw_pub_test", actor="u-1")
    assert away.campaign("i-1") is None


def test_wrong_arguments_reach_on_error_and_not_the_host(serve: Serve) -> None:
    heard: list[str] = []
    client = Client(serve(EVERYBODY).url, "tw_pub_test", on_error=lambda problem, _: heard.append(problem.code))
    assert client.campaign("i-1") is None
    assert client.campaign("i-1", actor={"kind": "user"}) is None
    assert heard == ["failed", "failed"]
    client.shutdown()


def test_an_event_loop_is_not_held_up(serve: Serve) -> None:
    server = serve(EVERYBODY, wait=0.3)

    async def ask() -> tuple[Any, int]:
        ticks = 0
        async with AsyncClient(server.url, "tw_sec_test", actor="u-1") as client:
            asking = asyncio.create_task(client.campaign("i-1"))
            while not asking.done():
                await asyncio.sleep(0.01)
                ticks += 1
            return await asking, ticks

    found, ticks = asyncio.run(ask())
    assert found is not None and ticks > 10


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_asks_by_itself(serve: Serve) -> None:
    server = serve(EVERYBODY)
    client = client_of(server)
    assert client.campaign("i-1") is not None
    child = os.fork()
    if child == 0:
        os._exit(0 if client.campaign("i-1") is not None else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert len(server.asked) == 2


def test_the_module_asks_through_the_latest_init(serve: Serve) -> None:
    thumbwheel.init(serve(EVERYBODY).url, "tw_sec_test", actor="u-1")
    found = thumbwheel.campaign("i-1")
    assert found is not None and found["campaign_id"] == "ca-1"
    thumbwheel.shutdown()


def test_the_guides_program_asks_for_two_replies_where_a_campaign_wants_them(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, chinese = (
        re.findall(r"^```python campaign\n(.*?)^```", (GUIDES / name).read_text("utf-8"), re.MULTILINE | re.DOTALL)
        for name in ("campaigns.md", "campaigns.zh-CN.md")
    )
    assert text == chinese
    campaign = {"campaign_id": "ca-2", "surface": "choice", "rate": 1.0, "label": "refund"}
    monkeypatch.setenv("THUMBWHEEL_URL", serve([campaign]).url)
    monkeypatch.setenv("THUMBWHEEL_SECRET_KEY", "tw_sec_test")
    program: dict[str, Any] = {}
    exec(compile(text[0], "campaigns.md", "exec"), program)
    asked, left = program["prepare"]("u-1", "refund/late"), program["prepare"]("u-1", "other")
    assert (asked["replies"], asked["campaign"]) == (2, "ca-2")
    assert (left["replies"], left["campaign"]) == (1, None)
    thumbwheel.shutdown()
