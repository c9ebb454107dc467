"""Where items stand after any order of the log, with doubles, over four partitions and several processors: the same."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from contract.events import Event
from contract.topics import EVENTS, RUNS, TOPICS, partition_of
from eventlog.log import Record, entry_for
from processor.ingest.runner import store_records
from processor.parts.folder import PartsFolder
from processor.queries.curation.book import Books
from processor.queries.tasks import get_task, list_items, progress
from processor.tables.store import Store
from tests.processor.parts.test_parts import Processor
from tests.processor.samples import event, event_id, interaction

PARTITIONS = 4
ITEMS = 32
PEOPLE = ("ann", "bob", "cy", "dee")


def story(seed: int = 11) -> list[Event]:
    """A task of four stages whose items end in every state, with changed, retracted, late and forgotten answers."""
    drawn = random.Random(seed)
    names = [f"i-{n}" for n in range(ITEMS)]
    refs = [{"interaction_id": name} for name in names]
    stages = [{"k": 2, "extra": 1, "agree": 0.6}, {"kind": "review"}, {"kind": "batch", "sample": 5}]
    told: list[Event] = [
        event("definition.task", "first", at=1, task_id="t", version=1, labels=["tone"], stages=[{"k": 1}]),
        event("definition.task", "second", at=2, task_id="t", version=2, labels=["tone"], stages=stages),
        event("task.items", "some", at=3, task_id="t", items=refs[:15]),
        event("task.items", "all", at=4, task_id="t", items=refs),
        *(interaction(name, {"a": "Yes.", "b": "No."}) for name in names),
    ]
    for n, name in enumerate(names):
        for at, who in enumerate(drawn.sample(PEOPLE, n % 4)):
            told += _answers(name, who, 10 + at, drawn)
    for n, name in enumerate(names[::3]):
        told.append(event("review", f"review {name}", at=60, actor="rae", actor_kind="expert", interaction_id=name,
                          task_id="t", stage=1, verdict=("accept", "reject", "fix")[n % 3], via="console",
                          **({"answers": {"tone": "z"}} if n % 3 == 2 else {})))  # fmt: skip
    told += [
        event("batch.drawn", "drawn", at=70, task_id="t", batch_id="b", stage=2, population=refs, sample=refs[:5]),
        event("batch.verdict", "good", at=71, task_id="t", batch_id="b", verdict="accept"),
        event("adjudication", "decided", at=80, actor="eve", actor_kind="expert", interaction_id="i-7", task_id="t",
              answers={"tone": "b"}, via="console"),
    ]  # fmt: skip
    return told


def _answers(name: str, who: str, at: int, drawn: random.Random) -> list[Event]:
    on: dict[str, Any] = {"interaction_id": name, "task_id": "t", "actor": who, "actor_kind": "agent"}
    if drawn.random() < 0.2:
        return [event("annotation", f"{who} skips {name}", at=at, skipped="unclear", **on)]
    said = [event("annotation", f"{who} on {name}", at=at, answers={"tone": drawn.choice("aaab")}, **on)]
    if drawn.random() < 0.2:
        said.append(event("annotation", f"{who} again {name}", at=at + 20, answers={"tone": "c"}, **on))
    elif drawn.random() < 0.2:
        said.append(event("retract", f"{who} undoes {name}", at=at + 20, interaction_id=name, actor=who,
                          target=event_id(f"{who} on {name}")))  # fmt: skip
    return said


def standing(store: Store, books: Books | None = None) -> Any:
    with store.read() as cursor:
        task = get_task(cursor, "default", "t")
        items = list_items(cursor, "default", task, limit=500, books=books or Books()).items
        return items, progress(cursor, "default", task, books or Books())


class Log:
    """Records of four partitions of the events, in the order given; each partition has offsets of its own."""

    def __init__(self, events: list[Event]) -> None:
        ends: dict[tuple[str, int], int] = {}
        self.records: list[Record] = []
        for one in events:
            entry = entry_for(one)
            place = (entry.topic, 0 if entry.topic == RUNS else partition_of(entry.key, PARTITIONS))
            offset = ends.get(place, 0)
            ends[place] = offset + 1
            self.records.append(Record(*place, offset, entry.key, entry.value, 1_700_000_000_000))


@contextmanager
def alone() -> Iterator[Store]:
    with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder) / "t.duckdb") as store:
        store.claim("test", {(topic, p): 0 for topic in TOPICS for p in range(PARTITIONS)})
        yield store


@pytest.fixture(scope="module")
def expected() -> Any:
    with alone() as store:
        store_records(store, Log(story()).records)
        return standing(store)


def test_the_story_meets_every_state(expected: Any) -> None:
    items, counts = expected
    assert {one["state"] for one in items} >= {
        "open", "returned", "disputed", "settled", "in_review", "unanswerable",
    }  # fmt: skip
    assert counts.items == ITEMS and sum(counts.states.values()) == ITEMS
    assert any(one["extra"] for one in items) and any(one["skipped"] for one in items)


@pytest.mark.parametrize("seed", range(4))
def test_shuffled_and_doubled_over_four_partitions_items_stand_the_same(seed: int, expected: Any) -> None:
    drawn = random.Random(seed)
    told = story()
    told += drawn.sample(told, 30)
    drawn.shuffle(told)
    books = Books()
    with alone() as store:
        rest = Log(told).records
        while rest:
            some, rest = rest[: (cut := drawn.randint(1, 40))], rest[cut:]
            store_records(store, some)
            # Whoever asks in between changes nothing about what is answered later.
            if any(record.topic == RUNS and b"definition.task" in record.value for record in some):
                standing(store, books)
        assert standing(store, books) == standing(store) == expected


@pytest.mark.parametrize("seed", range(2))
def test_with_several_processors_the_one_that_holds_all_says_the_same(seed: int, expected: Any, tmp_path: Path) -> None:
    drawn = random.Random(seed)
    told = story()
    drawn.shuffle(told)
    log = Log(told)
    folder = PartsFolder(str(tmp_path / "parts"))
    with ExitStack() as stack:
        stores = [stack.enter_context(Store.open(tmp_path / f"{n}.duckdb")) for n in range(3)]
        made = [Processor(store, folder, f"p-{n}") for n, store in enumerate(stores)]
        for processor, owned in zip(made, ((0, 3), (1,), (2,)), strict=True):
            processor.own(*owned)
            processor.read(log.records)
        for processor in made[1:]:
            processor.publisher.publish(processor.owned, 1)
        made[0].intake.catch_up({1, 2})
        assert {record.topic for record in log.records} == {EVENTS, RUNS}
        assert standing(stores[0]) == expected
