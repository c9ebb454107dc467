"""Requests as they come over the wire: parsed strictly into Structs, each limit with its reason."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from contract.checks import MAX_CONTEXT_BYTES, check_storable, split_path
from contract.envelope import Actor, Label, WireId
from contract.errors import EventError, ThumbwheelError
from inference.messages import Messages, plain
from inference.replies import Sampling

MAX_BODY_BYTES = 4 * 1024 * 1024
MAX_REPLIES = 8
MAX_NEW_TOKENS = 4096
DEFAULT_NEW_TOKENS = 256

Temperature = Annotated[float, Meta(ge=0, le=2)]
TopP = Annotated[float, Meta(gt=0, le=1)]
Tokens = Annotated[int, Meta(ge=1, le=MAX_NEW_TOKENS)]
StopText = Annotated[str, Meta(min_length=1, max_length=200)]
StopTexts = Annotated[list[StopText], Meta(max_length=4)]
T = TypeVar("T", bound="Draw")
# OpenAI's clients choose the exception by status and show `type`.
_ERROR_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
# What no model here does, with the values that ask for nothing: refused, not left out silently.
_UNSUPPORTED: dict[str, tuple[Any, ...]] = {
    "tools": (None, []), "functions": (None, []), "logprobs": (None, False), "top_logprobs": (None, 0),
    "frequency_penalty": (None, 0), "presence_penalty": (None, 0), "logit_bias": (None, {}),
    "response_format": (None, {"type": "text"}), "audio": (None,), "modalities": (None, ["text"]),
}  # fmt: skip


class WireMessage(Struct, frozen=True):
    """One chat message in OpenAI's form; unknown fields are ignored."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[dict[str, Any]] | None = None
    name: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None


class Compare(Struct, frozen=True):
    """Which two models to show half of each, for a comparison that is reported but promotes nothing."""

    challenger: str
    baseline: str = "base"


class ThumbwheelPart(Struct, frozen=True):
    """The `thumbwheel` object of a request (`extra_body` of the openai client)."""

    interaction_id: WireId | None = None
    conversation_id: WireId | None = None
    actor: Actor | None = None
    source: Annotated[str, Meta(max_length=200)] | None = None
    labels: Annotated[list[Label], Meta(max_length=50)] = []
    context: dict[str, Any] = {}
    surface: Literal["chat", "choice", "workbench"] | None = None
    store: bool = True
    compare: Compare | None = None


class Draw(Struct, frozen=True, kw_only=True):
    """What both calls share."""

    messages: Annotated[list[WireMessage], Meta(min_length=1, max_length=1000)]
    temperature: Temperature | None = None
    top_p: TopP | None = None
    max_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    stop: StopText | StopTexts | None = None
    seed: int | None = None
    store: bool | None = None
    thumbwheel: ThumbwheelPart = ThumbwheelPart()

    def sampling(self, thinking: bool | None = None) -> Sampling:
        """Return the settings, defaults filled in (temperature 0.8, top_p 0.95); `thinking` is the project's."""
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        tokens = self.max_completion_tokens or self.max_tokens or DEFAULT_NEW_TOKENS
        temperature = 0.8 if self.temperature is None else self.temperature
        return Sampling(temperature, 0.95 if self.top_p is None else self.top_p, tokens, stop, self.seed, thinking)

    def stored(self) -> bool:
        """Say whether the interaction is logged."""
        return self.store is not False and self.thumbwheel.store


class ChatRequest(Draw, frozen=True, kw_only=True):
    """POST /v1/chat/completions."""

    model: Annotated[str, Meta(min_length=1, max_length=200)] = "champion"
    n: Annotated[int, Meta(ge=1, le=MAX_REPLIES)] | None = None
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None


class CandidatesRequest(Draw, frozen=True, kw_only=True):
    """POST /v1/candidates."""

    k: Annotated[int, Meta(ge=2, le=MAX_REPLIES)] = 4


def parse(raw: bytes, kind: type[T]) -> T:
    """Decode a body; raises ThumbwheelError 400 that names the field, 413 for one too large."""
    if len(raw) > MAX_BODY_BYTES:
        raise ThumbwheelError(
            "too_large", "The request is too large.", f"Stay within {MAX_BODY_BYTES} bytes.", status=413
        )
    try:
        body = msgspec.json.decode(raw)
        check_storable(body, 0)
        asked = msgspec.convert(body, kind)
    except msgspec.ValidationError as error:
        message, field = split_path(str(error))
        raise ThumbwheelError("invalid_request", message, "See the gateway's reference.", field) from error
    except (msgspec.DecodeError, UnicodeError, RecursionError, ValueError) as error:
        raise ThumbwheelError("invalid_json", f"Not valid JSON: {error}", "Send a JSON object.") from error
    except EventError as error:
        raise ThumbwheelError(error.code, error.message, error.hint, error.field) from error
    _check(body, asked)
    return asked


def _check(body: dict[str, Any], asked: Draw) -> None:
    for name, silent in _UNSUPPORTED.items():
        if name in body and body[name] not in silent:
            raise ThumbwheelError("unsupported_parameter", f"{name} is not supported.", "Leave it out.", name)
    if len(msgspec.json.encode(asked.thumbwheel.context)) > MAX_CONTEXT_BYTES:
        raise ThumbwheelError(
            "invalid_request", "context is too large.", f"Keep it within {MAX_CONTEXT_BYTES} bytes.",
            "thumbwheel.context",
        )  # fmt: skip


def openai_error(error: ThumbwheelError) -> dict[str, Any]:
    """Return the one error shape with OpenAI's `type` beside it."""
    body = error.as_dict()
    server = "server_error" if error.status >= 500 else "invalid_request_error"
    body["error"]["type"] = _ERROR_TYPES.get(error.status, server)
    return body


def for_template(messages: list[WireMessage]) -> Messages:
    """Return messages as a chat template takes them; raises ThumbwheelError where one holds more than text."""
    return plain([msgspec.structs.asdict(message) for message in messages])
