"""In: a project, a person with a tier. Out: the items that wait for a reviewer or an adjudicator, and what was said.

with reading() as cursor:
    found = waiting(cursor, "default", "review", "rei", "expert", services().books)
    shown = opinions_of(cursor, "default", task, found.items[0].item)
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Literal

import duckdb

from processor.curation.standing import SKIPPED, ItemAnswer, ItemState
from processor.curation.tasks import Task, may_take, reaches
from processor.queries.curation.book import Books, TaskBook
from processor.queries.curation.evidence import BUCKETS, Item, Paths, said_of_items
from processor.queries.labels import list_labels
from processor.queries.reading import Row, one, parse_json, rows
from processor.queries.tasks import TaskItem, find_item, list_tasks

Work = Literal["review", "adjudication"]
STANDS: dict[Work, str] = {"review": "in_review", "adjudication": "disputed"}
_BUCKET = f"SELECT hash($interaction::TEXT) % {BUCKETS} AS bucket"
_MODELS = """
SELECT actor_id, event_id, label, value FROM answers
WHERE project = $project AND task_id = $task AND interaction_id = $interaction AND unit = $unit
    AND actor_kind IN ('ai', 'system') AND state IN ('vote', 'untrusted')
ORDER BY actor_id, label
"""
_DECISION = """
SELECT kind, task_id, interaction_id, unit, stage, round, verdict, answers, return_to, reasons, comment FROM reviews
WHERE project = $project AND event_id = $event AND actor_id = $person
"""


@dataclass(frozen=True)
class Waiting:
    """Items that a person may decide about, those where people agree least first; and how many they may not.

    `own`: they answered it. `others`: it is for a higher tier, or for people who are named.
    """

    items: list[tuple[Task, TaskItem]] = field(default_factory=list)
    own: int = 0
    others: int = 0


@dataclass(frozen=True)
class Opinion:
    """What one person, or one model, said of an item: values by label. `letter` says nothing of who it is."""

    letter: str
    person: str
    kind: str
    values: Mapping[str, Any]
    event_ids: tuple[str, ...]


@dataclass(frozen=True)
class Opinions:
    """All that was said of an item in its round; `seen` names exactly these answers, `differ` are labels in dispute."""

    people: list[Opinion]
    models: list[Opinion]
    differ: list[str]
    seen: str

    @property
    def basis(self) -> list[str]:
        """Return the events of the people's answers, at most as many as a decision may name."""
        return [event for opinion in self.people for event in opinion.event_ids][:100]

    def of(self, letter: str) -> Opinion | None:
        """Return the opinion under a letter."""
        return next((opinion for opinion in self.people if opinion.letter == letter), None)


def tier_for(task: Task, state: ItemState, work: Work) -> str:
    """Return the tier that decides about an item that stands there."""
    return task.adjudicates(state.stage) if work == "adjudication" else task.stage(state.stage).tier


def may_take_decision(task: Task, item: TaskItem, work: Work, person: str, tier: str) -> bool:
    """Say whether an item is for this person: by tier, and by the people that a review stage names."""
    if not reaches(tier, tier_for(task, item.state, work)):
        return False
    return work == "adjudication" or may_take(task.stage(item.state.stage), person, tier, item.position)


def waiting(
    cursor: duckdb.DuckDBPyConnection, project: str, work: Work, person: str, tier: str, books: Books,
    task_id: str | None = None,
) -> Waiting:  # fmt: skip
    """Return what waits for a decision in tasks that are not closed."""
    found, own, others = [], 0, 0
    for task in list_tasks(cursor, project):
        if task.state == "closed" or (task_id and task.task_id != task_id) or not _may_hold(task, work):
            continue
        for item in _standing(books.of(cursor, project, task), STANDS[work]):
            if not item.state.may_decide(person):
                own += 1
            elif not may_take_decision(task, item, work, person, tier):
                others += 1
            else:
                found.append((task, item))
    found.sort(key=lambda each: (_or_more(each[1].state.agreement), str(each[0].created_at), each[1].position))
    return Waiting(found, own, others)


def _may_hold(task: Task, work: Work) -> bool:
    """Say whether an item of a task can come to wait for this: of others the items are not looked at."""
    if work == "review":
        return any(stage.kind == "review" for stage in task.stages)
    return any(stage.kind != "answer" or stage.agree > 0 or stage.people for stage in task.stages)


def _or_more(agreement: float | None) -> float:
    return 1.0 if agreement is None else agreement


def _standing(book: TaskBook, standing: str) -> list[TaskItem]:
    with book.lock:
        return [TaskItem(*item, book.positions[item], state) for item, state in book.standing(standing)]


def opinions_of(cursor: duckdb.DuckDBPyConnection, project: str, task: Task, item: TaskItem) -> Opinions:
    """Return what was said of an item at its stage and round; letters in an order that tells nobody apart."""
    key, state = (item.interaction_id, item.unit), item.state
    bucket = one(cursor, _BUCKET, {"interaction": item.interaction_id}) or {}
    paths = Paths.of(list_labels(cursor, project))
    said = said_of_items(cursor, project, task, paths, [int(bucket["bucket"])]).get(key)
    voters = state.voters | frozenset(state.people)
    counted = [
        answer for answer in (said.answers if said else ())
        if answer.round == state.round and answer.label != SKIPPED and answer.actor_id in voters
    ]  # fmt: skip
    people = _lettered(task.task_id, key, state.round, counted)
    given = {"project": project, "task": task.task_id, "interaction": item.interaction_id, "unit": item.unit}
    models = _by_model(rows(cursor, _MODELS, given))
    events = sorted(f"{answer.event_id} {answer.label} {answer.value}" for answer in counted)
    seen = blake2b("\x1f".join([*events, str(state.round)]).encode(), digest_size=12).hexdigest()
    return Opinions(people, models, _differ(people, paths.free), seen)


def _lettered(task_id: str, item: Item, number: int, said: Sequence[ItemAnswer]) -> list[Opinion]:
    by_person: dict[str, list[ItemAnswer]] = {}
    for answer in said:
        by_person.setdefault(answer.actor_id, []).append(answer)

    def drawn(person: str) -> bytes:
        return blake2b("\x1f".join((task_id, *item, str(number), person)).encode(), digest_size=8).digest()

    return [
        Opinion(
            letter(place), person, by_person[person][0].actor_kind,
            {answer.label: json.loads(answer.value) for answer in sorted(by_person[person], key=lambda a: a.label)},
            tuple(sorted({answer.event_id for answer in by_person[person]})),
        )
        for place, person in enumerate(sorted(by_person, key=drawn))
    ]  # fmt: skip


def letter(place: int) -> str:
    """Return A, B, ... Z, AA, AB, ..."""
    before, at = divmod(place, 26)
    return (letter(before - 1) if before else "") + chr(ord("A") + at)


def _by_model(found: Sequence[Row]) -> list[Opinion]:
    by_model: dict[str, list[Row]] = {}
    for row in found:
        by_model.setdefault(row["actor_id"], []).append(row)
    return [
        Opinion(str(place), name, "ai", {row["label"]: json.loads(row["value"]) for row in said},
                tuple(sorted({row["event_id"] for row in said})))
        for place, (name, said) in enumerate(by_model.items(), 1)
    ]  # fmt: skip


def _differ(people: Sequence[Opinion], free: frozenset[str]) -> list[str]:
    """Return the labels on which two people say different things; of those in people's own words none."""
    said: dict[str, set[str]] = {}
    for opinion in people:
        for label, value in opinion.values.items():
            said.setdefault(label, set()).add(json.dumps(value, sort_keys=True))
    return sorted(label for label, values in said.items() if len(values) > 1 and label not in free)


def decision(cursor: duckdb.DuckDBPyConnection, project: str, event_id: str, person: str) -> Row | None:
    """Return what this person decided under an event id, or None while the tables do not hold it."""
    found = one(cursor, _DECISION, {"project": project, "event": event_id, "person": person})
    return None if found is None else found | {"answers": parse_json(found["answers"])}


def decided_item(cursor: duckdb.DuckDBPyConnection, project: str, task: Task, told: Row, books: Books) -> Opinions:
    """Return what was said of the item that a decision is about, in the round it decided."""
    item = find_item(cursor, project, task, (told["interaction_id"], told["unit"]), books)
    state = ItemState(state=item.state.state, stage=told["stage"], round=told["round"], voters=item.state.voters)
    return opinions_of(cursor, project, task, TaskItem(item.interaction_id, item.unit, item.position, state))
