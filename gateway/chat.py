"""POST /v1/chat/completions: OpenAI's wire, whole or streamed, logged as an interaction."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from contract.errors import ThumbwheelError
from contract.finish_reasons import CANCELLED, ERROR, for_openai
from gateway.interactions import Interactions, candidate, interaction_event
from gateway.wire import ChatRequest, for_template, openai_error
from inference.replies import Generation, Generator, Reply

log_lines = logging.getLogger(__name__)


@dataclass
class Completion:
    """One completion under way: what was asked, by whom, and the ids it will be known by."""

    request: ChatRequest
    model: str
    interaction_id: str
    candidate_ids: list[str]
    project: str
    key_id: str
    thinking: bool | None = None
    created: int = field(default_factory=lambda: int(time.time()))

    def head(self, kind: str) -> dict[str, Any]:
        """Return what every answer and chunk begins with; `model` is the name that was asked for."""
        return {"id": self.interaction_id, "object": kind, "created": self.created, "model": self.request.model}

    def generation(self) -> Generation:
        """Return what to ask of the engine."""
        models = [self.model] * len(self.candidate_ids)
        return Generation(for_template(self.request.messages), models, self.request.sampling(self.thinking))

    def store(self, interactions: Interactions, replies: list[Reply]) -> None:
        """Log the interaction unless told not to; a log that is away is counted and fails nothing."""
        if self.request.stored():
            recorded = self.request.sampling(self.thinking).recorded()
            shown = [
                candidate(i, reply, self.model, recorded) for i, reply in zip(self.candidate_ids, replies, strict=True)
            ]
            event = interaction_event(self.request, self.interaction_id, "chat", shown)
            interactions.record(event, self.project, self.key_id)


def whole(completion: Completion, generator: Generator, interactions: Interactions) -> dict[str, Any]:
    """Return the whole completion; a log that is away never fails it."""
    replies = generator.generate(completion.generation())
    completion.store(interactions, replies)
    choices = [
        {
            "index": index, "candidate_id": candidate_id, "finish_reason": for_openai(reply.finish_reason),
            "logprobs": None, "message": {"role": "assistant", "content": reply.text, "refusal": None},
        }
        for index, (candidate_id, reply) in enumerate(zip(completion.candidate_ids, replies, strict=True))
    ]  # fmt: skip
    return completion.head("chat.completion") | {"choices": choices, "usage": _usage(replies)}


def _usage(replies: list[Reply]) -> dict[str, int]:
    prompt, written = replies[0].prompt_tokens, sum(reply.tokens for reply in replies)
    return {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}


class Stream:
    """Server-sent events of one completion, and the interaction logged before the last of them.

    A client that leaves has the server call `close`: what was sent is logged, the engine drops the rows.
    """

    def __init__(self, completion: Completion, generator: Generator, interactions: Interactions) -> None:
        self._completion = completion
        self._generator = generator
        self._interactions = interactions
        self._events: queue.Queue[Any] = queue.Queue()
        self._sent = [""] * len(completion.candidate_ids)
        self._logged = False
        self._request = completion.generation()
        self._request.on_text = lambda index, text: self._events.put((index, text))
        self._first: Any = None

    def begin(self) -> None:
        """Have the replies written; returns with the first piece, so that a refusal still has its own status."""
        threading.Thread(target=self._write, name="stream", daemon=True).start()
        self._first = self._events.get()
        if isinstance(self._first, ThumbwheelError):
            raise self._first

    def _write(self) -> None:
        try:
            self._events.put(self._generator.generate(self._request))
        except ThumbwheelError as error:
            self._events.put(error)
        except Exception as error:
            log_lines.error("A stream failed: %s", type(error).__name__, exc_info=error)
            self._events.put(ThumbwheelError("internal_error", "The gateway failed.", "Try again.", status=500))

    def __iter__(self) -> Iterator[bytes]:
        """Yield the chunks; `begin` has been called."""
        completion, event = self._completion, self._first
        for index, candidate_id in enumerate(completion.candidate_ids):
            yield _chunk(completion, index, {"role": "assistant", "content": ""}, candidate_id=candidate_id)
        while isinstance(event, tuple):
            index, text = event
            yield _chunk(completion, index, {"content": text})
            self._sent[index] += text
            event = self._events.get()
        if isinstance(event, ThumbwheelError):
            self._store_sent(ERROR)
            yield b"data: " + msgspec.json.encode(openai_error(event)) + b"\n\n"
            return
        self._store(event)
        yield from _endings(completion, event)

    def close(self) -> None:
        """End it wherever it is; what was shown is logged as it was shown."""
        self._request.cancelled.set()
        self._store_sent(CANCELLED)

    def _store_sent(self, reason: str) -> None:
        if any(self._sent):
            self._store([Reply(text, reason, 0, 0) for text in self._sent])

    def _store(self, replies: list[Reply]) -> None:
        if not self._logged:
            self._logged = True
            self._completion.store(self._interactions, replies)


def _endings(completion: Completion, replies: list[Reply]) -> Iterator[bytes]:
    for index, reply in enumerate(replies):
        yield _chunk(completion, index, {}, finish_reason=for_openai(reply.finish_reason))
    if (completion.request.stream_options or {}).get("include_usage"):
        body = completion.head("chat.completion.chunk") | {"choices": [], "usage": _usage(replies)}
        yield b"data: " + msgspec.json.encode(body) + b"\n\n"
    yield b"data: [DONE]\n\n"


def _chunk(
    completion: Completion, index: int, delta: dict[str, str], candidate_id: str | None = None,
    finish_reason: str | None = None,
) -> bytes:  # fmt: skip
    choice: dict[str, Any] = {"index": index, "delta": delta, "finish_reason": finish_reason, "logprobs": None}
    if candidate_id:
        choice["candidate_id"] = candidate_id
    body = completion.head("chat.completion.chunk") | {"choices": [choice]}
    return b"data: " + msgspec.json.encode(body) + b"\n\n"
