"""Record the chat completions of an `openai` client as interactions, so that feedback can name them.

    from openai import OpenAI
    from thumbwheel.openai import record

    model = record(OpenAI(), thumbwheel.init(URL, SECRET_KEY, actor="u-81f3"))
    answer = model.chat.completions.create(model="gpt-x", messages=[...])
    answer.thumbwheel  # {"interaction_id": ..., "candidates": [{"candidate_id", "content"}]}, what the elements take

Works for `OpenAI` and `AsyncOpenAI`, streams included. An answer of the Thumbwheel gateway, which logged it itself, is
only given its `thumbwheel` attribute. Any other server's `id` names nothing here, since some give none and some the
same one twice: the interaction has an id of its own, which `thumbwheel` holds. Needs no import of openai: the client is
used by its shape. Nothing here raises into the host, and the answer is what the client would have returned.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Optional, Union

from thumbwheel.asynchronous import AsyncClient
from thumbwheel.client import Client
from thumbwheel.ids import uuid7

log = logging.getLogger("thumbwheel")

About = Callable[[Mapping[str, Any]], Mapping[str, Any]]
# Why a reply ended where the server does not say: it ended without a word, it failed, the host left it.
INCOMPLETE, ERROR, CANCELLED = "incomplete", "error", "cancelled"
# What the collector takes.
MAX_REASON = 64
# How the gateway's candidate ids begin.
_SIGNED = re.compile(r"tw\d+\.")
_SAMPLING = ("temperature", "top_p", "max_tokens", "max_completion_tokens", "seed", "stop", "n")


def record(model: Any, client: Union[Client, AsyncClient], about: Optional[About] = None) -> Any:
    """Let `create` and `parse` of `model.chat.completions` record what they return; return `model`.

    `about(arguments)` may return what each interaction carries besides: actor, conversation_id, labels, context,
    source, surface. Where it names the actor and the client has a `key_id`, the candidate ids are signed for that
    actor: only their feedback on them is verified. Clients made from this one with `with_options` are not recorded;
    pass them here too.
    """
    watch = _Recorder(client.client if isinstance(client, AsyncClient) else client, about)
    completions = model.chat.completions
    for name in ("create", "parse"):
        call = getattr(completions, name, None)
        if call is not None and not getattr(call, "_thumbwheel", False):
            setattr(completions, name, _recorded(call, watch))
    return model


def _recorded(call: Callable[..., Any], watch: _Recorder) -> Callable[..., Any]:
    """Return the call as one that records its answer."""
    if inspect.iscoroutinefunction(inspect.unwrap(call)):

        @functools.wraps(call)
        async def recorded(*args: Any, **arguments: Any) -> Any:
            answer = await call(*args, **arguments)
            return await watch.aside(watch.look, answer, arguments, AsyncStream)

    else:

        @functools.wraps(call)
        def recorded(*args: Any, **arguments: Any) -> Any:
            return watch.look(call(*args, **arguments), arguments, Stream)

    recorded._thumbwheel = True  # type: ignore[attr-defined]
    return recorded


class _Recorder:
    """Turns an answer and what was asked for it into an interaction."""

    def __init__(self, client: Client, about: Optional[About]) -> None:
        self._client = client
        self._about = about

    def look(self, answer: Any, arguments: Mapping[str, Any], wrapper: Any) -> Any:
        """Return the answer, marked and recorded; a stream wrapped, so that it is recorded at its end."""
        try:
            asked = _Asked(arguments, self._about)
            if arguments.get("stream"):
                return wrapper(answer, _Said(self, asked))
            choices = [_Choice.whole(choice) for choice in answer.choices]
            named = _interaction_id(answer, choices)
            answer.thumbwheel = self.settle(named, choices, asked, answer.model)
        except Exception as error:  # noqa: BLE001  (whatever it is, the host gets its answer)
            log.warning("a completion could not be recorded: %s", type(error).__name__)
        return answer

    async def aside(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """Call, in a thread where the client waits for the collector, so that the event loop goes on."""
        return await asyncio.to_thread(call, *arguments) if self._client.sync else call(*arguments)

    def names(self, interaction_id: str, choice: _Choice, asked: _Asked) -> str:
        """Return the reply's candidate id: the gateway's where it came from there, else a new one.

        A new one is issued for the actor that `about` names. The client's own actor is none to issue for: on a server
        it stands for the program, and the votes of those who read the reply would not be verified.
        """
        if not choice.candidate_id:
            choice.candidate_id = self._client.sign(interaction_id, asked.actor_id)
        return choice.candidate_id

    def settle(
        self, interaction_id: str, choices: list[_Choice], asked: _Asked, model: Any, ended: str = INCOMPLETE
    ) -> dict[str, Any]:
        """Record the interaction, unless the gateway did; return what the elements take.

        `ended` says why a reply ended for which the server gave no reason.
        """
        ours = not any(choice.from_gateway for choice in choices)
        shown = [{"candidate_id": self.names(interaction_id, c, asked), "content": c.content} for c in choices]
        if ours and choices:
            sampling = {name: asked.arguments[name] for name in _SAMPLING if _plain(asked.arguments.get(name))}
            candidates = [
                {
                    **one, **({"model": model} if isinstance(model, str) and model else {}),
                    "finish_reason": c.finish_reason or ended, **({"sampling": sampling} if sampling else {}),
                }
                for one, c in zip(shown, choices)
            ]  # fmt: skip
            messages = [_message(message) for message in asked.arguments.get("messages", [])]
            self._client.interaction(interaction_id, messages, candidates, **{"surface": "chat", **asked.fields})
        return {"interaction_id": interaction_id, "candidates": shown}


class _Asked:
    """What was asked of the model, and what the host says about it."""

    def __init__(self, arguments: Mapping[str, Any], about: Optional[About]) -> None:
        self.arguments = arguments
        self._about = about

    @functools.cached_property
    def fields(self) -> dict[str, Any]:
        """What the interaction carries besides; the host is asked once. Raises whatever the host's function raises."""
        return dict(self._about(self.arguments)) if self._about else {}

    @property
    def actor_id(self) -> Optional[str]:
        """Whom the replies are shown to; None where the host does not say."""
        try:
            actor = self.fields.get("actor")
            named = actor if isinstance(actor, str) else actor["id"] if actor else None
        except Exception:  # noqa: BLE001  (it is told where the interaction is recorded)
            return None
        return named if named and isinstance(named, str) else None


