"""The items of a task with their states, kept between questions and refreshed from what changed in the tables.

    book = Books().of(cursor, "default", task)

It is a cache: each question compares marks of the rows with those it was made from, so it says what the rows say.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import duckdb

from processor.curation.items import ItemBatch, ItemState, item_state
from processor.curation.labels import LabelDef
from processor.curation.tasks import Task
from processor.queries.curation.evidence import BUCKETS, Item, Paths, batches_of_items, said_of_items
from processor.queries.labels import list_labels

# So many tasks are remembered; others are read again.
KEPT = 16
_OFFSETS = 'SELECT topic, "partition", next_offset FROM offsets ORDER BY ALL'
_ENTERED = "SELECT count(*), max(received_at) FROM task_items WHERE project = $project AND task_id = $task"
_ITEMS = """
SELECT interaction_id, unit FROM task_items
WHERE project = $project AND task_id = $task
ORDER BY received_at, event_key, position
"""
_OLDEST = """
SELECT t.interaction_id, t.unit FROM task_items t LEFT JOIN interactions i ON i.interaction_key = t.item_key
WHERE t.project = $project AND t.task_id = $task
ORDER BY coalesce(i.occurred_at, t.received_at), t.received_at, t.event_key, t.position
"""
_MARKS = """
SELECT hash(interaction_id) % 1024 AS bucket, bit_xor(mark) AS mark FROM (
    SELECT interaction_id, hash('a', event_key, label, state) AS mark FROM answers
    WHERE project = $project AND task_id = $task
    UNION ALL SELECT interaction_id, hash('r', event_key, state) FROM reviews
    WHERE project = $project AND task_id = $task
    UNION ALL SELECT interaction_id, hash('f', event_key, state) FROM feedback
    WHERE $live AND project = $project AND type IN ('thumb', 'choice', 'pick')
        AND interaction_id IN (SELECT interaction_id FROM task_items WHERE project = $project AND task_id = $task)
) GROUP BY ALL
"""
_SPOT_CHECKS = """
SELECT count(*), max("offset") FROM facts
WHERE project = $project AND type IN ('batch.drawn', 'batch.verdict') AND subject = $task
"""
_LABELS = "SELECT count(*), max(\"offset\") FROM facts WHERE project = $project AND type = 'definition.label'"


@dataclass(frozen=True)
class Counts:
    """How far a task is: items by state, and by stage and state; answers by person and by label."""

    items: int
    states: dict[str, int]
    stages: dict[int, dict[str, int]]
    people: dict[str, dict[str, int]]
    labels: dict[str, dict[str, int]]


class TaskBook:
    """The items of one task. Thread-safe: a question sees one state of it."""

    def __init__(self, project: str, task: Task) -> None:
        self.project = project
        self.task = task
        self.items: list[Item] = []
        self.positions: dict[Item, int] = {}
        self.lock = threading.RLock()
        self.labels: dict[str, LabelDef] = {}
        self._seen: Any = None
        self._entered: Any = None
        self._base: Any = None
        self._marks: dict[int, int] = {}
        self._states: dict[Item, ItemState] = {}
        self._bucket_of: dict[int, list[Item]] = {}
        self._batches: dict[Item, list[ItemBatch]] = {}
        self._order: list[int] = []
        self._counts: Counts | None = None
        self._untouched = item_state(task, ("", ""))

    def state(self, item: Item) -> ItemState:
        """Return where an item stands."""
        return self._states.get(item, self._untouched)

    def said(self) -> Iterator[tuple[Item, ItemState]]:
        """Yield the items that something was said about, in the order they entered."""
        found = [(position, item) for item in self._states if (position := self.positions.get(item)) is not None]
        yield from ((item, self._states[item]) for _, item in sorted(found))

    def refresh(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Bring it to what this cursor's tables hold."""
        with self.lock:
            seen = cursor.execute(_OFFSETS).fetchall()
            if seen == self._seen:
                return
            place = {"project": self.project, "task": self.task.task_id}
            self._read_items(cursor, place)
            self._read_evidence(cursor, place)
            self._seen = seen

    def _read_items(self, cursor: duckdb.DuckDBPyConnection, place: dict[str, str]) -> None:
        entered = cursor.execute(_ENTERED, place).fetchone()
        if entered == self._entered:
            return
        found = cursor.execute(_OLDEST if self.task.order == "oldest" else _ITEMS, place).fetchall()
        self.items = list(dict.fromkeys(found))
        self.positions = {item: position for position, item in enumerate(self.items)}
        self._order = list(range(len(self.items)))
        if self.task.order == "random":
            self._order.sort(key=lambda position: _drawn(self.task.task_id, self.items[position]))
        self._entered, self._counts = entered, None

    def _read_evidence(self, cursor: duckdb.DuckDBPyConnection, place: dict[str, str]) -> None:
        base = (
            cursor.execute(_SPOT_CHECKS, place).fetchone(),
            cursor.execute(_LABELS, {"project": self.project}).fetchone(),
        )
        live = any(stage.tier == "user" for stage in self.task.stages)
        marks = {int(bucket): int(mark) for bucket, mark in cursor.execute(_MARKS, place | {"live": live}).fetchall()}
        if base != self._base:
            self.labels = list_labels(cursor, self.project)
            self._batches = batches_of_items(cursor, self.project, self.task)
            changed: list[int] | None = None
            self._states, self._bucket_of = {}, {}
        else:
            changed = [bucket for bucket in range(BUCKETS) if marks.get(bucket) != self._marks.get(bucket)]
        if changed is None or changed:
            self._compute(cursor, changed)
            self._counts = None
        self._base, self._marks = base, marks

    def _compute(self, cursor: duckdb.DuckDBPyConnection, buckets: list[int] | None) -> None:
        paths = Paths.of(self.labels)
        found = said_of_items(cursor, self.project, self.task, paths, buckets)
        if buckets is not None:
            for bucket in buckets:
                for item in self._bucket_of.pop(bucket, ()):
                    self._states.pop(item, None)
        names = list({item[0] for item in found})
        numbered = dict(cursor.execute("SELECT name, hash(name) % 1024 FROM (SELECT unnest($1::TEXT[]) AS name)",
                                       [names]).fetchall())  # fmt: skip
        for item, said in found.items():
            batches = self._batches.get(item, ())
            self._states[item] = item_state(self.task, item, said.answers, said.reviews, batches, paths.free)
            self._bucket_of.setdefault(int(numbered[item[0]]), []).append(item)

    def in_order(self) -> Iterator[int]:
        """Yield the positions of items in the task's order; with `disagreement`, where people agree least first."""
        if self.task.order != "disagreement":
            yield from self._order
            return
        contested = sorted(
            (state.agreement, self.positions[item]) for item, state in self._states.items()
            if state.agreement is not None and state.takes_answers and item in self.positions
        )  # fmt: skip
        first = [position for _, position in contested]
        yield from first
        later = set(first)
        yield from (position for position in self._order if position not in later)

    def counts(self) -> Counts:
        """Return how far the task is."""
        with self.lock:
            if self._counts is None:
                self._counts = self._count()
            return self._counts

    def _count(self) -> Counts:
        states: Counter[str] = Counter()
        stages: dict[int, Counter[str]] = {}
        people: dict[str, Counter[str]] = {}
        labels: dict[str, Counter[str]] = {}
        touched = 0
        for item, state in self._states.items():
            if item not in self.positions:
                continue
            touched += 1
            states[state.state] += 1
            stages.setdefault(state.stage, Counter())[state.state] += 1
            for place, person in enumerate(state.people):
                people.setdefault(person, Counter())["counted" if place < state.counted else "extra"] += 1
            for person in state.skipped:
                people.setdefault(person, Counter())["skipped"] += 1
            for label, value in state.values.items():
                labels.setdefault(label, Counter())["answered" if value is not None else "undecided"] += 1
        left = len(self.items) - touched
        if left:
            states[self._untouched.state] += left
            stages.setdefault(self._untouched.stage, Counter())[self._untouched.state] += left
        return Counts(
            len(self.items), dict(states), {number: dict(found) for number, found in sorted(stages.items())},
            {person: dict(found) for person, found in sorted(people.items())},
            {label: dict(found) for label, found in sorted(labels.items())},
        )  # fmt: skip


class Books:
    """The books of the tasks that were asked about last. Thread-safe."""

    def __init__(self) -> None:
        self._books: OrderedDict[tuple[str, str, str], TaskBook] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, cursor: duckdb.DuckDBPyConnection, project: str, task: Task) -> TaskBook:
        """Return a task's book as this cursor's tables have it; a task that was defined anew gets a new one."""
        key = (project, task.task_id, task.event_id)
        with self._lock:
            book = self._books.pop(key, None) or TaskBook(project, task)
            self._books[key] = book
            while len(self._books) > KEPT:
                self._books.popitem(last=False)
        book.refresh(cursor)
        return book


def _drawn(task_id: str, item: Item) -> bytes:
    return blake2b("\x1f".join((task_id, *item)).encode(), digest_size=8).digest()
