"""The `interaction` event of what the gateway showed: built, shortened where too large, appended."""

from __future__ import annotations

import hashlib
import logging
from datetime import UTC, datetime
from typing import Any

import msgspec
from prometheus_client import Counter

from contract.checks import MAX_EVENT_BYTES
from contract.envelope import Actor, CandidateText, Message
from contract.errors import LogUnavailable
from contract.events import Interaction, Trial, encode, stamp
from contract.ids import uuid7
from eventlog.log import Log, append_events
from gateway.wire import Draw, ThumbwheelPart, WireMessage
from inference.replies import Reply

UNLOGGED = Counter("thumbwheel_gateway_unlogged_total", "Interactions that could not be logged")
LOGGED = Counter("thumbwheel_gateway_logged_total", "Interactions that were logged")
# What an event may take before it is stamped, and the least of the last message that is kept.
ROOM = MAX_EVENT_BYTES - 1024
LEAST_PROMPT = 8192
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
    """Return the event within the size limit: oldest messages left out first, `truncated` and a digest kept.

    The last message is cut to its end where it alone is too large, replies to their beginning.
    """
    if len(encode(event)) <= ROOM:
        return event
    digest = hashlib.sha256(msgspec.json.encode(event.messages)).hexdigest()
    sizes = [len(msgspec.json.encode(message)) + 1 for message in event.messages]
    bare = msgspec.structs.replace(event, messages=event.messages[-1:], truncated=True, digest=digest)
    room = ROOM - len(encode(bare))
    first = len(sizes) - 1
    while first > 0 and sizes[first - 1] <= room:
        first -= 1
        room -= sizes[first]
    if room >= 0:
        return msgspec.structs.replace(bare, messages=event.messages[first:])
    last = event.messages[-1]
    text = last.content if isinstance(last.content, str) else msgspec.json.encode(last.content).decode()
    bare = msgspec.structs.replace(bare, messages=[Message(last.role, _fitting(text[::-1], LEAST_PROMPT)[::-1])])
    if len(encode(bare)) > ROOM:
        each = (ROOM - 2 * LEAST_PROMPT) // len(event.candidates)
        cut = [msgspec.structs.replace(c, content=_fitting(str(c.content), each)) for c in event.candidates]
        return msgspec.structs.replace(bare, candidates=cut)
    room = ROOM - len(encode(bare)) + LEAST_PROMPT
    return msgspec.structs.replace(bare, messages=[Message(last.role, _fitting(text[::-1], room)[::-1])])


def _fitting(text: str, room: int) -> str:
    """Return the longest beginning of the text that takes at most `room` bytes as JSON."""
    low, high = 0, min(len(text), room)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if len(msgspec.json.encode(text[:middle])) <= room else (low, middle - 1)
    return text[:low]
