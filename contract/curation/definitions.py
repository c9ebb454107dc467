"""What gives answers their meaning: labels, guidelines, tasks, gold, members and batches, kept on the `runs` topic.

Of several definitions of one thing the highest `version` counts, of equal ones the latest. A label's path and the keys
of its choices never change meaning once there are answers; wording raises the version, removing archives.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from contract.curation.answers import Answers, Named, ShortText, Small, Unit
from contract.envelope import Envelope, Label, WireId

Kind = Literal["text", "choice", "multi", "rating", "ranking", "span", "pairwise", "correction", "bool"]
Scope = Literal["interaction", "candidate", "pair", "span"]
Tier = Literal["user", "crowd", "agent", "expert"]
Title = Annotated[str, Meta(max_length=200)]
Share = Annotated[float, Meta(ge=0, le=1)]
Markdown = Annotated[str, Meta(max_length=100_000)]


class Words(Struct, frozen=True, omit_defaults=True):
    """A text in the two languages of the console; where one is missing the other is shown."""

    en: ShortText = ""
    zh: ShortText = ""


class Option(Struct, frozen=True, omit_defaults=True):
    """One answer a label offers; `key` is what an answer holds, and is never used again for another."""

    key: Label
    title: Words = Words()
    shortcut: Annotated[str, Meta(max_length=1)] = ""
    archived: bool = False


class DefinitionLabel(Envelope, frozen=True, kw_only=True, tag="definition.label"):
    """What a label means, and how it is asked for; `title` and `description` may be a text or one per language."""

    path: Label
    title: Title | Words = ""
    description: ShortText | Words = ""
    version: Small = 0
    kind: Kind = "bool"
    scope: Scope = "interaction"
    choices: Annotated[list[Option], Meta(max_length=200)] = []
    min: float | None = None
    max: float | None = None
    step: float | None = None
    required: bool = False
    parent: Label | None = None
    guideline: WireId | None = None
    owner: WireId | None = None
    moved_to: Label | None = None
    deprecated: bool = False


class Example(Struct, frozen=True, omit_defaults=True):
    """An example of a guideline: an interaction and what is right about it."""

    interaction_id: WireId
    answers: Answers = {}
    note: ShortText = ""


class DefinitionGuideline(Envelope, frozen=True, kw_only=True, tag="definition.guideline"):
    """How to answer; Markdown, one text per language."""

    id: WireId
    version: Small = 0
    markdown: Markdown = ""
    markdown_zh: Markdown = ""
    examples: Annotated[list[Example], Meta(max_length=50)] = []


class DefinitionSource(Envelope, frozen=True, kw_only=True, tag="definition.source"):
    """A registered data source."""

    name: str
    description: str = ""
    weight: float = 1.0


class Stage(Struct, frozen=True, omit_defaults=True):
    """One step of a task: so many people of a tier answer, or somebody reviews, or a sample decides a batch.

    `k` answers, up to `extra` more while their agreement is below `agree` (a share, 0 to 1). `skip_limit` people who
    skip hand the item to the next stage. `sample` and `reject_above` are a batch stage's plan.
    """

    kind: Literal["answer", "review", "batch"] = "answer"
    tier: Tier = "agent"
    k: Annotated[int, Meta(ge=1, le=50)] = 1
    extra: Annotated[int, Meta(ge=0, le=20)] = 0
    agree: Share = 0.0
    assignment: Literal["pull", "round_robin", "load", "named"] = "pull"
    people: Annotated[list[Named], Meta(max_length=1000)] = []
    lease_s: Annotated[int, Meta(ge=1, le=86_400)] = 900
    skip_limit: Annotated[int, Meta(ge=1, le=50)] = 2
    suggestion: Literal["none", "after", "shown", "random"] = "none"
    rate: Share = 1.0
    return_to: Literal["same", "other", "none"] = "same"
    sample: Annotated[int, Meta(ge=0, le=100_000)] = 0
    reject_above: Small = 0


class Gold(Struct, frozen=True, omit_defaults=True):
    """Questions whose answer is known: so many at the start, then this share; below the pass mark a person pauses."""

    onboarding: Annotated[int, Meta(ge=0, le=100)] = 0
    rate: Share = 0.0
    pass_mark: Share = 0.8
    pause: bool = True


class DefinitionTask(Envelope, frozen=True, kw_only=True, tag="definition.task"):
    """Work for annotators: which items, asked what, by whom, in which order.

    `query` is the filter of `/data`; `live` ones go on taking in what comes to match. A `write` task asks for texts.
    """

    task_id: WireId
    version: Small = 0
    title: Title | Words = ""
    description: ShortText | Words = ""
    labels: Annotated[list[Label], Meta(max_length=100)] = []
    unit: Literal["interaction", "candidate", "pair", "all"] = "interaction"
    query: dict[str, Any] = {}
    live: bool = False
    write: Literal["", "answer", "prompt_and_answer", "better"] = ""
    order: Literal["fixed", "random", "uncertain", "disagreement", "oldest"] = "fixed"
    stages: Annotated[list[Stage], Meta(min_length=1, max_length=10)]
    gold: Gold = Gold()
    guideline: WireId | None = None
    owner: WireId | None = None


class ItemRef(Struct, frozen=True, omit_defaults=True):
    """One item: an interaction, and the part of it that is asked about."""

    interaction_id: WireId
    unit: Unit = ""


class TaskItems(Envelope, frozen=True, kw_only=True, tag="task.items"):
    """Items that enter a task; what is in it already changes nothing."""

    task_id: WireId
    items: Annotated[list[ItemRef], Meta(min_length=1, max_length=1000)]


class TaskState(Envelope, frozen=True, kw_only=True, tag="task.state"):
    """A task is open for work, paused, or closed; the latest counts."""

    task_id: WireId
    state: Literal["open", "paused", "closed"]
    reason: ShortText | None = None


class GoldSet(Envelope, frozen=True, kw_only=True, tag="gold.set"):
    """The known answers of an item; none take it out of the gold questions again."""

    task_id: WireId
    interaction_id: WireId
    unit: Unit = ""
    answers: Answers = {}


class Member(Envelope, frozen=True, kw_only=True):
    """What happened to a person in a task; `evidence` are the figures it follows from."""

    task_id: WireId
    member: WireId
    evidence: dict[str, Any] = {}
    reason: ShortText | None = None


class MemberPaused(Member, frozen=True, kw_only=True, tag="member.paused"):
    """A person gets no more items of the task for now."""


class MemberResumed(Member, frozen=True, kw_only=True, tag="member.resumed"):
    """A paused person gets items again."""


class MemberQualified(Member, frozen=True, kw_only=True, tag="member.qualified"):
    """A person passed the questions at the start."""

    tier: Tier = "agent"


class BatchDrawn(Envelope, frozen=True, kw_only=True, tag="batch.drawn"):
    """A spot check: the sample drawn from the items that wait in a batch stage, and the plan it follows."""

    batch_id: WireId
    task_id: WireId
    stage: Small
    plan: dict[str, Any] = {}
    seed: int = 0
    population: Annotated[list[ItemRef], Meta(max_length=1000)] = []
    population_size: Small = 0
    population_digest: str = ""
    sample: Annotated[list[ItemRef], Meta(max_length=1000)] = []
    part: Small = 0


class BatchVerdict(Envelope, frozen=True, kw_only=True, tag="batch.verdict"):
    """What a spot check decided; rejecting returns the sample, or all of its items."""

    batch_id: WireId
    task_id: WireId
    verdict: Literal["accept", "reject"]
    scope: Literal["sample", "all"] = "all"
    faults: Small = 0
    reason: ShortText | None = None
