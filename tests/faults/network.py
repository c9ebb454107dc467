"""A network between clients and a collector that a test cuts, stalls, tears and makes swallow answers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# close() then sends a reset instead of a farewell.
_RESET = struct.pack("ii", 1, 0)


class Network:
    """Passes TCP connections on to a port. `mode` says what happens to what comes now; `happened` counts it.

    `refuse`: new connections are reset. `stall`: nothing moves on. `tear`: a request is cut in its middle. `swallow`:
    the collector answers, and the connection is reset before the client hears of it.
    """

    def __init__(self, upstream: int) -> None:
        self.mode = "pass"
        self.happened: Counter[str] = Counter()
        self._upstream = upstream
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._moving = asyncio.Event()
        self._moving.set()
        # In a thread of its own from the first: the calling one may be inside another loop.
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        starting = asyncio.start_server(self._connect, "127.0.0.1", 0)
        self._server = asyncio.run_coroutine_threadsafe(starting, self._loop).result(10)
        self.port: int = self._server.sockets[0].getsockname()[1]

    @contextlib.contextmanager
    def being(self, mode: str) -> Iterator[None]:
        """Change the mode for a block."""
        self._loop.call_soon_threadsafe(self._turn, mode)
        try:
            yield
        finally:
            self._loop.call_soon_threadsafe(self._turn, "pass")

    def cut(self) -> None:
        """Reset every open connection."""
        self._loop.call_soon_threadsafe(self._cut)

    def stop(self) -> None:
        """Close everything."""

        async def close() -> None:
            self._server.close()
            self._moving.set()
            self._cut()

        asyncio.run_coroutine_threadsafe(close(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def _turn(self, mode: str) -> None:
        self.mode = mode
        if mode == "stall":
            self._moving.clear()
        else:
            self._moving.set()

    def _cut(self) -> None:
        self.happened["cut"] += len(self._open) // 2
        for writer in list(self._open):
            _reset(writer)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.mode == "refuse":
            self.happened["refused"] += 1
            _reset(writer)
            return
        try:
            back, forth = await asyncio.open_connection("127.0.0.1", self._upstream)
        except OSError:
            self.happened["collector away"] += 1
            _reset(writer)
            return
        both = {writer, forth}
        self._open |= both
        try:
            await asyncio.gather(self._ask(reader, forth), self._answer(back, writer))
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._open -= both
            for one in both:
                _reset(one)

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if self.mode == "tear":
                self.happened["torn"] += 1
                writer.write(data[: len(data) // 2])
                await writer.drain()
                raise ConnectionResetError
            await self._pass(data, writer)
        raise ConnectionResetError

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if self.mode == "swallow":
                self.happened["swallowed"] += 1
                raise ConnectionResetError
            await self._pass(data, writer)
        raise ConnectionResetError

    async def _pass(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        if not self._moving.is_set():
            self.happened["stalled"] += 1
            await self._moving.wait()
        writer.write(data)
        await writer.drain()


class Meddler:
    """An address that passes requests on to a collector, and does one thing wrong with the first `events` events.

    `lose`: says that it has them. `double`: sends them again under new ids. `nothing`: neither.
    """

    def __init__(self, upstream: int, meddling: str, events: int) -> None:
        self._upstream, self._meddling, self._left = upstream, meddling, events
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Meddler:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _pass_on(self, body: dict[str, Any], headers: dict[str, str]) -> bytes:
        connection = HTTPConnection("127.0.0.1", self._upstream, timeout=10)
        connection.request("POST", "/v1/events", json.dumps(body), headers)
        answer = connection.getresponse().read()
        connection.close()
        return answer

    def _meddle(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        chosen = events[: self._left] if self._meddling != "nothing" else []
        self._left -= len(chosen)
        return chosen

    def _answer(self, body: dict[str, Any], headers: dict[str, str]) -> bytes:
        events = body["events"]
        chosen = self._meddle(events)
        if self._meddling == "double":
            events = [*events, *({**event, "event_id": str(uuid.uuid4())} for event in chosen)]
        elif self._meddling == "lose":
            events = events[len(chosen) :]
        if events:
            self._pass_on({**body, "events": events}, headers)
        return json.dumps(
            {"results": [{"event_id": event["event_id"], "status": "accepted"} for event in body["events"]]}
        ).encode()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        meddler = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                told = {name: self.headers[name] for name in ("Authorization", "Content-Type")}
                text = meddler._answer(body, told)
                self.send_response(202)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    if connection is not None and not writer.transport.is_closing():
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
