"""In: what a row says. Out: the interaction and the judgement it stands for, under ids that follow from the content."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from contract.checks import MAX_EVENT_BYTES
from contract.events import Event, decode_event, encode, stamp
from contract.ids import derived_id, digest128, is_wire_id
from processor.importers.reading import RowError
from processor.importers.shapes import Said
from processor.steps.normalise import blank, composed, same_text
from processor.steps.votes import ANONYMOUS

# When a row happened is not known, and must not depend on when it is imported: the same row is the same event.
UNKNOWN_TIME = "1970-01-01T00:00:00Z"
_OTHER_THUMB = {"up": "down", "down": "up"}


@dataclass(frozen=True, slots=True)
class Vote:
    """A judgement: by whom, about which replies, and what it says. An edit, which is a demonstration, has no opposite.

    `nth`: of those who name nobody and say the same of the same, which one.
    """

    interaction_id: str
    kind: str
    about: str
    verdict: str
    opposite: str | None
    actor: str
    nth: int = 1

    @property
    def mark(self) -> bytes:
        """Return 16 bytes that are equal for equal judgements."""
        parts = (self.interaction_id, self.kind, self.about, self.verdict, self.actor, str(self.nth))
        return digest128("\x1f".join(parts).encode())

    @property
    def named(self) -> bool:
        """Say whether it is known who judged."""
        return self.actor != ANONYMOUS

    @property
    def reversed(self) -> Vote:
        """Return the judgement that says the opposite; itself where there is none."""
        if self.opposite is None:
            return self
        return replace(self, verdict=self.opposite, opposite=self.verdict, nth=1)

    def by(self, actor: str, nth: int = 1) -> Vote:
        """Return the same judgement by somebody else."""
        return replace(self, actor=actor, nth=nth)


def vote_of(
    interaction_id: str, kind: str, actor: str, *, candidate: str = "", value: str = "", chosen: str = "",
    shown: Sequence[str] = (),
) -> Vote:  # fmt: skip
    """Return the judgement a choice, thumb or edit event is."""
    if kind == "choice":
        other = next((each for each in shown if each != chosen), None)
        return Vote(interaction_id, kind, "", chosen, other, actor)
    return Vote(interaction_id, kind, candidate, value, _OTHER_THUMB.get(value), actor)


@dataclass(frozen=True)
class Imported:
    """What a row becomes. `identity` is what the event id of its judgement follows from."""

    said: Said
    vote: Vote
    ids: Mapping[str, str]
    identity: tuple[str, ...]
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def event_id(self) -> str:
        """Return the id of the judgement."""
        return str(derived_id(*self.identity))

    def interaction(self) -> dict[str, Any]:
        """Return the question and the replies, as an event before it is stamped."""
        interaction_id = self.vote.interaction_id
        return {
            "type": "interaction", "event_id": str(derived_id(interaction_id, "interaction")),
            "messages": self.said.messages,
            "candidates": [{"candidate_id": id, "content": reply} for reply, id in self.ids.items()],
            "actor": {"id": ANONYMOUS, "kind": "system"}, "surface": "chat",
        }  # fmt: skip

    def judgement(self, event_id: str) -> dict[str, Any]:
        """Return the judgement, as an event before it is stamped."""
        body = feedback(self.vote, event_id)
        if self.vote.kind == "edit":
            body["text"] = self.said.reply
        return body | ({"extra": self.extra} if self.extra else {})


def feedback(vote: Vote, event_id: str) -> dict[str, Any]:
    """Return the event a judgement is, before it is stamped; an edit lacks its text."""
    body: dict[str, Any] = {"type": vote.kind, "event_id": event_id, "actor": {"id": vote.actor, "kind": "expert"}}
    if vote.kind == "choice":
        return body | {
            "shown": sorted([vote.verdict, str(vote.opposite)]), "chosen": vote.verdict, "outcome": "chosen",
        }  # fmt: skip
    body["candidate_id"] = vote.about
    return body | ({"value": vote.verdict} if vote.kind == "thumb" else {})


def retraction(vote: Vote, target: str) -> dict[str, Any]:
    """Return the event that takes a judgement back, before it is stamped."""
    event_id = str(derived_id(target, "retract"))
    return {"type": "retract", "event_id": event_id, "actor": {"id": vote.actor, "kind": "expert"}, "target": target}


def read_vote(said: Said, project: str) -> Imported:
    """Return what a row becomes; raise RowError where it says nothing that can be learnt.

    Ids follow from the texts in one spelling of their accents (NFC); the texts stay as they are.
    """
    _check(said)
    replies = [said.reply] if said.rejected is None else sorted([said.reply, said.rejected], key=composed)
    # Which reply stands first follows from the texts, so that position tells nothing about the choice.
    messages = [{**message, "content": composed(message["content"])} for message in said.messages]
    identity = json.dumps([messages, [composed(reply) for reply in replies]], ensure_ascii=True, sort_keys=True)
    interaction_id = str(derived_id(project, "import", identity))
    ids = {reply: f"{interaction_id}.{position}" for position, reply in enumerate(replies)}
    actor = _actor(project, said.annotator)
    kind = "choice" if said.rejected is not None else "edit" if said.label is None else "thumb"
    value = "" if kind != "thumb" else "up" if said.label else "down"
    vote = vote_of(
        interaction_id, kind, actor, candidate=ids[said.reply], value=value, chosen=ids[said.reply],
        shown=list(ids.values()),
    )  # fmt: skip
    named = (actor,) if vote.named else ()
    return Imported(
        said, vote, ids, (interaction_id, kind, composed(said.reply), str(said.label), *named), said.extra
    )  # fmt: skip


def _actor(project: str, annotator: str | None) -> str:
    """Return the id of who judged: as the file has it where that can be an id, else one derived from it."""
    if annotator is None:
        return ANONYMOUS
    if is_wire_id(annotator) and annotator != ANONYMOUS:
        return annotator
    return f"annotator-{derived_id(project, 'annotator', composed(annotator))}"


def _check(said: Said) -> None:
    if not any(message["role"] == "user" and not blank(message["content"]) for message in said.messages):
        raise RowError("there is no question")
    if blank(said.reply) or (said.rejected is not None and blank(said.rejected)):
        raise RowError("a reply is empty")
    if said.rejected is not None and same_text(said.reply, said.rejected):
        raise RowError("chosen and rejected are the same text")


def stamped(body: dict[str, Any], interaction_id: str, project: str, labels: Sequence[str], source: str) -> Event:
    """Return an event as the log takes it; raise RowError, EventError."""
    shared = {"occurred_at": UNKNOWN_TIME, "source": source, "labels": list(labels), "interaction_id": interaction_id}
    event = stamp(decode_event(body | shared), project=project, key_id="import", via="import")
    if len(encode(event)) > MAX_EVENT_BYTES:
        raise RowError(f"the row is larger than {MAX_EVENT_BYTES // 1024} KiB")
    return event
