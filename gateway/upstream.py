"""The same replies from any OpenAI-compatible server, such as vLLM with `--enable-lora`.

Set THUMBWHEEL_MODEL_API to its address up to and with /v1. "base" is asked for under THUMBWHEEL_BASE_MODEL's name,
an adapter under its own id (an adapter id is never used twice, so a server's cache cannot mix versions), a remote model
under the vendor's; its reply counts only when it says that this model wrote it.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlsplit

from contract.control_text import broken
from contract.errors import ThumbwheelError
from contract.finish_reasons import CANCELLED, INCOMPLETE, is_cut
from inference.replies import HALF, Generation, Reply
from inference.thoughts import spoken, template_kwargs

CONNECT_SECONDS = 10
READ_SECONDS = 300
# What the server says of the request is said to the client; any other refusal is the server's own trouble (502).
_PASSED_ON = {400: 400, 404: 404, 413: 413, 422: 400, 429: 503, 503: 503}


class Upstream:
    """Asks an OpenAI-compatible server for replies; one request per reply, all at once."""

    def __init__(
        self, url: str, base_model: str, api_key: str = "", *, remote: Callable[[str], str | None] = lambda model: None
    ) -> None:
        parts = urlsplit(url.rstrip("/"))
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ThumbwheelError(
                "malformed_setting", f"THUMBWHEEL_MODEL_API={url!r} is not an address.", "Use http://host:port/v1."
            )
        self._parts = parts
        self._base_model = base_model
        self._remote = remote
        self._headers = {"Content-Type": "application/json"} | (
            {"Authorization": f"Bearer {api_key}"} if api_key else {}
        )
        self._pool = ThreadPoolExecutor(32, "upstream")

    def generate(self, request: Generation) -> list[Reply]:
        """Return one reply per model named; streams when the request listens. Raises ThumbwheelError."""
        draw = self._stream if request.on_text else self._whole
        return list(self._pool.map(lambda item: draw(request, *item), enumerate(request.models)))

    def _body(self, request: Generation, index: int, model: str) -> dict[str, Any]:
        sampling = request.sampling
        body: dict[str, Any] = {
            "model": self._base_model if model == "base" else self._remote(model) or model,
            "messages": _broken(request.messages),
            "temperature": sampling.temperature, "top_p": sampling.top_p, "max_tokens": sampling.max_tokens,
        }  # fmt: skip
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        if kwargs := template_kwargs(sampling.thinking):
            body["chat_template_kwargs"] = kwargs
        if sampling.seed is not None:
            body["seed"] = sampling.seed + index
        return body

    def _whole(self, request: Generation, index: int, model: str) -> Reply:
        with self._answer("POST", "/chat/completions", self._body(request, index, model)) as response:
            answer = json.loads(response.read())
            self._check_writer(model, answer)
            choice, usage = answer["choices"][0], answer.get("usage") or {}
            reason = str(choice.get("finish_reason") or INCOMPLETE)
            text = spoken(choice["message"]["content"] or "")
            return Reply(
                text.rstrip(HALF) if is_cut(reason) else text, reason,
                int(usage.get("prompt_tokens", 0)), int(usage.get("completion_tokens", 0)),
            )  # fmt: skip

    def _stream(self, request: Generation, index: int, model: str) -> Reply:
        body = self._body(request, index, model) | {"stream": True, "stream_options": {"include_usage": True}}
        text, sent, reason, usage = "", 0, "", dict[str, Any]()
        with self._answer("POST", "/chat/completions", body) as response:
            for chunk in _chunks(response):
                if request.cancelled.is_set():
                    reason = reason or CANCELLED
                    break
                self._check_writer(model, chunk)
                usage = chunk.get("usage") or usage
                for choice in chunk.get("choices", []):
                    reason = str(choice.get("finish_reason") or reason)
                    text += (choice.get("delta") or {}).get("content") or ""
                    # Half a character waits for its other half, which may never come.
                    said = spoken(text, streamed=True, ended=bool(reason))
                    ready = said.rstrip(HALF) if is_cut(reason or INCOMPLETE) else said
                    if len(ready) > sent and request.on_text:
                        request.on_text(index, ready[sent:])
                        sent = len(ready)
        return Reply(
            spoken(text, streamed=True)[:sent], reason or INCOMPLETE, int(usage.get("prompt_tokens", 0)),
            int(usage.get("completion_tokens", 0)),
        )  # fmt: skip

    def _check_writer(self, model: str, answer: dict[str, Any]) -> None:
        """Raise ThumbwheelError unless a remote model that was asked for is the one that answered."""
        wanted = None if model == "base" else self._remote(model)
        if wanted is not None and answer.get("model") != wanted:
            raise ThumbwheelError(
                "upstream_wrong_model", f"{wanted} was asked for, and {answer.get('model')!r:.200} answered.",
                "Is the model deployed, and not deleted there?", status=502,
            )  # fmt: skip

    @contextmanager
    def _answer(self, method: str, path: str, body: Any = None) -> Iterator[http.client.HTTPResponse]:
        """Yield the server's answer; whatever goes wrong on the way is a ThumbwheelError."""
        kind = http.client.HTTPSConnection if self._parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(self._parts.hostname or "", self._parts.port, timeout=CONNECT_SECONDS)
        content = None if body is None else json.dumps(body)
        try:
            with closing(connection):
                connection.connect()
                connection.sock.settimeout(READ_SECONDS)
                connection.request(method, self._parts.path + path, content, self._headers)
                response = connection.getresponse()
                if response.status != 200:
                    raise _refused(response.status, response.read(500).decode(errors="replace"))
                yield response
        except (OSError, http.client.HTTPException) as error:
            raise ThumbwheelError(
                "upstream_away", f"The model server at {self._parts.netloc} cannot be reached: {error}.",
                "Check THUMBWHEEL_MODEL_API and the server.", status=502,
            ) from error  # fmt: skip
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise ThumbwheelError(
                "upstream_unreadable", f"The model server at {self._parts.netloc} answered in another form.",
                "It must speak OpenAI's chat completions.", status=502,
            ) from error  # fmt: skip

    def check(self) -> None:
        """Raise ThumbwheelError unless the server lists its models."""
        with self._answer("GET", "/models") as response:
            response.read()

    def close(self) -> None:
        """Wait for no one; requests in flight end with their connections."""
        self._pool.shutdown(wait=False)


def _broken(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return messages whose control tokens the server takes for text: it reads template and contents as one."""
    return [{**message, "content": broken(str(message["content"])), **_broken_calls(message)} for message in messages]


def _broken_calls(message: dict[str, Any]) -> dict[str, Any]:
    calls = [
        {**call, "function": {name: broken(text) for name, text in call["function"].items()}}
        for call in message.get("tool_calls", ())
    ]
    return {"tool_calls": calls} if calls else {}


def _chunks(response: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    """Yield the chunks of a stream; raises ThumbwheelError where one says that it failed."""
    for line in response:
        if line.startswith(b"data: ") and not line.startswith(b"data: [DONE]"):
            chunk = json.loads(line[6:])
            if "error" in chunk:
                raise _refused(502, json.dumps(chunk["error"]))
            yield chunk


def _refused(status: int, detail: str) -> ThumbwheelError:
    return ThumbwheelError(
        "upstream_refused", f"The model server answered {status}: {detail}",
        "Check the request, the model's name and the server's key.", status=_PASSED_ON.get(status, 502),
    )  # fmt: skip