class _Choice:
    """One reply as far as it has come."""

    def __init__(self) -> None:
        self.content: Optional[str] = None
        self.finish_reason: Optional[str] = None
        self.candidate_id: Optional[str] = None
        self.from_gateway = False

    @classmethod
    def whole(cls, choice: Any) -> _Choice:
        """Return the reply of an answer that was not streamed."""
        made = cls()
        made.add(choice, choice.message)
        return made

    def add(self, choice: Any, part: Any) -> None:
        """Take in a choice of an answer, or of a chunk with its delta."""
        text = getattr(part, "content", None)
        if isinstance(text, str):
            self.content = (self.content or "") + text
        reason = getattr(choice, "finish_reason", None)
        self.finish_reason = str(reason)[:MAX_REASON] if reason else self.finish_reason
        given = getattr(choice, "candidate_id", None)
        if isinstance(given, str) and _SIGNED.match(given):
            self.candidate_id, self.from_gateway = given, True


def _interaction_id(answer: Any, choices: Iterable[_Choice]) -> str:
    """Return the gateway's id where the answer came from there, else a new one."""
    return str(answer.id) if any(choice.from_gateway for choice in choices) else uuid7()


class _Said:
    """What a stream has said; recorded once, at its end or when the host leaves it."""

    def __init__(self, recorder: _Recorder, asked: _Asked) -> None:
        self._recorder = recorder
        self._asked = asked
        self._choices: dict[int, _Choice] = {}
        self._id = ""
        self._model: Any = None
        self._done = False

    @property
    def about(self) -> Optional[dict[str, Any]]:
        """The interaction's ids and texts so far; None before the first chunk."""
        if not self._id:
            return None
        shown = [
            {"candidate_id": self._recorder.names(self._id, choice, self._asked), "content": choice.content}
            for _, choice in sorted(self._choices.items())
        ]
        return {"interaction_id": self._id, "candidates": shown}

    def add(self, chunk: Any) -> None:
        """Take in a chunk."""
        try:
            self._model = self._model or chunk.model
            for choice in chunk.choices:
                self._choices.setdefault(choice.index or 0, _Choice()).add(choice, choice.delta)
            # The gateway signs each reply in its first chunk.
            if self._choices and not self._id:
                self._id = _interaction_id(chunk, self._choices.values())
        except Exception as error:  # noqa: BLE001  (whatever it is, the host gets its answer)
            log.warning("a chunk could not be recorded: %s", type(error).__name__)

    def end(self, ended: str) -> None:
        """Record what was said; `ended` is why a reply ended for which no chunk said it."""
        if self._done or not self._id:
            return
        self._done = True
        try:
            choices = [choice for _, choice in sorted(self._choices.items())]
            self._recorder.settle(self._id, choices, self._asked, self._model, ended)
        except Exception as error:  # noqa: BLE001  (whatever it is, the host gets its answer)
            log.warning("a stream could not be recorded: %s", type(error).__name__)

    async def end_aside(self, ended: str) -> None:
        """Record what was said, without holding up the event loop."""
        await self._recorder.aside(self.end, ended)


