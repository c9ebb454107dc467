"""A gateway that answers at once with known texts, on a real socket, in the form the contract gives."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class StubGateway:
    """Records what it was asked. `broken` makes it answer 503; `delay_s` is the pause between pieces of a stream."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.keys: set[str] = set()
        self.broken = False
        self.delay_s = 0.0
        self.pieces_sent = 0

    def candidates(self, body: dict[str, Any]) -> dict[str, Any]:
        number = len(self.asked)
        question = body["messages"][-1]["content"]
        texts = [f"Reply {chr(64 + n)} of call {number} to: {question}" for n in range(1, body["k"] + 1)]
        shown = [{"candidate_id": f"tw1.c{number}.{n}", "content": text} for n, text in enumerate(texts, 1)]
        return {"interaction_id": f"int-{number}", "candidates": shown}

    def chunks(self, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        number = len(self.asked)
        words = f"Answer {number} with <b>markup</b> to: {body['messages'][-1]['content']}".split(" ")
        for n, word in enumerate(words):
            choice: dict[str, Any] = {"index": 0, "delta": {"content": word + " "}, "finish_reason": None}
            if n == 0:
                choice["candidate_id"] = f"tw1.c{number}.1"
            named = {"id": f"int-{number}", "object": "chat.completion.chunk", "created": 0, "model": "x"}
            yield {**named, "choices": [choice]}


def _handler(stub: StubGateway) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            stub.keys.add(self.headers.get("Authorization", ""))
            if stub.broken:
                self.answer(503, {"error": {"code": "busy", "message": "Busy", "hint": "Later"}})
                return
            stub.asked.append((self.path, body))
            if self.path == "/v1/candidates":
                self.answer(200, stub.candidates(body))
            else:
                self.stream(body)

        def answer(self, status: int, body: dict[str, Any]) -> None:
            text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def stream(self, body: dict[str, Any]) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
            try:
                for chunk in stub.chunks(body):
                    self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
                    self.wfile.flush()
                    stub.pieces_sent += 1
                    time.sleep(stub.delay_s)
                self.wfile.write(b"data: [DONE]\n\n")
            except (BrokenPipeError, ConnectionResetError):
                return

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler


@contextmanager
def stub_gateway() -> Iterator[StubGateway]:
    """Serve a StubGateway on a free port."""
    stub = StubGateway()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(stub))
    stub.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield stub
    server.shutdown()
    server.server_close()
