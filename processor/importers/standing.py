"""In: the log. Out: what earlier imports of a project said, so that an import knows what it changes.

The log is read once, from its beginning, and only what imports wrote is decoded.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import msgspec

from contract.errors import LogUnavailable
from contract.topics import EVENTS
from eventlog.held import read_held, spans_held
from eventlog.log import Log
from processor.importers.votes import Vote, vote_of

_READ_RECORDS = 5000
_BY_IMPORT = b'"via":"import"'


class _Actor(msgspec.Struct):
    id: str


class _Event(msgspec.Struct):
    """What is read of an imported event."""

    type: str
    event_id: str
    interaction_id: str
    project: str
    actor: _Actor
    candidate_id: str | None = None
    value: str | None = None
    chosen: str | None = None
    shown: list[str] = []
    target: str | None = None


_decoder = msgspec.json.Decoder(_Event)


class Standing:
    """What is in the log of a project's imports: interactions, the judgements in force, and those taken back."""

    def __init__(self) -> None:
        self._interactions: set[bytes] = set()
        self._votes: dict[bytes, bytes] = {}
        self._retracted: set[bytes] = set()

    def has_interaction(self, interaction_id: str) -> bool:
        """Say whether a question with these replies is there."""
        return uuid.UUID(interaction_id).bytes in self._interactions

    def add_interaction(self, interaction_id: str) -> None:
        """Note that a question with these replies is there from now on."""
        self._interactions.add(uuid.UUID(interaction_id).bytes)

    def has(self, vote: Vote) -> bool:
        """Say whether this judgement is in force."""
        return vote.mark in self._votes

    def event_of(self, vote: Vote) -> str | None:
        """Return the id of the event of a judgement in force, or None."""
        found = self._votes.get(vote.mark)
        return str(uuid.UUID(bytes=found)) if found else None

    def was_retracted(self, event_id: str) -> bool:
        """Say whether an import took this event back."""
        return uuid.UUID(event_id).bytes in self._retracted

    def note(self, event: _Event) -> None:
        """Take in one event, later ones last."""
        if event.type == "interaction":
            self._interactions.add(uuid.UUID(event.interaction_id).bytes)
        elif event.type == "retract" and event.target:
            self._retracted.add(uuid.UUID(event.target).bytes)
        elif event.type in ("choice", "thumb", "edit"):
            self._note_vote(event)

    def _note_vote(self, event: _Event) -> None:
        vote = vote_of(
            event.interaction_id, event.type, event.actor.id, candidate=event.candidate_id or "",
            value=event.value or "", chosen=event.chosen or "", shown=event.shown,
        )  # fmt: skip
        key = uuid.UUID(event.event_id).bytes
        if vote.named:
            self._votes.pop(vote.reversed.mark, None)
        while not vote.named and self._votes.get(vote.mark, key) != key:
            vote = vote.by(vote.actor, vote.nth + 1)
        self._votes[vote.mark] = key

    def settle(self) -> None:
        """Drop the judgements that were taken back."""
        if self._retracted:
            self._votes = {mark: key for mark, key in self._votes.items() if key not in self._retracted}


def read_standing(log: Log, project: str) -> Standing:
    """Return what the log holds of this project's imports. Raises LogUnavailable."""
    standing = Standing()
    for value in _imported(log):
        try:
            event = _decoder.decode(value)
            if event.project == project:
                standing.note(event)
        except (msgspec.MsgspecError, ValueError):
            continue
    standing.settle()
    return standing


def _imported(log: Log) -> Iterator[bytes]:
    spans = spans_held(log, (EVENTS,))
    silence = LogUnavailable("The log gives no more records.", "Is it reachable? Import the file again.")
    for records in read_held(log, spans, records=_READ_RECORDS, silence=silence):
        for record in records:
            if _BY_IMPORT in record.value:
                yield record.value
