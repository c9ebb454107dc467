"""What an event is: one msgspec Struct per type, a strict decoder, and the stamp every appender sets.

In: bytes or a dict from outside. Out: a frozen Struct, or an EventError that says what to do. The JSON Schema
in `sdk/schema/events.v1.json` is generated from these Structs (`python -m eventlog.schema`).
"""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar, Union

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from eventlog.errors import EventError

MAX_EVENT_BYTES = 256 * 1024
MAX_CONTEXT_BYTES = 2048
MAX_DEPTH = 64

WireId = Annotated[str, Meta(pattern=r"^[\x21-\x7e]{1,128}$", description="1 to 128 visible ASCII characters")]
Label = Annotated[str, Meta(min_length=1, max_length=200)]
ShortText = Annotated[str, Meta(max_length=4000)]
Outcome = Literal["chosen", "tie", "none"]
Shown = Annotated[list[WireId], Meta(min_length=2, max_length=8)]


class Actor(Struct, frozen=True, forbid_unknown_fields=False):
    """Who gave the feedback; `id` is pseudonymous."""

    id: WireId
    kind: Literal["user", "agent", "expert", "ai", "system"] = "user"


class Sdk(Struct, frozen=True):
    """The client library that sent the event."""

    name: Annotated[str, Meta(max_length=64)]
    version: Annotated[str, Meta(max_length=64)] = ""


class Message(Struct, frozen=True, omit_defaults=True):
    """One chat message; `content` is text, null, or a list of OpenAI parts."""

    role: Annotated[str, Meta(min_length=1, max_length=32)]
    content: str | list[dict[str, Any]] | None = None
    name: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None


class CandidateText(Struct, frozen=True, omit_defaults=True):
    """One reply that was shown. `sampling` records how it was drawn."""

    candidate_id: WireId
    content: str | list[dict[str, Any]] | None = None
    model: Annotated[str, Meta(max_length=200)] | None = None
    finish_reason: Annotated[str, Meta(max_length=64)] | None = None
    sampling: dict[str, Any] | None = None


class Trial(Struct, frozen=True):
    """The blind test an interaction belongs to; set by the gateway only.

    `counted` is true when both sides show the same number of replies under the same sampling settings;
    `duplicates` are candidates whose text stayed equal to an earlier one after being drawn again.
    """

    challenger: str
    baseline: str
    counted: bool
    sampling: dict[str, Any] = {}
    duplicates: list[str] = []


