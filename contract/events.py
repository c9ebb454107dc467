"""What an event is: one msgspec Struct per type, a strict decoder, and the stamp every appender sets.

In: bytes or a dict from outside. Out: a frozen Struct, or an EventError that says what to do. The JSON Schema
in `sdk/schema/events.v1.json` is generated from these Structs (`python -m contract.schema`).
"""

from __future__ import annotations

import json
import re
import uuid
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar, Union

import msgspec
from msgspec import UNSET, Meta, Struct
from msgspec.structs import replace

from contract.checks import MAX_DEPTH, MAX_EVENT_BYTES, check_event, check_storable, split_path
from contract.curation.answers import Adjudication, Annotation, Feedback, Note, Outcome, Review, ShortText
from contract.curation.definitions import (
    BatchDrawn,
    BatchVerdict,
    DefinitionGuideline,
    DefinitionLabel,
    DefinitionSource,
    DefinitionTask,
    GoldSet,
    MemberPaused,
    MemberQualified,
    MemberResumed,
    TaskItems,
    TaskState,
)
from contract.envelope import CandidateText, Envelope, Label, Message, WireId
from contract.errors import EventError
from contract.facts import (
    DatasetBuilt,
    Forget,
    ModelChallenger,
    ModelHeld,
    ModelPromoted,
    ModelRegistered,
    ModelRejected,
    ModelRolledBack,
    RequestPromote,
    RequestRollBack,
    RequestTrain,
    RunFailed,
    RunFinished,
    RunProgress,
    RunStarted,
)
from contract.fast_decoding import ids_in, twin, well_spelled

Shown = Annotated[list[WireId], Meta(min_length=2, max_length=8)]


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


class Judgement(Feedback, frozen=True, kw_only=True, tag="judgement"):
    """An AI judge's verdict; never counted in the support rate."""

    shown: Shown
    outcome: Outcome
    chosen: WireId | None = None
    judge: str
    swapped_agrees: bool = False


Event = Union[  # noqa: UP007  (msgspec reads the union; a chain of 39 bars reads worse)
    Interaction, Thumb, Choice, Pick, Edit, Retract, Annotation, Judgement, Review, Adjudication, Note,
    RunStarted, RunProgress, RunFinished, RunFailed,
    ModelRegistered, ModelChallenger, ModelHeld, ModelRejected, ModelPromoted, ModelRolledBack,
    DatasetBuilt, RequestTrain, RequestPromote, RequestRollBack, Forget,
    DefinitionLabel, DefinitionGuideline, DefinitionSource, DefinitionTask, TaskItems, TaskState, GoldSet,
    MemberPaused, MemberResumed, MemberQualified, BatchDrawn, BatchVerdict,
]  # fmt: skip
FeedbackEvent = Thumb | Choice | Pick | Edit | Retract | Annotation | Judgement | Review | Adjudication | Note
E = TypeVar("E", bound=Envelope)

STRUCTS: dict[str, type[Envelope]] = {str(c.__struct_config__.tag): c for c in Event.__args__}  # type: ignore[attr-defined]
STAMPED_FIELDS = ("received_at", "project", "key_id", "via", "verified", "sent_at")
for _name, _struct in STRUCTS.items():
    # Asked for again and again: looking it up costs ten times as much.
    _struct.type = _name  # type: ignore[method-assign,assignment]
_KNOWN = {name: frozenset(cls.__struct_fields__) | {"type"} for name, cls in STRUCTS.items()}
_encoder = msgspec.json.Encoder(order="sorted", decimal_format="string")
# As `str(uuid.UUID(...))` spells one; making the object costs ten times as much as this.
_CANONICAL_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\Z")
_UNDECODABLE = (msgspec.MsgspecError, RecursionError, UnicodeError, ValueError)
_log_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
_quick_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(
    Union[tuple(twin(struct, tag=name) for name, struct in STRUCTS.items())]  # noqa: UP007  (made at run time)
)


def encode(event: Envelope) -> bytes:
    """Return the event as canonical JSON: sorted keys, defaults left out."""
    return _encoder.encode(event)


def decode_stored(raw: bytes) -> Event:
    """Decode an event from the log, stamps included; raise EventError when it is not one."""
    try:
        event: Event = _quick_decoder.decode(raw)
        if well_spelled(ids_in(event)):
            return event
    except _UNDECODABLE:
        pass
    try:
        # The patterns of the ids say what is wrong with one.
        return _log_decoder.decode(raw)
    except _UNDECODABLE as error:
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
        _name_what_is_unstorable(raw)
        raise EventError("invalid_json", f"Not valid JSON: {error}", "Send UTF-8 JSON.") from error


def _name_what_is_unstorable(raw: bytes) -> None:
    """Raise the EventError of JSON that the quick decoder calls malformed for a text or value that cannot be stored."""
    try:
        value = json.loads(raw.decode("utf-8"))
        check_storable(value, 0)
    except RecursionError as error:
        raise EventError("too_deep", "The JSON is nested too deeply.", f"Stay within {MAX_DEPTH} levels.") from error
    except ValueError:
        return


def _from_dict(body: dict[str, Any]) -> Event:
    event_type = body.get("type")
    known = _KNOWN.get(event_type) if isinstance(event_type, str) else None
    if known is None:
        raise EventError(
            "unknown_type", f"Unknown event type {str(event_type)[:64]!r}.",
            f"Use one of: {', '.join(sorted(STRUCTS))}.", "type",
        )  # fmt: skip
    check_storable(body, 0)
    if unknown := body.keys() - known:
        extra = body.get("extra")
        merged = {**(extra if isinstance(extra, dict) else {}), **{name: body[name] for name in unknown}}
        body = {name: value for name, value in body.items() if name in known} | {"extra": merged}
    body = {name: value for name, value in body.items() if name not in STAMPED_FIELDS}
    try:
        event: Event = msgspec.convert(body, STRUCTS[str(event_type)])  # type: ignore[assignment]
    except (msgspec.ValidationError, RecursionError) as error:
        message, field = split_path(str(error))
        raise EventError("invalid_event", message, "See the event reference for this type.", field) from error
    check_event(event)
    return event


def named_candidates(event: Envelope) -> list[str]:
    """Return the candidate ids a feedback event names, in order."""
    shown = getattr(event, "shown", None)
    if shown:
        return list(shown)
    candidate = getattr(event, "candidate_id", None)
    return [candidate] if candidate else []


def stamp(
    event: E, *, project: str, key_id: str, via: str, received_at: datetime | None = None, verified: bool = False,
    sent_at: datetime | None = None,
) -> E:  # fmt: skip
    """Return the event with what the appender adds, once: the only place that sets these fields.

    Under a public key a candidate's `model` is dropped; a `trial` stays only when the gateway says so.
    """
    candidates = getattr(event, "candidates", None)
    if via == "public" and candidates:
        event = replace(event, candidates=[replace(candidate, model=None) for candidate in candidates])
    if via != "gateway" and getattr(event, "trial", None) is not None:
        event = replace(event, trial=None)
    if event.occurred_at.tzinfo is not UTC:
        event = replace(event, occurred_at=event.occurred_at.astimezone(UTC))
    if not _CANONICAL_UUID.match(event.event_id):
        event = replace(event, event_id=str(uuid.UUID(event.event_id)))
    if isinstance(event, Retract):
        event = replace(event, target=str(uuid.UUID(event.target)))
    return replace(
        event, received_at=received_at or datetime.now(UTC), project=project, key_id=key_id, via=via, verified=verified,
        sent_at=sent_at or UNSET,
    )  # fmt: skip
