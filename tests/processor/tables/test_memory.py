"""The processor's memory: what bounds it, and that running out of it loses, doubles and refuses no event."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from contract.events import Event
from contract.topics import EVENTS, TOPICS
from eventlog.log import Record
from eventlog.opening import open_log
from processor.history.replay import open_store
from processor.ingest import runner
from processor.ingest.batch import Batch
from processor.ingest.runner import store_records
from processor.tables.digest import table_digests
from processor.tables.faults import StoreError, StoreFatal, StoreMemory
from processor.tables.memory import Available, available, tables_memory
from processor.tables.store import Position, Store, _commit
from runtime.settings import LEAST_PROCESSOR_MEMORY, Settings
from tests.processor.samples import interaction, pick, records

MIB = 2**20
# One list of 160 MB.
TOO_MUCH = "SELECT len(list(range)) FROM range(20_000_000)"
TEXT = "All work and no play makes a long answer. " * 20


def story(turns: int) -> Iterator[Event]:
    for turn in range(turns):
        yield interaction(f"t{turn}", {"a": f"{turn} {TEXT}", "b": f"{TEXT} {turn}"}, prompt=f"{turn}? {TEXT}")
        yield pick(f"t{turn}", "ab", "a")


def begin(path: Path, memory: int | None) -> Store:
    store = Store.open(path, memory)
    store.claim("test", {(topic, 0): 0 for topic in TOPICS})
    return store


def follow(store: Store, log: list[Record], batch: int) -> None:
    """Store the log from where the tables are, so many records at a time."""
    place: Position = (EVENTS, 0)
    while (offset := store.offsets()[place]) < len(log):
        store_records(store, log[offset : offset + batch])


@pytest.fixture(scope="module")
def log() -> list[Record]:
    return records(story(750))


@pytest.fixture(scope="module")
def whole(log: list[Record], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    with begin(tmp_path_factory.mktemp("whole") / "tables.duckdb", None) as store:
        follow(store, log, 1000)
        return table_digests(store)


@pytest.mark.parametrize(("mib", "batch"), [(6, 300), (8, 1500)])
def test_out_of_memory_the_processor_stops_and_with_more_it_goes_on_as_if_nothing_had_been(
    log: list[Record], whole: dict[str, str], tmp_path: Path, mib: int, batch: int
) -> None:
    path = tmp_path / "tables.duckdb"
    begin(path, None).close()
    with pytest.raises(StoreError) as caught, begin(path, mib * MIB) as little:
        follow(little, log, batch)
    assert "THUMBWHEEL_PROCESSOR_MEMORY" in caught.value.hint
    with begin(path, LEAST_PROCESSOR_MEMORY) as enough:
        follow(enough, log, batch)
        assert table_digests(enough) == whole
        with enough.read() as cursor:
            assert cursor.execute("SELECT count(*) FROM rejected").fetchone() == (0,)


def test_a_batch_that_does_not_fit_is_stored_a_part_at_a_time(
    log: list[Record], whole: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_batch = runner.store_batch

    def limited(store: Store, batch: Batch) -> None:
        if batch.decoded.records > 100:
            with store.transaction() as cursor:
                cursor.execute(TOO_MUCH)
        store_batch(store, batch)

    monkeypatch.setattr(runner, "store_batch", limited)
    with begin(tmp_path / "tables.duckdb", 32 * MIB) as store:
        follow(store, log, 1000)
        assert table_digests(store) == whole


def test_an_error_of_memory_leaves_the_tables_usable(tmp_path: Path) -> None:
    with begin(tmp_path / "tables.duckdb", 32 * MIB) as store:
        for within in (store.read, store.transaction):
            with pytest.raises(StoreMemory) as caught, within() as cursor:
                cursor.execute(TOO_MUCH)
            assert caught.value.status == 503 and "THUMBWHEEL_PROCESSOR_MEMORY" in caught.value.hint
        follow(store, records(story(2)), 10)


def test_a_rewritten_file_keeps_its_bound(tmp_path: Path) -> None:
    with begin(tmp_path / "tables.duckdb", 300 * MIB) as store:
        for _ in range(2):
            with store.read() as cursor:
                assert cursor.execute("SELECT current_setting('memory_limit')").fetchone() == ("300.0 MiB",)
            store.rewrite()


def test_the_setting_bounds_the_tables(tmp_path: Path) -> None:
    settings = replace(Settings(), home=tmp_path, processor_memory="1GiB")
    log = open_log(settings.log_url)
    with open_store(settings, log) as store, store.read() as cursor:
        assert cursor.execute("SELECT current_setting('memory_limit')").fetchone() == ("1.0 GiB",)
    log.close()


GIB = 2**30
MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def groups(root: Path, line: str, files: dict[str, str]) -> Path:
    for name, text in {"proc/self/cgroup": line, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


def test_a_containers_limit_is_what_there_is(tmp_path: Path) -> None:
    v2 = groups(tmp_path / "v2", "0::/", {"sys/fs/cgroup/memory.max": str(GIB // 2)})
    assert available(v2) == Available(GIB // 2, True)
    v1 = groups(
        tmp_path / "v1", "9:name=systemd:/\n4:cpu,memory:/docker/12ab\n0::/",
        {"sys/fs/cgroup/memory/memory.limit_in_bytes": str(GIB // 4)},
    )  # fmt: skip
    assert available(v1) == Available(GIB // 4, True)


def test_the_least_limit_of_the_groups_around_counts(tmp_path: Path) -> None:
    root = groups(tmp_path, "0::/pods/one/main", {
        "sys/fs/cgroup/pods/one/main/memory.max": "max", "sys/fs/cgroup/pods/one/memory.max": str(GIB // 2),
        "sys/fs/cgroup/pods/memory.max": str(GIB),
    })  # fmt: skip
    assert available(root) == Available(GIB // 2, True)


def test_without_a_limit_the_machine_is_what_there_is(tmp_path: Path) -> None:
    assert available(tmp_path) == Available(MACHINE, False)
    v1 = {"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712"}
    assert available(groups(tmp_path, "4:memory:/", v1)) == Available(MACHINE, False)


def test_the_tables_take_half_of_a_container_or_a_quarter_of_a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for found, expected in (
        (Available(8 * GIB, True), 4 * GIB), (Available(24 * GIB, False), 6 * GIB),
        (Available(GIB // 4, True), LEAST_PROCESSOR_MEMORY),
    ):  # fmt: skip
        monkeypatch.setattr("processor.tables.memory.available", lambda found=found: found)
        assert tables_memory(Settings()) == expected
        assert tables_memory(replace(Settings(), processor_memory="512MiB")) == 512 * MIB


def test_after_a_commit_out_of_memory_nothing_is_written_any_more(log: list[Record], tmp_path: Path) -> None:
    path = tmp_path / "tables.duckdb"
    begin(path, None).close()
    store = begin(path, 8 * MIB)
    with pytest.raises(StoreFatal) as first:
        follow(store, log, 1500)
    with pytest.raises(StoreFatal) as second, store.transaction():
        pass
    assert second.value is first.value
    before = path.read_bytes()
    store.close()
    assert path.read_bytes() == before


def test_a_commit_on_a_full_disk_ends_the_store() -> None:
    class Full:
        def commit(self) -> None:
            raise duckdb.TransactionException("Failed to commit: Could not write file: No space left on device")

    with pytest.raises(StoreFatal) as caught:
        _commit(Full())  # type: ignore[arg-type]
    assert caught.value.code == "store_fatal" and caught.value.hint.startswith("Free some disk space.")
