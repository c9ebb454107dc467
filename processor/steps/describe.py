"""In: the events of one interaction. Out: which description of it counts, the rows of it and of its candidates.

The gateway's wins, then a secret key's, then an explicit `interaction`, then inline content, then the earliest.
Candidates are never merged across descriptions.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import UNSET

from contract.envelope import CandidateText, Message, text_of
from contract.events import Interaction
from contract.finish_reasons import INCOMPLETE, calls_tool, is_cut
from processor.rows import CandidateRow, InteractionRow, new_row
from processor.steps.batch import Copy
from processor.steps.normalise import blank, last_user_text, prompt_hash

_json = msgspec.json.Encoder(order="sorted")
_order = attrgetter("order")


class Description:
    """The description of one interaction that counts, and what follows from it for training."""

    __slots__ = ("candidates", "copy", "hash", "messages", "prompt_text", "truncated", "trusted", "why_not")

    def __init__(self, copy: Copy) -> None:
        event: Any = copy.event
        self.copy = copy
        self.messages: list[Message] = event.messages
        self.candidates: dict[str, Candidate] = {
            given.candidate_id: _candidate(given, position) for position, given in enumerate(_shown_order(event))
        }
        self.trusted = event.via != "public"
        self.truncated = bool(getattr(event, "truncated", False))
        self.prompt_text = last_user_text(self.messages)
        self.hash = prompt_hash(self.messages)
        self.why_not = self._why_not()

    def _why_not(self) -> str | None:
        """Return why nothing of this interaction trains, or None."""
        if not self.trusted:
            return "untrusted"
        if self.truncated:
            return "truncated_prompt"
        for message in self.messages:
            # A turn that calls tools may say nothing else; what the tools answered is text like any other.
            if text_of(message.content) is None and not (message.content is None and message.tool_calls):
                return "not_text"
        return "no_prompt" if self.prompt_text is None or blank(self.prompt_text) else None


class Candidate(msgspec.Struct, frozen=True, eq=False, gc=False):
    """One reply as shown. `text` is None unless it is plain text; `content` is text, or the parts as JSON."""

    candidate_id: str
    position: int
    text: str | None
    content: str | None
    model: str | None
    finish_reason: str | None
    truncated: bool
    calls_tool: bool
    sampling: dict[str, Any] | None


def _candidate(given: CandidateText, position: int) -> Candidate:
    content = text = text_of(given.content)
    if text is None and given.content is not None:
        content = _json.encode(given.content).decode()
    reason = given.finish_reason
    told = None if reason is UNSET else reason or INCOMPLETE
    return Candidate(
        given.candidate_id, position, text, content, given.model, told, is_cut(reason), calls_tool(reason),
        given.sampling,
    )  # fmt: skip


def describe(kept: Sequence[Copy]) -> tuple[Description | None, list[Copy]]:
    """Return the description that counts, and the others that say something else."""
    if len(kept) == 1:
        return (Description(kept[0]), []) if describes(kept[0]) else (None, [])
    found = [copy for copy in kept if describes(copy)]
    if not found:
        return None, []
    best = min(found, key=description_rank)
    told = _told(best)
    return Description(best), [copy for copy in found if copy is not best and _told(copy) != told]


def describes(copy: Copy) -> bool:
    """Say whether the event tells what was asked and shown."""
    return bool(getattr(copy.event, "messages", None))


def description_rank(copy: Copy) -> tuple[bool, bool, bool, int, str]:
    """Order descriptions: the one that counts comes first."""
    via = copy.event.via
    return (via != "gateway", via == "public", not isinstance(copy.event, Interaction), *copy.order)


def _told(copy: Copy) -> tuple[Any, Any]:
    event: Any = copy.event
    return event.messages, event.candidates or []


def _shown_order(event: Any) -> list[CandidateText]:
    candidates: list[CandidateText] = event.candidates or []
    order: list[str] = getattr(event, "order", None) or []
    if not order:
        return candidates
    place = {candidate_id: position for position, candidate_id in enumerate(order)}
    return sorted(candidates, key=lambda candidate: place.get(candidate.candidate_id, len(place)))


def interaction_row(kept: Sequence[Copy], description: Description | None) -> InteractionRow:
    """Return the row of `interactions`; of an orphan, what its feedback tells."""
    conversation = _conversation(kept)
    if description is None:
        first = min(kept, key=_order)
        return new_row(InteractionRow, (
            str(first.event.project), first.interaction_key, first.event.interaction_id, conversation, None,
            first.event.source, first.event.labels, None, None, None, None, None, False, False, None,
            first.occurred, first.received, False, first.partition,
        ))  # fmt: skip
    copy = description.copy
    event: Any = copy.event
    trial = getattr(event, "trial", None)
    return new_row(InteractionRow, (
        event.project, copy.interaction_key, event.interaction_id, event.conversation_id or conversation,
        getattr(event, "surface", None), event.source, event.labels, _json.encode(description.messages).decode(),
        description.prompt_text, description.hash, event.event_id, event.via, description.trusted,
        description.truncated, None if trial is None else _json.encode(trial).decode(),
        copy.occurred, copy.received, True, copy.partition,
    ))  # fmt: skip


def _conversation(kept: Sequence[Copy]) -> str | None:
    """Return the conversation that was named first."""
    naming = [copy for copy in kept if copy.event.conversation_id]
    return min(naming, key=_order).event.conversation_id if naming else None


def candidate_rows(description: Description) -> list[CandidateRow]:
    """Return the rows of `candidates`."""
    event: Any = description.copy.event
    key = description.copy.interaction_key
    return [
        new_row(CandidateRow, (
            event.project, key, event.interaction_id, c.candidate_id, c.position, c.content, c.model, c.finish_reason,
            None if c.sampling is None else _json.encode(c.sampling).decode(),
        ))
        for c in description.candidates.values()
    ]  # fmt: skip
