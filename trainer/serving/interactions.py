"""The `interaction` event of what the gateway showed: built, shortened where too large, appended."""

from __future__ import annotations

import hashlib
import logging
from datetime import UTC, datetime
from typing import Any

import msgspec
from prometheus_client import Counter

from eventlog.checks import MAX_EVENT_BYTES
from eventlog.envelope import Actor, CandidateText, Message
from eventlog.errors import LogUnavailable
from eventlog.events import Interaction, Trial, encode, stamp
from eventlog.ids import uuid7
from eventlog.log import Log, append_events
from trainer.serving.engine import Reply
from trainer.serving.wire import Draw, ThumbwheelPart, WireMessage

UNLOGGED = Counter("thumbwheel_gateway_unlogged_total", "Interactions that could not be logged")
LOGGED = Counter("thumbwheel_gateway_logged_total", "Interactions that were logged")
SYSTEM = Actor("gateway", "system")
log_lines = logging.getLogger(__name__)


class Interactions:
    """Writes what was shown to the log."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def record(self, event: Interaction, project: str, key_id: str) -> bool:
        """Append the interaction; False, counted, when the log did not confirm it."""
        stamped = stamp(shortened(event), project=project, key_id=key_id, via="gateway", verified=True)
        try:
            positions = append_events(self._log, [stamped])
        except LogUnavailable:
            positions = [None]
        if positions[0] is None:
            UNLOGGED.inc()
            log_lines.warning("An interaction was not logged: the log did not confirm it.")
            return False
        LOGGED.inc()
        return True


def interaction_event(
    request: Draw, interaction_id: str, surface: str, candidates: list[CandidateText], trial: Trial | None = None
) -> Interaction:
    """Return the event for these replies, in the order they are shown."""
    part: ThumbwheelPart = request.thumbwheel
    return Interaction(
        event_id=str(uuid7()), occurred_at=datetime.now(UTC), actor=part.actor or SYSTEM,
        interaction_id=interaction_id, conversation_id=part.conversation_id, source=part.source, labels=part.labels,
        context=part.context, messages=[_message(m) for m in request.messages], candidates=candidates,
        surface=part.surface or surface, order=[c.candidate_id for c in candidates], trial=trial,  # type: ignore[arg-type]
    )  # fmt: skip


def _message(message: WireMessage) -> Message:
    return Message(message.role, message.content, message.name, message.tool_calls, message.tool_call_id)


def candidate(candidate_id: str, reply: Reply, model: str, sampling: dict[str, Any]) -> CandidateText:
    """Return one shown reply with its provenance."""
    return CandidateText(candidate_id, reply.text, model, reply.finish_reason, sampling)


def shortened(event: Interaction) -> Interaction:
    """Return the event within the size limit: oldest messages left out first, `truncated` and a digest kept."""
    if len(encode(event)) <= MAX_EVENT_BYTES - 1024:
        return event
    digest = hashlib.sha256(msgspec.json.encode(event.messages)).hexdigest()
    messages = list(event.messages)
    while len(messages) > 1:
        messages.pop(0)
        event = msgspec.structs.replace(event, messages=messages, truncated=True, digest=digest)
        if len(encode(event)) <= MAX_EVENT_BYTES - 1024:
            return event
    last = messages[0]
    room = max(
        1000, MAX_EVENT_BYTES - 8192 - len(encode(msgspec.structs.replace(event, messages=[Message("user", "")])))
    )
    text = last.content if isinstance(last.content, str) else msgspec.json.encode(last.content).decode()
    cut = text.encode()[-(room // 2) :].decode(errors="ignore")
    return msgspec.structs.replace(event, messages=[Message(last.role, cut)], truncated=True, digest=digest)
