"""The items of a task with their states, kept between questions and refreshed from what changed in the tables.

    book = Books().of(cursor, "default", task)

It is a cache: each question compares marks of the rows with those it was made from, so it says what the rows say.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, TypeVar

import duckdb

from processor.curation.items import item_state
from processor.curation.labels import LabelDef
from processor.curation.standing import ItemBatch, ItemState
from processor.curation.tasks import Task
from processor.queries.curation.evidence import BUCKETS, Item, Paths, batches_of_items, said_of_items
from processor.queries.labels import list_labels

# So many tasks are remembered; others are read again.
KEPT = 16
# Such items do not go on by themselves.
STUCK = frozenset({"nobody_left", "no_reviewer", "below_agreement", "skipped", "dropped"})
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
        # Items in the task's order, and by place in it whether people may answer there; `_ranks` are those places.
        self._order: list[int] = []
        self._ranks: list[int] = []
        self._open = bytearray()
        self._tally = Tally()
        self._strays = 0
        self._stuck: set[Item] = set()
        self._untouched = item_state(task, ("", ""))

    def state(self, item: Item) -> ItemState:
        """Return where an item stands."""
        return self._states.get(item, self._untouched)

    def stuck(self) -> list[Item]:
        """Return the items that do not go on by themselves, in the order they entered."""
        return sorted(self._stuck, key=lambda item: self.positions[item])

    def standing(self, state: str) -> list[tuple[Item, ItemState]]:
        """Return the items of the task that stand there after somebody said something about them."""
        return [(item, one) for item, one in self._states.items() if one.state == state and item in self.positions]

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
        self._ranks = self._order[:]
        for rank, position in enumerate(self._order):
            self._ranks[position] = rank
        self._open = bytearray([self._untouched.takes_answers]) * len(self.items)
        for item, state in self._states.items():
            self._mark(item, state)
        if self._strays:
            self._tally_all()
        self._entered = entered

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
            self._states, self._bucket_of, self._tally, self._strays = {}, {}, Tally(), 0
            self._stuck = set()
            self._open = bytearray([self._untouched.takes_answers]) * len(self.items)
        else:
            changed = [bucket for bucket in range(BUCKETS) if marks.get(bucket) != self._marks.get(bucket)]
        if changed is None or changed:
            self._compute(cursor, changed)
        self._base, self._marks = base, marks

    def _compute(self, cursor: duckdb.DuckDBPyConnection, buckets: list[int] | None) -> None:
        paths = Paths.of(self.labels)
        found = said_of_items(cursor, self.project, self.task, paths, buckets)
        if buckets is not None:
            for bucket in buckets:
                for item in self._bucket_of.pop(bucket, ()):
                    self._forget(item)
        names = list({item[0] for item in found})
        numbered = dict(cursor.execute("SELECT name, hash(name) % 1024 FROM (SELECT unnest($1::TEXT[]) AS name)",
                                       [names]).fetchall())  # fmt: skip
        for item, said in found.items():
            batches = self._batches.get(item, ())
            self._keep(item, item_state(self.task, item, said.answers, said.reviews, batches, paths.free))
            self._bucket_of.setdefault(int(numbered[item[0]]), []).append(item)

    def _keep(self, item: Item, state: ItemState) -> None:
        self._states[item] = state
        self._count(item, state, 1)
        self._mark(item, state)

    def _forget(self, item: Item) -> None:
        state = self._states.pop(item)
        self._count(item, state, -1)
        self._mark(item, self._untouched)

    def _count(self, item: Item, state: ItemState, sign: int) -> None:
        if item in self.positions:
            self._tally.add(state, sign)
        else:
            self._strays += sign

    def _mark(self, item: Item, state: ItemState) -> None:
        if (position := self.positions.get(item)) is None:
            return
        self._open[self._ranks[position]] = state.takes_answers
        if state.why in STUCK and state.state != "settled":
            self._stuck.add(item)
        else:
            self._stuck.discard(item)

    def _tally_all(self) -> None:
        """Count anew: of something that was answered before it came into the task."""
        self._tally, self._strays = Tally(), 0
        for item, state in self._states.items():
            self._count(item, state, 1)

    def answerable(self) -> Iterator[int]:
        """Yield the positions of items that take answers, in the task's order.

        With `disagreement`, those where people agree least come first.
        """
        first: list[int] = []
        if self.task.order == "disagreement":
            first = [position for _, position in sorted(
                (state.agreement, self.positions[item]) for item, state in self._states.items()
                if state.agreement is not None and state.takes_answers and item in self.positions
            )]  # fmt: skip
            yield from first
        seen = frozenset(first)
        rank = self._open.find(1)
        while rank >= 0:
            if (position := self._order[rank]) not in seen:
                yield position
            rank = self._open.find(1, rank + 1)

    def counts(self) -> Counts:
        """Return how far the task is."""
        with self.lock:
            return self._tally.counts(len(self.items), self._untouched)


class Tally:
    """Counts of states, kept while states come and go."""

    def __init__(self) -> None:
        self._touched = 0
        self._stages: dict[int, Counter[str]] = {}
        self._people: dict[str, Counter[str]] = {}
        self._labels: dict[str, Counter[str]] = {}

    def add(self, state: ItemState, sign: int) -> None:
        """Count one state in, or with sign -1 out again."""
        self._touched += sign
        _of(self._stages, state.stage)[state.state] += sign
        for place, person in enumerate(state.people):
            _of(self._people, person)["counted" if place < state.counted else "extra"] += sign
        for person in state.skipped:
            _of(self._people, person)["skipped"] += sign
        for label, value in state.values.items():
            _of(self._labels, label)["undecided" if value is None else "answered"] += sign

    def counts(self, items: int, untouched: ItemState) -> Counts:
        """Return the counts of so many items; those that nothing was said about are `untouched`."""
        stages = {number: Counter(found) for number, found in self._stages.items()}
        if left := items - self._touched:
            _of(stages, untouched.stage)[untouched.state] += left
        states = sum(stages.values(), Counter())
        return Counts(items, dict(states), _plain(stages), _plain(self._people), _plain(self._labels))


K = TypeVar("K")


def _of(counters: dict[K, Counter[str]], key: K) -> Counter[str]:
    found = counters.get(key)
    if found is None:
        found = counters[key] = Counter()
    return found


def _plain(counters: Mapping[Any, Counter[str]]) -> dict[Any, dict[str, int]]:
    found = {key: {name: n for name, n in counters[key].items() if n} for key in sorted(counters)}
    return {key: counts for key, counts in found.items() if counts}


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