class Envelope(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """What every event carries. The last five fields are set once by whoever appends (`stamp`)."""

    event_id: str
    occurred_at: datetime
    actor: Actor
    conversation_id: WireId | None = None
    source: Annotated[str, Meta(max_length=200)] | None = None
    labels: Annotated[list[Label], Meta(max_length=50)] = []
    context: dict[str, Any] = {}
    sdk: Sdk | None = None
    extra: dict[str, Any] = {}
    received_at: datetime | UnsetType = UNSET
    project: str | UnsetType = UNSET
    key_id: str | UnsetType = UNSET
    via: str | UnsetType = UNSET
    verified: bool = False

    @property
    def type(self) -> str:
        """Return the event's type as spelled on the wire."""
        return str(self.__struct_config__.tag)


class Interaction(Envelope, frozen=True, kw_only=True, tag="interaction"):
    """What was asked and what was shown, in which order."""

    interaction_id: WireId
    messages: Annotated[list[Message], Meta(min_length=1, max_length=1000)]
    candidates: Annotated[list[CandidateText], Meta(min_length=1, max_length=8)]
    surface: Literal["chat", "choice", "workbench"] = "chat"
    order: list[WireId] = []
    truncated: bool = False
    digest: str | None = None
    trial: Trial | None = None


class Feedback(Envelope, frozen=True, kw_only=True):
    """What all feedback carries; inline `messages` and `candidates` imply the interaction."""

    interaction_id: WireId
    messages: Annotated[list[Message], Meta(min_length=1, max_length=1000)] | None = None
    candidates: Annotated[list[CandidateText], Meta(min_length=1, max_length=8)] | None = None


class Thumb(Feedback, frozen=True, kw_only=True, tag="thumb"):
    """A thumb up or down on one reply."""

    candidate_id: WireId
    value: Literal["up", "down"]
    reasons: Annotated[list[Label], Meta(max_length=20)] = []
    comment: ShortText | None = None


class Choice(Feedback, frozen=True, kw_only=True, tag="choice"):
    """The user picks among 2..8 answers, shown in this screen order."""

    shown: Shown
    outcome: Outcome
    chosen: WireId | None = None
    comment: ShortText | None = None


class Pick(Feedback, frozen=True, kw_only=True, tag="pick"):
    """An agent picks among blind replies at the workbench; `edited_text` is the final text."""

    shown: Shown
    outcome: Outcome
    chosen: WireId | None = None
    edited_text: str | None = None
    sent: bool = False
    dwell_ms: Annotated[int, Meta(ge=0, le=2**53)] | None = None
    comment: ShortText | None = None


class Edit(Feedback, frozen=True, kw_only=True, tag="edit"):
    """A corrected reply: a demonstration."""

    candidate_id: WireId
    text: Annotated[str, Meta(min_length=1)]


class Retract(Feedback, frozen=True, kw_only=True, tag="retract"):
    """Undo of an earlier event by the same actor; never a delete."""

    target: str


class Annotation(Feedback, frozen=True, kw_only=True, tag="annotation"):
    """Answers from the console."""

    answers: dict[str, Any] = {}
    candidate_id: WireId | None = None
    rating: float | None = None
    ranking: list[WireId] = []
    task_id: WireId | None = None


class Judgement(Feedback, frozen=True, kw_only=True, tag="judgement"):
    """An AI judge's verdict; never counted in the support rate."""

    shown: Shown
    outcome: Outcome
    chosen: WireId | None = None
    judge: str
    swapped_agrees: bool = False


class RunStarted(Envelope, frozen=True, kw_only=True, tag="run.started"):
    """A training run began."""

    run_id: str
    dataset_id: str | None = None
    method: str
    parent: str | None = None
    config: dict[str, Any] = {}
    request_id: str | None = None


class RunProgress(Envelope, frozen=True, kw_only=True, tag="run.progress"):
    """Metrics at a step."""

    run_id: str
    step: int
    total_steps: int
    metrics: dict[str, Any] = {}


class RunFinished(Envelope, frozen=True, kw_only=True, tag="run.finished"):
    """A run ended with an adapter."""

    run_id: str
    adapter_id: str | None = None
    metrics: dict[str, Any] = {}
    request_id: str | None = None


class RunFailed(Envelope, frozen=True, kw_only=True, tag="run.failed"):
    """A run ended without one."""

    run_id: str
    reason: str
    request_id: str | None = None


class ModelFact(Envelope, frozen=True, kw_only=True):
    """What happened to an adapter; `alias_version` is the alias file's version after it."""

    adapter_id: str
    run_id: str | None = None
    dataset_id: str | None = None
    parent: str | None = None
    baseline: str | None = None
    alias_version: int = 0
    reason: str | None = None
    metrics: dict[str, Any] = {}
    request_id: str | None = None


class ModelRegistered(ModelFact, frozen=True, kw_only=True, tag="model.registered"):
    """An adapter exists."""


class ModelChallenger(ModelFact, frozen=True, kw_only=True, tag="model.challenger"):
    """An adapter is under blind test."""


class ModelHeld(ModelFact, frozen=True, kw_only=True, tag="model.held"):
    """An adapter is kept back, with the reason."""


class ModelRejected(ModelFact, frozen=True, kw_only=True, tag="model.rejected"):
    """An adapter lost its blind test."""


class ModelPromoted(ModelFact, frozen=True, kw_only=True, tag="model.promoted"):
    """An adapter became the champion."""


class ModelRolledBack(ModelFact, frozen=True, kw_only=True, tag="model.rolled_back"):
    """The champion was taken back."""


class DatasetBuilt(Envelope, frozen=True, kw_only=True, tag="dataset.built"):
    """A dataset folder exists."""

    dataset_id: str
    digest: str
    offsets: dict[str, dict[str, int]] = {}
    parent: str | None = None
    counts: dict[str, Any] = {}


class RequestTrain(Envelope, frozen=True, kw_only=True, tag="request.train"):
    """A wish to train; the event id is the request id."""

    method: Literal["sft", "dpo", "kto", "auto"] = "auto"
    dataset_id: str | None = None
    params: dict[str, Any] = {}


class RequestPromote(Envelope, frozen=True, kw_only=True, tag="request.promote"):
    """A wish to make an adapter the champion."""

    adapter_id: str
    reason: str | None = None


class RequestRollBack(Envelope, frozen=True, kw_only=True, tag="request.roll_back"):
    """A wish to go back to the champion before."""

    reason: str | None = None
    adapter_id: str | None = None


class DefinitionLabel(Envelope, frozen=True, kw_only=True, tag="definition.label"):
    """What a label means."""

    path: Label
    title: str = ""
    description: str = ""


class DefinitionSource(Envelope, frozen=True, kw_only=True, tag="definition.source"):
    """A registered data source."""

    name: str
    description: str = ""
    weight: float = 1.0


class Forget(Envelope, frozen=True, kw_only=True, tag="forget"):
    """Take a person out: every event of that actor from before."""

    actor_digest: str
    before: datetime


Event = Union[
    Interaction, Thumb, Choice, Pick, Edit, Retract, Annotation, Judgement,
    RunStarted, RunProgress, RunFinished, RunFailed,
    ModelRegistered, ModelChallenger, ModelHeld, ModelRejected, ModelPromoted, ModelRolledBack,
    DatasetBuilt, RequestTrain, RequestPromote, RequestRollBack, DefinitionLabel, DefinitionSource, Forget,
]  # fmt: skip
FeedbackEvent = Thumb | Choice | Pick | Edit | Retract | Annotation | Judgement
E = TypeVar("E", bound=Envelope)

STRUCTS: dict[str, type[Envelope]] = {str(c.__struct_config__.tag): c for c in Event.__args__}  # type: ignore[attr-defined]
STAMPED_FIELDS = ("received_at", "project", "key_id", "via", "verified")
_KNOWN = {name: frozenset(cls.__struct_fields__) | {"type"} for name, cls in STRUCTS.items()}
_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\Z")
_SURROGATE = re.compile("[\ud800-\udfff]")
_encoder = msgspec.json.Encoder(order="sorted", decimal_format="string")
_log_decoder = msgspec.json.Decoder(Event)


def encode(event: Envelope) -> bytes:
    """Return the event as canonical JSON: sorted keys, defaults left out."""
    return _encoder.encode(event)


def decode_stored(raw: bytes) -> Event:
    """Decode an event from the log, stamps included; raise EventError when it is not one."""
    try:
        return _log_decoder.decode(raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeError, ValueError) as error:
        raise EventError("invalid_event", f"Not a stored event: {error}", "The record is kept as rejected.") from error


def decode_event(raw: bytes | dict[str, Any]) -> Event:
    """Decode one event from outside, unknown fields kept under `extra`; stamped fields are dropped.

    Raises EventError with codes invalid_json, invalid_event, unknown_type, too_large, unstorable_text.
    """
    if isinstance(raw, bytes | bytearray):
        if len(raw) > MAX_EVENT_BYTES:
            raise EventError(
                "too_large", f"The event has {len(raw)} bytes.", f"Keep one event within {MAX_EVENT_BYTES} bytes."
            )
        raw = _parse(bytes(raw))
    if not isinstance(raw, dict):
        raise EventError("invalid_event", "An event is a JSON object.", "Send {'type': ..., 'event_id': ..., ...}.")
    return _from_dict(raw)


def _parse(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw)
    except RecursionError as error:
        raise EventError("too_deep", "The JSON is nested too deeply.", f"Stay within {MAX_DEPTH} levels.") from error
    except (msgspec.DecodeError, UnicodeError, ValueError) as error:
        raise EventError("invalid_json", f"Not valid JSON: {error}", "Send UTF-8 JSON.") from error


def _from_dict(body: dict[str, Any]) -> Event:
    event_type = body.get("type")
    known = _KNOWN.get(event_type) if isinstance(event_type, str) else None
    if known is None:
        raise EventError(
            "unknown_type", f"Unknown event type {str(event_type)[:64]!r}.",
            f"Use one of: {', '.join(sorted(STRUCTS))}.", "type",
        )  # fmt: skip
    _check_storable(body, 0)
    if unknown := body.keys() - known:
        extra = body.get("extra")
        merged = {**(extra if isinstance(extra, dict) else {}), **{name: body[name] for name in unknown}}
        body = {name: value for name, value in body.items() if name in known} | {"extra": merged}
    body = {name: value for name, value in body.items() if name not in STAMPED_FIELDS}
    try:
        event = msgspec.convert(body, STRUCTS[str(event_type)])
    except (msgspec.ValidationError, RecursionError) as error:
        message, field = _split_path(str(error))
        raise EventError("invalid_event", message, "See the event reference for this type.", field) from error
    return _checked(event)


def _split_path(message: str) -> tuple[str, str | None]:
    """Split msgspec's "... - at `$.field`" into the message and the field's path."""
    text, found, path = message.partition(" - at `")
    if not found:
        missing = re.search(r"missing required field `([^`]+)`", message)
        return message, missing.group(1) if missing else None
    return text, path.rstrip("`").removeprefix("$.")


def _check_storable(value: Any, depth: int) -> None:
    """Refuse what the store cannot hold: depth over MAX_DEPTH, lone surrogates, NUL in text."""
    if depth > MAX_DEPTH:
        raise EventError("too_deep", "The event is nested too deeply.", f"Stay within {MAX_DEPTH} levels.")
    if isinstance(value, str):
        if "\x00" in value or _SURROGATE.search(value):
            raise EventError(
                "unstorable_text", "A text holds a NUL or half a surrogate pair.", "Send well-formed Unicode text."
            )
    elif isinstance(value, dict):
        for name, item in value.items():
            _check_storable(name, depth + 1)
            _check_storable(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check_storable(item, depth + 1)
    elif isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**64:
        raise EventError("unstorable_number", "A whole number needs more than 64 bits.", "Send it as text.")


def _checked(event: Any) -> Event:
    """Check what a type alone cannot say."""
    if not _UUID.match(event.event_id):
        raise EventError("invalid_event", "event_id is not a UUID.", "Send a UUID, version 7 if you can.", "event_id")
    if event.occurred_at.tzinfo is None:
        raise EventError(
            "invalid_event", "occurred_at has no time zone.", "Send RFC 3339, such as 2026-01-31T12:00:00Z.",
            "occurred_at",
        )  # fmt: skip
    if event.context and len(msgspec.json.encode(event.context)) > MAX_CONTEXT_BYTES:
        raise EventError(
            "invalid_event", "context is too large.", f"Keep it within {MAX_CONTEXT_BYTES} bytes.", "context"
        )
    if isinstance(event, Choice | Pick | Judgement):
        _check_vote(event)
    if isinstance(event, Retract) and not _UUID.match(event.target):
        raise EventError("invalid_event", "target is not an event id.", "Send the event_id to take back.", "target")
    candidates = getattr(event, "candidates", None)
    if candidates and len({c.candidate_id for c in candidates}) != len(candidates):
        raise EventError("invalid_event", "Two candidates share an id.", "Give each its own.", "candidates")
    if isinstance(event, Interaction) and event.order:
        if sorted(event.order) != sorted(c.candidate_id for c in event.candidates):
            raise EventError("invalid_event", "order does not name the candidates.", "Name each once.", "order")
    return event  # type: ignore[no-any-return]


def _check_vote(event: Choice | Pick | Judgement) -> None:
    if len(set(event.shown)) != len(event.shown):
        raise EventError("invalid_event", "shown names a candidate twice.", "Name each once.", "shown")
    if event.outcome == "chosen" and event.chosen not in event.shown:
        raise EventError("invalid_event", "chosen is not among shown.", "Send one of the ids in shown.", "chosen")
    if event.outcome != "chosen" and event.chosen is not None:
        raise EventError(
            "invalid_event", "chosen is set although nothing was chosen.", "Send null, or outcome 'chosen'.", "chosen"
        )


def named_candidates(event: Envelope) -> list[str]:
    """Return the candidate ids a feedback event names, in order."""
    shown = getattr(event, "shown", None)
    if shown:
        return list(shown)
    candidate = getattr(event, "candidate_id", None)
    return [candidate] if candidate else []


def stamp(
    event: E, *, project: str, key_id: str, via: str, received_at: datetime | None = None, verified: bool = False
) -> E:
    """Return the event with what the appender adds, once: the only place that sets these fields.

    Under a public key a candidate's `model` is dropped; a `trial` stays only when the gateway says so.
    """
    changes: dict[str, Any] = {
        "received_at": received_at or datetime.now(UTC),
        "project": project,
        "key_id": key_id,
        "via": via,
        "verified": verified,
    }
    candidates = getattr(event, "candidates", None)
    if via == "public" and candidates:
        changes["candidates"] = [msgspec.structs.replace(c, model=None) for c in candidates]
    if via != "gateway" and getattr(event, "trial", None) is not None:
        changes["trial"] = None
    changes["occurred_at"] = event.occurred_at.astimezone(UTC)
    changes["event_id"] = str(uuid.UUID(event.event_id))
    return msgspec.structs.replace(event, **changes)
