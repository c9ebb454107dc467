"""From the arguments of a call to the event on the wire; field names are those of the wire contract."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Union

from thumbwheel.ids import uuid7
from thumbwheel.results import Problem
from thumbwheel.version import VERSION

if TYPE_CHECKING:
    from typing_extensions import Literal, TypedDict
else:
    TypedDict = dict

# The collector's cap for one event.
MAX_EVENT_BYTES = 256 * 1024

Event = dict[str, Any]
ActorLike = Union[str, Mapping[str, str]]

if TYPE_CHECKING:

    class Common(TypedDict, total=False):
        """What any call may carry beside its own fields."""

        event_id: str
        occurred_at: str | datetime
        actor: ActorLike
        conversation_id: str
        source: str
        labels: Sequence[str]
        context: Mapping[str, Any]

    class Feedback(Common, total=False):
        """What feedback may carry too: the interaction inline, for a reply the gateway did not write; who asked."""

        messages: Sequence[Mapping[str, Any]]
        candidates: Sequence[Mapping[str, Any]]
        campaign: str

    class Annotation(Feedback, total=False):
        """What `annotate` may say: by label in `answers`, or one of what is asked of any item. At least one of them."""

        label_versions: Mapping[str, int]
        candidate_id: str
        unit: str
        shown: Sequence[str]
        preference: Mapping[str, Any]
        ranking: Sequence[str | Sequence[str]]
        rating: float
        spans: Sequence[Mapping[str, Any]]
        correction: str
        skipped: str
        comment: str
        task_id: str
        task_version: int
        stage: int
        round: int
        slot: int
        suggestion_id: str
        suggestion_shown: Literal["none", "after", "before"]
        active_ms: int


class NotKept(Exception):
    """An event that cannot be sent; carries the Problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


def build(event_type: str, defaults: Mapping[str, Any], fields: Mapping[str, Any]) -> Event:
    """Return the event: defaults of the client, then the call's own fields; what is None is left out.

    `chosen` of a choice or pick stays although it is null. Raises NotKept without an actor.
    """
    event = {name: value for name, value in {**defaults, **fields}.items() if value is not None}
    if event_type in ("choice", "pick"):
        event["chosen"] = fields.get("chosen")
    actor = event.get("actor")
    if not actor:
        raise NotKept(Problem("actor", "The event names no actor.", "Pass actor to init() or to the call."))
    event["type"] = event_type
    event["actor"] = {"id": actor, "kind": "user"} if isinstance(actor, str) else dict(actor)
    event.setdefault("event_id", uuid7())
    event["event_id"] = str(event["event_id"])
    event["occurred_at"] = rfc3339(event.get("occurred_at"))
    event["sdk"] = {"name": "thumbwheel-python", "version": VERSION}
    return event


def rfc3339(moment: str | datetime | None) -> str:
    """Return a time as RFC 3339 in UTC; now for None. A datetime without a zone is local time."""
    if isinstance(moment, str):
        return moment
    moment = datetime.now(timezone.utc) if moment is None else moment.astimezone(timezone.utc)
    return moment.isoformat().replace("+00:00", "Z")


def encode(event: Event) -> bytes:
    """Return the event as JSON bytes; raises NotKept when it is no JSON, or too large for the collector."""
    try:
        text = json.dumps(event, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain)
        body = well_formed(text).encode()
    except (TypeError, ValueError, RecursionError) as error:
        problem = Problem("invalid_event", f"The event is no JSON ({type(error).__name__}).", "Send plain values.")
        raise NotKept(problem) from None
    if len(body) > MAX_EVENT_BYTES:
        raise NotKept(Problem("too_large", "The event is over 256 KiB.", "Shorten its messages."))
    return body


def well_formed(text: str) -> str:
    """Return the text with U+FFFD for each half of a surrogate pair, which no store takes; two halves in a row join."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _plain(value: Any) -> Any:
    """Let tuples, sets of labels and mappings of other libraries through."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return list(value)
    raise TypeError(type(value).__name__)
