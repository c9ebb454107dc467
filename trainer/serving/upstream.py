"""The same replies from any OpenAI-compatible server, such as vLLM with `--enable-lora`.

Set THUMBWHEEL_MODEL_API to its address up to and with /v1. "base" is asked for under THUMBWHEEL_BASE_MODEL's name,
an adapter under its own id (an adapter id is never used twice, so a server's cache cannot mix versions).
"""

from __future__ import annotations

import http.client
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

from eventlog.errors import ThumbwheelError
from trainer.serving.engine import Generation, Reply

CONNECT_SECONDS = 10
READ_SECONDS = 300


class Upstream:
    """Asks an OpenAI-compatible server for replies; one request per reply, all at once."""

    def __init__(self, url: str, base_model: str, api_key: str = "") -> None:
        parts = urlsplit(url.rstrip("/"))
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ThumbwheelError(
                "malformed_setting", f"THUMBWHEEL_MODEL_API={url!r} is not an address.", "Use http://host:port/v1."
            )
        self._parts = parts
        self._base_model = base_model
        self._headers = {"Content-Type": "application/json"} | (
            {"Authorization": f"Bearer {api_key}"} if api_key else {}
        )
        self._pool = ThreadPoolExecutor(32, "upstream")

    def generate(self, request: Generation) -> list[Reply]:
        """Return one reply per model named; streams when the request listens. Raises ThumbwheelError 502."""
        if request.on_text:
            return [self._stream(request, index, model) for index, model in enumerate(request.models)]
        return list(self._pool.map(lambda item: self._whole(request, *item), enumerate(request.models)))

    def _body(self, request: Generation, index: int, model: str) -> dict[str, Any]:
        sampling = request.sampling
        body: dict[str, Any] = {
            "model": self._base_model if model == "base" else model, "messages": request.messages,
            "temperature": sampling.temperature, "top_p": sampling.top_p, "max_tokens": sampling.max_tokens,
        }  # fmt: skip
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        if sampling.seed is not None:
            body["seed"] = sampling.seed + index
        return body

    def _whole(self, request: Generation, index: int, model: str) -> Reply:
        connection, response = self._ask("POST", "/chat/completions", self._body(request, index, model))
        with closing(connection):
            answer = json.loads(response.read())
        choice, usage = answer["choices"][0], answer.get("usage") or {}
        return Reply(
            choice["message"]["content"] or "", choice.get("finish_reason") or "stop",
            int(usage.get("prompt_tokens", 0)), int(usage.get("completion_tokens", 0)),
        )  # fmt: skip

    def _stream(self, request: Generation, index: int, model: str) -> Reply:
        body = self._body(request, index, model) | {"stream": True}
        connection, response = self._ask("POST", "/chat/completions", body)
        text, reason, pieces = "", "stop", 0
        with closing(connection):
            for line in response:
                if request.cancelled.is_set():
                    reason = "cancelled"
                    break
                if not line.startswith(b"data: ") or line.startswith(b"data: [DONE]"):
                    continue
                for choice in json.loads(line[6:]).get("choices", []):
                    reason = choice.get("finish_reason") or reason
                    piece = (choice.get("delta") or {}).get("content")
                    if piece:
                        text, pieces = text + piece, pieces + 1
                        if request.on_text:
                            request.on_text(index, piece)
        return Reply(text, reason, 0, pieces)

    def _ask(
        self, method: str, path: str, body: Any = None
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        kind = http.client.HTTPSConnection if self._parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(self._parts.hostname or "", self._parts.port, timeout=CONNECT_SECONDS)
        try:
            connection.connect()
            connection.sock.settimeout(READ_SECONDS)
            connection.request(
                method, self._parts.path + path, None if body is None else json.dumps(body), self._headers
            )
            response = connection.getresponse()
        except OSError as error:
            connection.close()
            raise ThumbwheelError(
                "upstream_away", f"The model server at {self._parts.netloc} cannot be reached: {error}.",
                "Check THUMBWHEEL_MODEL_API and the server.", status=502,
            ) from error  # fmt: skip
        if response.status != 200:
            detail = response.read(500).decode(errors="replace")
            connection.close()
            raise ThumbwheelError(
                "upstream_refused", f"The model server answered {response.status}: {detail}",
                "Check the model's name and the server's key.", status=404 if response.status == 404 else 502,
            )  # fmt: skip
        return connection, response

    def check(self) -> None:
        """Raise ThumbwheelError unless the server lists its models."""
        connection, response = self._ask("GET", "/models")
        with closing(connection):
            response.read()

    def close(self) -> None:
        """Wait for no one; requests in flight end with their connections."""
        self._pool.shutdown(wait=False)
