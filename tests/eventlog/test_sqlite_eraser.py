"""Records of the embedded log are overwritten where they lie, beside writers and readers; no file keeps a copy."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from contract.errors import LogUnavailable
from contract.topics import EVENTS
from eventlog.embedded import eraser as sqlite_eraser
from eventlog.embedded.log import SqliteLog
from eventlog.log import Entry, Record

SECRET = b"the words of one person"
SIZES = (30, 300, 3000, 30_000)
# Small ones first: the page they fill becomes the root of the tree above them.
SMALL = 60


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteLog]:
    opened = SqliteLog(tmp_path / "log" / "events.db")
    yield opened
    opened.close()


def read(log: SqliteLog) -> list[Record]:
    reader = log.reader({(EVENTS, 0): 0})
    found: list[Record] = []
    while records := reader.poll(10_000, 0.0):
        found += records
    reader.close()
    return found


def grep(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file() and SECRET in path.read_bytes()]


def fill(log: SqliteLog, count: int = 400) -> list[int]:
    """Append small and large records, every third with the secret; return the offsets of those."""
    offsets = []
    for number in range(count):
        words = SECRET if number % 3 == 0 else b"what another person said"
        value = (words * 2000)[: 200 if number < SMALL else SIZES[number % len(SIZES)]]
        position = log.append([Entry(EVENTS, f"key-{number}", value)])[0]
        assert position is not None
        if words is SECRET:
            offsets.append(position.offset)
    return offsets


def blanks(log: SqliteLog, offsets: list[int]) -> dict[int, tuple[str, bytes]]:
    wanted = set(offsets)
    return {r.offset: ("-" * len(r.key), b" " * len(r.value)) for r in read(log) if r.offset in wanted}


def test_overwritten_while_others_write_and_read(log: SqliteLog, tmp_path: Path) -> None:
    offsets = fill(log)
    before = read(log)
    values = blanks(log, offsets)
    stop = threading.Event()
    confirmed: list[int] = []

    def write() -> None:
        while not stop.is_set():
            position = log.append([Entry(EVENTS, "k", b"%d" % len(confirmed))])[0]
            assert position is not None
            confirmed.append(position.offset)

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    try:
        assert grep(tmp_path)
        log.overwrite(EVENTS, 0, values)
        log.purge()
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert grep(tmp_path) == []
    after = read(log)
    assert [record.offset for record in after] == list(range(len(after)))
    assert after[: len(before)] == [
        record._replace(key=values[record.offset][0], value=values[record.offset][1])
        if record.offset in values else record for record in before
    ]  # fmt: skip
    assert sorted(confirmed) == [record.offset for record in after[len(before) :]]


def test_a_log_of_an_earlier_release_is_written_anew_once(tmp_path: Path) -> None:
    old = SqliteLog(tmp_path / "log" / "events.db")
    old._db.execute("PRAGMA secure_delete=OFF; PRAGMA application_id=0").fetchall()
    offsets = fill(old)
    old.overwrite(EVENTS, 0, blanks(old, offsets))
    old.purge()
    assert grep(tmp_path) == []
    assert old._db.execute("PRAGMA application_id").get != 0
    assert len(read(old)) == 400
    old.close()


def test_a_value_of_another_length_or_at_no_offset_changes_nothing(log: SqliteLog) -> None:
    fill(log, 4)
    before = read(log)
    for wrong in ({1: ("key-1", b"short")}, {9: ("key-9", b"none")}, {1: ("k", before[1].value)}):
        with pytest.raises(ValueError, match="no record of that length"):
            log.overwrite(EVENTS, 0, {0: ("-----", b" " * len(before[0].value)), **wrong})
    assert read(log) == before


def test_a_reader_that_never_ends_is_named(log: SqliteLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_eraser, "PURGE_SECONDS", 0.2)
    fill(log, 4)
    reading = apsw.Connection(str(log.path))
    rows = reading.execute("SELECT * FROM log_0_0")
    next(rows)
    log.append([Entry(EVENTS, "k", b"later")])
    with pytest.raises(LogUnavailable, match="reads the log"):
        log.purge()
    reading.close(True)
    log.purge()