class _Wrapped:
    """Passes everything on to the stream; `thumbwheel` says what was said so far."""

    def __init__(self, stream: Any, said: _Said) -> None:
        self._stream = stream
        self._said = said

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @property
    def thumbwheel(self) -> Optional[dict[str, Any]]:
        """Ids and texts so far, as the elements take them; None before the first chunk."""
        return self._said.about


class Stream(_Wrapped):
    """A recorded `openai.Stream`."""

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        try:
            chunk = next(self._stream)
        except BaseException as problem:
            self._said.end(_ending(problem))
            raise
        self._said.add(chunk)
        return chunk

    def __enter__(self) -> Stream:
        self._stream.__enter__()
        return self

    def __exit__(self, *problem: Any) -> Any:
        self._said.end(CANCELLED)
        return self._stream.__exit__(*problem)

    def close(self) -> None:
        """Leave the stream; what was said so far is recorded."""
        self._said.end(CANCELLED)
        self._stream.close()


class AsyncStream(_Wrapped):
    """A recorded `openai.AsyncStream`."""

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> Any:
        try:
            chunk = await self._stream.__anext__()
        except BaseException as problem:
            await self._said.end_aside(_ending(problem))
            raise
        self._said.add(chunk)
        return chunk

    async def __aenter__(self) -> AsyncStream:
        await self._stream.__aenter__()
        return self

    async def __aexit__(self, *problem: Any) -> Any:
        await self._said.end_aside(CANCELLED)
        return await self._stream.__aexit__(*problem)

    async def close(self) -> None:
        """Leave the stream; what was said so far is recorded."""
        await self._said.end_aside(CANCELLED)
        await self._stream.close()


def _ending(problem: BaseException) -> str:
    """Return why a stream ended that raised this."""
    if isinstance(problem, (StopIteration, StopAsyncIteration)):
        return INCOMPLETE
    return ERROR if isinstance(problem, Exception) else CANCELLED


def _message(message: Any) -> dict[str, Any]:
    """Return a message as plain JSON; hosts also pass back the objects an answer held."""
    if hasattr(message, "model_dump"):
        message = message.model_dump(exclude_none=True)
    kept = ("role", "content", "name", "tool_calls", "tool_call_id")
    plain = {name: message[name] for name in kept if message.get(name) is not None}
    return {"content": None, **plain}


def _plain(value: Any) -> bool:
    """Say whether a setting was given: openai has its own mark for those that were not."""
    return isinstance(value, (int, float, str, list, tuple)) and not isinstance(value, bool)
