"""POST /v1/chat/completions: OpenAI's wire, whole or streamed, logged as an interaction."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from eventlog.envelope import CandidateText
from eventlog.errors import ThumbwheelError
from trainer.serving.engine import Generation, Generator, Reply
from trainer.serving.interactions import Interactions, candidate, interaction_event
from trainer.serving.wire import ChatRequest, for_template


@dataclass
class Completion:
    """One completion under way: what was asked, by whom, and the ids it will be known by."""

    request: ChatRequest
    model: str
    interaction_id: str
    candidate_ids: list[str]
    project: str
    key_id: str
    created: int = field(default_factory=lambda: int(time.time()))

    def head(self, kind: str) -> dict[str, Any]:
        """Return what every answer and chunk begins with; `model` is the name that was asked for."""
        return {"id": self.interaction_id, "object": kind, "created": self.created, "model": self.request.model}

    def generation(self) -> Generation:
        """Return what to ask of the engine."""
        models = [self.model] * len(self.candidate_ids)
        return Generation(for_template(self.request.messages), models, self.request.sampling())

    def store(self, interactions: Interactions, candidates: list[CandidateText]) -> bool:
        """Log the interaction unless told not to; True when nothing is left to log."""
        if not self.request.stored() or not candidates:
            return True
        event = interaction_event(self.request, self.interaction_id, "chat", candidates)
        return interactions.record(event, self.project, self.key_id)


def whole(completion: Completion, generator: Generator, interactions: Interactions) -> dict[str, Any]:
    """Return the whole completion; a log that is away never fails it."""
    replies = generator.generate(completion.generation())
    recorded = completion.request.sampling().recorded()
    completion.store(
        interactions,
        [candidate(i, r, completion.model, recorded) for i, r in zip(completion.candidate_ids, replies, strict=True)],
    )
    choices = [
        {
            "index": index, "candidate_id": candidate_id, "finish_reason": reply.finish_reason, "logprobs": None,
            "message": {"role": "assistant", "content": reply.text, "refusal": None},
        }
        for index, (candidate_id, reply) in enumerate(zip(completion.candidate_ids, replies, strict=True))
    ]  # fmt: skip
    return completion.head("chat.completion") | {"choices": choices, "usage": _usage(replies)}


def _usage(replies: list[Reply]) -> dict[str, int]:
    prompt, written = replies[0].prompt_tokens, sum(reply.tokens for reply in replies)
    return {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}


def streamed(completion: Completion, generator: Generator, interactions: Interactions) -> Iterator[bytes]:
    """Yield server-sent events; the interaction is logged before the last chunk, or with what was sent."""
    events: queue.Queue[Any] = queue.Queue()
    request = completion.generation()
    request.on_text = lambda index, text: events.put((index, text))
    sent = [""] * len(completion.candidate_ids)
    threading.Thread(target=_generate, args=(generator, request, events), daemon=True).start()
    logged = False
    try:
        for index, candidate_id in enumerate(completion.candidate_ids):
            yield _chunk(completion, index, {"role": "assistant", "content": ""}, candidate_id=candidate_id)
        while isinstance(event := events.get(), tuple):
            index, text = event
            sent[index] += text
            yield _chunk(completion, index, {"content": text})
        if isinstance(event, ThumbwheelError):
            yield b"data: " + msgspec.json.encode(event.as_dict()) + b"\n\n"
            return
        logged = completion.store(interactions, _written(completion, event, sent)) or True
        yield from _endings(completion, event)
    finally:
        request.cancelled.set()
        if not logged and any(sent):
            # The client left, or the engine failed half way: what was shown is logged as it was shown.
            completion.store(interactions, _written(completion, None, sent))


def _generate(generator: Generator, request: Generation, events: queue.Queue[Any]) -> None:
    try:
        events.put(generator.generate(request))
    except ThumbwheelError as error:
        events.put(error)


def _written(completion: Completion, replies: list[Reply] | None, sent: list[str]) -> list[CandidateText]:
    recorded = completion.request.sampling().recorded()
    if replies is None:
        replies = [Reply(text, "cancelled", 0, 0) for text in sent]
    return [candidate(i, r, completion.model, recorded) for i, r in zip(completion.candidate_ids, replies, strict=True)]


def _endings(completion: Completion, replies: list[Reply]) -> Iterator[bytes]:
    for index, reply in enumerate(replies):
        yield _chunk(completion, index, {}, finish_reason=reply.finish_reason)
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
