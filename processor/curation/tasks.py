"""In: `definition.task` and `task.state` facts. Out: a task as it is defined now, its stages, and who may answer where.

Of several definitions of one task the highest version counts, of equal ones the latest; of states the latest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import msgspec

from contract.curation.definitions import DefinitionTask, Gold, Stage, TaskState, Words
from processor.curation.labels import NO_WORDS, words

TaskStanding = Literal["open", "paused", "closed"]
# Who may answer for whom: a tier does the work of those before it. What a model or a program says is no person's.
RANKS = {"user": 0, "crowd": 1, "agent": 2, "expert": 3}

NO_GOLD = Gold()


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task as it is defined now; `created_at` is when it was first defined, `event_id` the definition that counts."""

    task_id: str
    version: int
    stages: tuple[Stage, ...]
    title: Words = NO_WORDS
    description: Words = NO_WORDS
    labels: tuple[str, ...] = ()
    unit: str = "interaction"
    query: dict[str, Any] = field(default_factory=dict)
    live: bool = False
    write: str = ""
    order: str = "fixed"
    gold: Gold = NO_GOLD
    guideline: str | None = None
    owner: str | None = None
    state: TaskStanding = "open"
    state_reason: str | None = None
    created_at: datetime | None = None
    event_id: str = field(default="", compare=False)

    def stage(self, number: int) -> Stage:
        """Return a stage by its number; raises IndexError for one that it does not have."""
        if not 0 <= number < len(self.stages):
            raise IndexError(f"task {self.task_id} has no stage {number}")
        return self.stages[number]

    def next_of(self, kind: str, after: int) -> int | None:
        """Return the number of the next stage of a kind, or None."""
        later = range(after + 1, len(self.stages))
        return next((number for number in later if self.stages[number].kind == kind), None)

    @property
    def first(self) -> int:
        """Return the first stage that people answer at."""
        number = self.next_of("answer", -1)
        return 0 if number is None else number

    def adjudicates(self, stage: int) -> str:
        """Return the tier that decides where people of a stage disagree: the next one above theirs, else their own."""
        own = self.stages[stage].tier
        above = (one.tier for one in self.stages[stage + 1 :] if RANKS[one.tier] > RANKS[own])
        return next(above, own)

    def as_dict(self) -> dict[str, Any]:
        """Return the task as JSON-ready values."""
        values: dict[str, Any] = msgspec.to_builtins(self)
        values["stages"] = [msgspec.structs.asdict(stage) for stage in self.stages]
        values["gold"] = msgspec.structs.asdict(self.gold)
        return values


def reaches(kind: str, tier: str) -> bool:
    """Say whether a person of a kind may do the work of a tier; ai and system are no persons."""
    return RANKS.get(kind, -1) >= RANKS[tier]


def may_take(stage: Stage, person: str, tier: str, position: int = 0) -> bool:
    """Say whether a stage gives an item to a person: by tier, and by the people it names.

    With `round_robin` the items go to the named people in turn, by their place in the task.
    """
    if not reaches(tier, stage.tier):
        return False
    if not stage.people or stage.assignment == "pull":
        return True
    if stage.assignment == "round_robin":
        return stage.people[position % len(stage.people)] == person
    return person in stage.people


def defined_tasks(definitions: Iterable[DefinitionTask], states: Iterable[TaskState] = ()) -> dict[str, Task]:
    """Return the tasks by id, the first defined one first, whatever order the facts come in."""
    by_task: dict[str, list[DefinitionTask]] = {}
    for one in definitions:
        by_task.setdefault(one.task_id, []).append(one)
    standing: dict[str, TaskState] = {}
    for state in states:
        held = standing.get(state.task_id)
        if held is None or _later(state) > _later(held):
            standing[state.task_id] = state
    made = [_task(found, standing.get(task_id)) for task_id, found in by_task.items()]
    return {task.task_id: task for task in sorted(made, key=lambda task: (str(task.created_at), task.task_id))}


def _later(fact: Any) -> tuple[str, str]:
    return str(fact.received_at), fact.event_id


def _task(found: Sequence[DefinitionTask], standing: TaskState | None) -> Task:
    first = min(found, key=_later)
    one = max(found, key=lambda definition: (definition.version, _later(definition)))
    return Task(
        task_id=one.task_id, version=one.version, stages=tuple(one.stages), title=words(one.title),
        description=words(one.description), labels=tuple(one.labels), unit=one.unit, query=one.query, live=one.live,
        write=one.write, order=one.order, gold=one.gold, guideline=one.guideline, owner=one.owner,
        state=standing.state if standing else "open", state_reason=standing.reason if standing else None,
        created_at=first.received_at if isinstance(first.received_at, datetime) else first.occurred_at,
        event_id=one.event_id,
    )  # fmt: skip
