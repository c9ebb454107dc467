"""A collector on a real socket that records what arrives and answers as a test tells it to."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "tw_sec_test"


@dataclass
class Answer:
    """What to say to a whole request; `results` gives each event's result, `cut` closes the connection instead."""

    status: int = 202
    headers: dict[str, str] = field(default_factory=dict)
    results: Callable[[dict[str, Any]], dict[str, Any] | None] = lambda event: {"status": "accepted"}
    body: str | None = None
    cut: bool = False
    wait: threading.Event | None = None


class Stub:
    """Says `202 accepted` unless `answers` holds something else, or `answer` decides by the events."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.times: list[float] = []
        self.answers: list[Answer] = []
        self.answer: Callable[[list[dict[str, Any]]], Answer] | None = None
        self.campaigns: Any = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event for body in self.bodies for event in body["events"]]

    def decide(self, events: list[dict[str, Any]]) -> Answer:
        if self.answer is not None:
            return self.answer(events)
        return self.answers.pop(0) if self.answers else Answer()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(stub: Stub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            stub.times.append(time.monotonic())
            stub.headers.append(dict(self.headers))
            stub.bodies.append(body)
            answer = stub.decide(body["events"])
            if answer.wait is not None:
                answer.wait.wait(10)
            if answer.cut:
                self.close_connection = True
                return
            results = [
                {"event_id": event["event_id"], **result}
                for event in body["events"]
                if (result := answer.results(event)) is not None
            ]
            text = (json.dumps({"results": results}) if answer.body is None else answer.body).encode()
            self.say(answer.status, text, answer.headers)

        def do_GET(self) -> None:
            self.say(200, json.dumps({"campaigns": stub.campaigns, "fresh_for_s": 31_536_000}).encode(), {})

        def say(self, status: int, text: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(text)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler
