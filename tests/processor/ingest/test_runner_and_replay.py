"""The processor on a real log: it follows, survives being killed, and a replay gives the same tables."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from contract.errors import ThumbwheelError
from contract.topics import EVENTS
from eventlog.log import Entry, Log, Record
from processor.history.replay import open_store, replay, store_path
from processor.ingest.batch import Batch
from processor.ingest.runner import Runner, store_records
from processor.tables.digest import table_digests
from processor.tables.store import Store
from runtime.settings import Settings
from tests.processor.samples import append, event, interaction, pick


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return replace(Settings(), home=tmp_path)


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def count(store: Store, table: str) -> int:
    with store.read() as cursor:
        row = cursor.execute(f"SELECT count(*) FROM {table}").fetchone()
    return int(row[0]) if row else 0


def talk(log: Log, start: int, turns: int) -> None:
    for turn in range(start, start + turns):
        append(
            log, interaction(f"t{turn}", {"a": f"yes {turn}", "b": "no"}, prompt=f"question {turn}"),
            pick(f"t{turn}", "ab", "a"),
        )  # fmt: skip


def test_an_event_becomes_visible_while_the_processor_runs(settings: Settings, log: Log) -> None:
    with open_store(settings, log) as store:
        runner = Runner(store, log)
        runner.start()
        talk(log, 0, 1)
        until(lambda: count(store, "pairs") == 1)
        runner.stop()
        assert runner.error is None


def test_a_batch_closes_at_so_many_bytes(settings: Settings, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def slowly(store: Store, records: Sequence[Record], batch: Batch | None = None) -> bool:
        sizes.append(sum(len(record.value) for record in records))
        time.sleep(0.05)
        return store_records(store, records, batch)

    monkeypatch.setattr("eventlog.embedded.reader.MAX_POLL_BYTES", 2_000)
    monkeypatch.setattr("processor.ingest.runner.BATCH_BYTES", 5_000)
    monkeypatch.setattr("processor.ingest.runner.store_records", slowly)
    talk(log, 0, 100)
    with open_store(settings, log) as store:
        runner = Runner(store, log)
        runner.start()
        until(lambda: count(store, "pairs") == 100)
        runner.stop()
    assert 5_000 <= max(sizes) < 8_000


def test_a_restart_goes_on_where_it_stopped(settings: Settings, log: Log) -> None:
    for start in (0, 5):
        with open_store(settings, log) as store:
            runner = Runner(store, log)
            runner.start()
            talk(log, start, 5)
            until(lambda: count(store, "events") == (start + 5) * 2)  # noqa: B023
            runner.stop()


def test_replay_gives_the_same_tables(settings: Settings, log: Log) -> None:
    append(log, event("run.started", "r", run_id="run-1", method="dpo", via="trainer"))
    log.append([Entry(EVENTS, "k", b"unreadable")])
    with open_store(settings, log) as store:
        runner = Runner(store, log, batch_records=3)
        runner.start()
        talk(log, 0, 20)
        until(lambda: count(store, "pairs") == 20)
        runner.stop()
        live = table_digests(store)
    seen: list[tuple[int, int]] = []
    report = replay(settings, lambda done, total: seen.append((done, total)))
    assert report.differing == ()
    assert report.digests == live
    assert report.records == 42
    assert seen[-1] == (42, 42)


def test_replay_of_a_deleted_file_gives_the_same_tables(settings: Settings, log: Log) -> None:
    talk(log, 0, 10)
    first = replay(settings)
    store_path(settings).unlink()
    second = replay(settings)
    assert second.digests == first.digests


def test_replay_refuses_while_the_tables_are_in_use(settings: Settings, log: Log, tmp_path: Path) -> None:
    import subprocess
    import sys

    program = (
        "import sys, pathlib\nfrom processor.tables.store import Store\n"
        "store = Store.open(pathlib.Path(sys.argv[1]))\nprint('open', flush=True)\nsys.stdin.read()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program, str(store_path(settings))],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdout is not None and holder.stdout.readline() == "open\n"
    try:
        with pytest.raises(ThumbwheelError, match="Another process has"):
            replay(settings)
    finally:
        holder.communicate()


def test_tables_made_by_other_code_are_replayed_at_the_start(settings: Settings, log: Log) -> None:
    talk(log, 0, 3)
    replay(settings)
    with Store.open(store_path(settings)) as store:
        store.set_meta({"code_version": "older"})
        with store.transaction() as cursor:
            cursor.execute("DELETE FROM pairs")
    with open_store(settings, log) as store:
        assert count(store, "pairs") == 3


def test_an_error_of_the_writer_is_reported_once(settings: Settings, log: Log) -> None:
    told: list[BaseException] = []
    with open_store(settings, log) as store:
        runner = Runner(store, log, failed=told.append)
        runner.start()
        with store.transaction() as cursor:
            cursor.execute("UPDATE offsets SET epoch = epoch + 1")
        talk(log, 0, 1)
        until(lambda: bool(told))
        runner.stop()
    assert "took over" in str(told[0])
    assert len(told) == 1
