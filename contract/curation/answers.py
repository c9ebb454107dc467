"""Events that people who annotate leave behind: answers, reviews, adjudications and notes, kept with their interaction.

An answer's identity is (actor, task, stage, round, unit, label): one annotation holds many, and each is replaced alone.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from contract.envelope import CandidateText, Envelope, Label, Message, WireId

ShortText = Annotated[str, Meta(max_length=4000)]
Outcome = Literal["chosen", "tie", "none"]
# "" is the whole interaction; else a candidate's id, or two joined by "|" in the order of their characters.
Unit = Annotated[str, Meta(max_length=257)]
Answers = Annotated[dict[Label, Any], Meta(max_length=100)]
Small = Annotated[int, Meta(ge=0, le=2**31 - 1)]
# A candidate's id where one may be absent or stands deeper: `contract.curation.checks` looks at its spelling.
Named = Annotated[str, Meta(max_length=128)]
Ranks = Annotated[list[Named | list[Named]], Meta(max_length=8)]


class Feedback(Envelope, frozen=True, kw_only=True):
    """What all feedback carries; inline `messages` and `candidates` imply the interaction.

    `campaign` names the campaign that asked for it.
    """

    interaction_id: WireId
    campaign: WireId | None = None
    messages: Annotated[list[Message], Meta(min_length=1, max_length=1000)] | None = None
    candidates: Annotated[list[CandidateText], Meta(min_length=1, max_length=8)] | None = None


class Preference(Struct, frozen=True, omit_defaults=True):
    """Which of the replies is better, and how clearly: 1 a little, 2 clearly, 3 by far."""

    outcome: Outcome
    chosen: Named | None = None
    strength: Annotated[int, Meta(ge=1, le=3)] | None = None


class Span(Struct, frozen=True, omit_defaults=True):
    """A stretch of a reply that a label marks: code points from `start` up to `end`; `text` is what stands there."""

    path: Label
    candidate_id: WireId
    start: Small
    end: Small
    text: ShortText


class Annotation(Feedback, frozen=True, kw_only=True, tag="annotation"):
    """Answers of one person about an item, in one submission."""

    answers: Answers = {}
    candidate_id: WireId | None = None
    rating: float | None = None
    ranking: Ranks = []
    task_id: WireId | None = None
    task_version: Small = 0
    stage: Small = 0
    round: Small = 0
    slot: Small = 0
    unit: Unit = ""
    label_versions: Annotated[dict[Label, Small], Meta(max_length=100)] = {}
    shown: Annotated[list[WireId], Meta(max_length=8)] = []
    preference: Preference | None = None
    spans: Annotated[list[Span], Meta(max_length=200)] = []
    correction: str | None = None
    skipped: Annotated[str, Meta(max_length=200)] | None = None
    suggestion_id: str | None = None
    suggestion_shown: Literal["none", "after", "before"] = "none"
    active_ms: Annotated[int, Meta(ge=0, le=2**53)] | None = None
    comment: ShortText | None = None


class Review(Feedback, frozen=True, kw_only=True, tag="review"):
    """A reviewer's verdict on an item, or on the one answer that is the `target`."""

    task_id: WireId
    verdict: Literal["accept", "fix", "reject"]
    stage: Small = 0
    round: Small = 0
    unit: Unit = ""
    target: str | None = None
    answers: Answers = {}
    reasons: Annotated[list[Label], Meta(max_length=20)] = []
    return_to: Literal["same", "other", "none"] = "same"
    comment: ShortText | None = None


class Adjudication(Feedback, frozen=True, kw_only=True, tag="adjudication"):
    """What is right where people disagree, said by somebody who did not vote; `basis` are the answers looked at."""

    task_id: WireId
    answers: Answers
    stage: Small = 0
    round: Small = 0
    unit: Unit = ""
    basis: Annotated[list[str], Meta(max_length=100)] = []
    note: ShortText | None = None


class Note(Feedback, frozen=True, kw_only=True, tag="note"):
    """A remark on an item, on another note (`parent`), or that a note is `resolved`."""

    text: ShortText = ""
    task_id: WireId | None = None
    unit: Unit = ""
    parent: str | None = None
    resolved: bool = False
