"""What the tables forgot leaves the log's bytes and the database's file, after a crash too, and waits for readers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from eventlog.log import Log
from eventlog.opening import open_log
from processor.history.replay import open_store, replay
from processor.ingest.runner import store_records
from processor.privacy.erasing import Eraser, merged
from processor.tables.digest import table_digests
from processor.tables.store import Store
from runtime.settings import Settings
from tests.processor.privacy.forgotten import DAY, by, forget
from tests.processor.samples import append, interaction, pick

WORDS = "Where does Ann live?"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return replace(Settings(), home=tmp_path)


@pytest.fixture
def log(settings: Settings) -> Iterator[Log]:
    opened = open_log(settings.log_url, 2)
    yield opened
    opened.close()


@pytest.fixture
def store(settings: Settings, log: Log) -> Iterator[Store]:
    """The tables of a log in which ann asked and was forgotten; the bytes have not been erased yet."""
    own = [by("ann", interaction(f"a{n}", {"a": "x", "b": "y"}, prompt=WORDS, via="secret")) for n in range(20)]
    append(log, *own, *(interaction(f"b{n}", {"a": "x"}, prompt="Bob asks") for n in range(20)))
    append(log, *(pick(f"a{n}", "ab", "a", actor="bob") for n in range(20)), forget("ann", DAY))
    with open_store(settings, log) as opened:
        follow(opened, log)
        yield opened


def follow(store: Store, log: Log) -> None:
    places = [(topic, p) for topic in ("thumbwheel.events.v1", "thumbwheel.rejected.v1", "thumbwheel.runs.v1")
              for p in range(log.partitions(topic))]  # fmt: skip
    reader = log.reader(store.claim("test", {place: log.start_offset(*place) for place in places}))
    while any(store.offsets()[place] < log.end_offset(*place) for place in places):
        store_records(store, reader.poll(15, 1.0))
    reader.close()


def grep(folder: Path, words: str) -> list[str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path.name for path in files if words.encode() in path.read_bytes()]


def noted(store: Store) -> int:
    with store.read() as cursor:
        row = cursor.execute("SELECT count(*) FROM erasing").fetchone()
    return int(row[0]) if row else -1


def test_log_and_file_hold_nothing_and_offsets_stay(settings: Settings, log: Log, store: Store, tmp_path: Path) -> None:
    ends = {place: log.end_offset(*place) for place in store.offsets()}
    live = table_digests(store)
    assert grep(tmp_path, WORDS)
    (tmp_path / "processor" / "neighbours").mkdir()
    (tmp_path / "processor" / "neighbours" / "x.usearch").write_bytes(b"vectors")
    Eraser(store, log, tmp_path / "processor" / "neighbours").erase()
    assert grep(tmp_path, WORDS) == grep(tmp_path, "ann") == grep(tmp_path, "vectors") == []
    assert noted(store) == 0
    assert {place: log.end_offset(*place) for place in ends} == ends
    assert table_digests(store) == live
    store.close()
    assert replay(settings).digests == live


def test_what_a_killed_process_left_is_erased_after_the_next_start(log: Log, store: Store, tmp_path: Path) -> None:
    started = Eraser(store, log, tmp_path / "neighbours")
    started.start()
    deadline = threading.Event()
    for _ in range(300):
        if noted(store) == 0 or deadline.wait(0.1):
            break
    started.stop()
    assert grep(tmp_path, WORDS) == []
    assert noted(store) == 0


def test_a_reader_that_does_not_end_holds_the_swap_up_and_loses_nothing(log: Log, store: Store, tmp_path: Path) -> None:
    with store.read() as cursor:
        blocked: list[BaseException] = []

        def rewrite() -> None:
            try:
                store.rewrite(0.2)
            except TimeoutError as error:
                blocked.append(error)

        swapping = threading.Thread(target=rewrite)
        swapping.start()
        swapping.join(30)
        assert len(blocked) == 1
        assert cursor.execute("SELECT count(*) FROM feedback").fetchone() == (20,)
        with store.read() as second:
            assert second.execute("SELECT count(*) FROM feedback").fetchone() == (20,)
    store.rewrite()
    with store.transaction() as cursor:
        cursor.execute("DELETE FROM feedback")
    with store.read() as cursor:
        assert cursor.execute("SELECT count(*) FROM feedback").fetchone() == (0,)


def test_stretches_that_meet_are_read_once() -> None:
    assert merged([("e", 0, 0, 5), ("e", 0, 3, 4), ("e", 0, 5, 9), ("e", 0, 11, 12), ("e", 1, 12, 13)]) == [
        ("e", 0, 0, 9), ("e", 0, 11, 12), ("e", 1, 12, 13),
    ]  # fmt: skip
