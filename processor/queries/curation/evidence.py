"""In: a task, and which interactions. Out: the answers, decisions and spot checks that count, item by item.

Answers under a path that a label had before are answers of the label. What users say of the product's own replies is a
first answer: a thumb of its candidate, a pick or choice of the whole interaction.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import duckdb
import msgspec

from contract.events import decode_stored
from processor.curation.labels import LabelDef, now_at
from processor.curation.standing import FREE, ItemAnswer, ItemBatch, ItemReview
from processor.curation.tasks import Task
from processor.queries.reading import rows

Item = tuple[str, str]
# Interactions fall into so many buckets, to see cheaply where something changed.
BUCKETS = 1024
THUMB = "@thumb"
PREFERENCE = "@preference"
_IN_OWN_WORDS = frozenset({"text", "correction", "span"})
_json = msgspec.json.Encoder(order="sorted")

# A person's place among those who answered is that of the first answer: changing it later loses nothing.
_ANSWERS = """
WITH said AS (
    SELECT event_id, interaction_id, unit, label, value, actor_id, actor_kind, stage, round, state,
        min(received_at) OVER (PARTITION BY interaction_key, unit, stage, round, actor_id, label = '@skipped') AS began
    FROM answers WHERE project = $project AND task_id = $task AND state IN ('vote', 'untrusted', 'superseded')
        AND ($buckets::INTEGER[] IS NULL OR list_contains($buckets, hash(interaction_id) % 1024))
)
SELECT interaction_id, unit, event_id, label, value, actor_id, actor_kind, stage, round, epoch_us(began) AS began
FROM said WHERE state <> 'superseded'
"""
_REVIEWS = """
SELECT interaction_id, unit, event_id, kind, verdict, answers, return_to, target, actor_id, actor_kind, stage, round,
    epoch_us(received_at) AS began
FROM reviews WHERE project = $project AND task_id = $task AND state IN ('vote', 'untrusted')
    AND ($buckets::INTEGER[] IS NULL OR list_contains($buckets, hash(interaction_id) % 1024))
"""
_FIRST = """
SELECT interaction_id, event_id, type, candidate_id, value, outcome, chosen, actor_id, actor_kind,
    epoch_us(received_at) AS began
FROM feedback WHERE project = $project AND state IN ('vote', 'untrusted') AND type IN ('thumb', 'choice', 'pick')
    AND interaction_id IN (SELECT interaction_id FROM task_items WHERE project = $project AND task_id = $task)
    AND ($buckets::INTEGER[] IS NULL OR list_contains($buckets, hash(interaction_id) % 1024))
"""
_FIRST_OF = """
SELECT interaction_id, event_id, type, candidate_id, value, outcome, chosen, actor_id, actor_kind,
    epoch_us(received_at) AS began
FROM feedback WHERE project = $project AND state IN ('vote', 'untrusted') AND type IN ('thumb', 'choice', 'pick')
    AND interaction_id = $interaction
"""
_BATCHES = """
SELECT body FROM facts WHERE project = $project AND type IN ('batch.drawn', 'batch.verdict') AND subject = $task
"""


@dataclass
class Said:
    """All that counts of one item."""

    answers: list[ItemAnswer] = field(default_factory=list)
    reviews: list[ItemReview] = field(default_factory=list)


@dataclass(frozen=True)
class Paths:
    """Where labels are today, and which are answered in people's own words."""

    now: Mapping[str, str]
    free: frozenset[str]

    @classmethod
    def of(cls, labels: Mapping[str, LabelDef]) -> Paths:
        """Return those of the labels that are defined."""
        moved = {path: now_at(labels, path) for path, label in labels.items() if label.moved_to}
        own = {path for path, label in labels.items() if label.kind in _IN_OWN_WORDS}
        return cls(moved, FREE | own)


def said_of_items(
    cursor: duckdb.DuckDBPyConnection, project: str, task: Task, paths: Paths, buckets: Sequence[int] | None = None
) -> dict[Item, Said]:
    """Return what counts by item; of these buckets, or of all."""
    place = {"project": project, "task": task.task_id, "buckets": None if buckets is None else list(buckets)}
    found: dict[Item, Said] = {}
    for columns in cursor.execute(_ANSWERS, place).fetchall():
        interaction_id, unit, event_id, label, value, actor_id, actor_kind, stage, number, at = columns
        found.setdefault((interaction_id, unit), Said()).answers.append(ItemAnswer(
            event_id, paths.now.get(label, label), _plain(label, value), actor_id, actor_kind, stage, number,
            (at, event_id),
        ))  # fmt: skip
    for row in rows(cursor, _REVIEWS, place):
        found.setdefault((row["interaction_id"], row["unit"]), Said()).reviews.append(_review(row, paths))
    if any(stage.tier == "user" for stage in task.stages):
        for item, answer in _first(rows(cursor, _FIRST, place)):
            found.setdefault(item, Said()).answers.append(answer)
    return found


def first_answers(cursor: duckdb.DuckDBPyConnection, project: str, interaction_id: str) -> dict[str, list[ItemAnswer]]:
    """Return by unit what was said of the product's own replies: the first answers of the interaction's items."""
    found: dict[str, list[ItemAnswer]] = {}
    for item, answer in _first(rows(cursor, _FIRST_OF, {"project": project, "interaction": interaction_id})):
        found.setdefault(item[1], []).append(answer)
    return {unit: sorted(answers, key=lambda one: one.at) for unit, answers in found.items()}


def _first(found: Iterable[dict[str, Any]]) -> Iterable[tuple[Item, ItemAnswer]]:
    for row in found:
        thumb = row["type"] == "thumb"
        unit = row["candidate_id"] if thumb else ""
        value: Any = row["value"] if thumb else {"outcome": row["outcome"]}
        if not thumb and row["chosen"]:
            value["chosen"] = row["chosen"]
        yield (row["interaction_id"], unit), ItemAnswer(
            row["event_id"], THUMB if thumb else PREFERENCE, _json.encode(value).decode(), row["actor_id"],
            row["actor_kind"], 0, 0, (row["began"], row["event_id"]), live=True,
        )  # fmt: skip


def _plain(label: str, value: str) -> str:
    """Return an answer as it is compared: two who prefer the same reply agree, however strongly each does."""
    if label != PREFERENCE or '"strength"' not in value:
        return value
    body = json.loads(value)
    body.pop("strength", None)
    return _json.encode(body).decode()


def _review(row: Mapping[str, Any], paths: Paths) -> ItemReview:
    said = {paths.now.get(label, label): _json.encode(value).decode()
            for label, value in json.loads(row["answers"]).items()}  # fmt: skip
    return ItemReview(
        row["event_id"], row["kind"], row["verdict"], said, row["return_to"], row["target"], row["actor_id"],
        row["actor_kind"], row["stage"], row["round"], (row["began"], row["event_id"]),
    )  # fmt: skip


def batches_of_items(cursor: duckdb.DuckDBPyConnection, project: str, task: Task) -> dict[Item, list[ItemBatch]]:
    """Return the spot checks by item. A large one is drawn in several parts, and stands at its first."""
    drawn: dict[str, list[Any]] = {}
    verdicts: dict[str, Any] = {}
    for (body,) in cursor.execute(_BATCHES, {"project": project, "task": task.task_id}).fetchall():
        fact: Any = decode_stored(body.encode())
        if fact.type == "batch.drawn":
            drawn.setdefault(fact.batch_id, []).append(fact)
        elif fact.batch_id not in verdicts or _later(fact) > _later(verdicts[fact.batch_id]):
            verdicts[fact.batch_id] = fact
    found: dict[Item, list[ItemBatch]] = {}
    for batch_id, parts in drawn.items():
        said = verdicts.get(batch_id)
        at = min((_micros(part.received_at), batch_id) for part in parts)
        sampled = {(one.interaction_id, one.unit) for part in parts for one in part.sample}
        whole = sampled | {(one.interaction_id, one.unit) for part in parts for one in part.population}
        for item in whole:
            found.setdefault(item, []).append(ItemBatch(
                batch_id, parts[0].stage, at, item in sampled, said.verdict if said else None,
                said.scope if said else "all",
            ))  # fmt: skip
    return found


def _later(fact: Any) -> tuple[datetime, str]:
    return fact.received_at, fact.event_id


def _micros(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000)
