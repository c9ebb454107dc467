"""Whether a disk takes more, on a real one of a few megabytes where this may be mounted."""

from __future__ import annotations

from pathlib import Path

import pytest

from contract.errors import LogUnavailable
from contract.topics import EVENTS
from eventlog.embedded.log import SqliteLog
from eventlog.log import Entry
from processor.tables.faults import StoreError
from processor.tables.store import Store
from runtime.disk import LEAST_FREE_BYTES, check_room
from tests.faults.small_disk import fill, small_disk


def test_a_full_disk_is_told_with_and_without_doubt_and_takes_more_after(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 8) as disk:
        check_room(disk)
        check_room(disk, doubtful=True)
        ballast = fill(disk)
        for doubtful in (False, True):
            with pytest.raises(OSError, match="No space left"):
                check_room(disk, doubtful)
        ballast.unlink()
        check_room(disk, doubtful=True)
        assert list(disk.iterdir()) == [], "nothing is left of a probe"


def test_in_doubt_the_disk_is_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As under a quota, of which the system says nothing."""

    def refuse(*_: object) -> None:
        raise OSError(122, "Disk quota exceeded")

    monkeypatch.setattr("runtime.disk.os.fsync", refuse)
    check_room(tmp_path)
    with pytest.raises(OSError, match="quota"):
        check_room(tmp_path, doubtful=True)
    assert list(tmp_path.iterdir()) == []


def test_a_log_whose_disk_is_full_is_not_ready_though_its_files_have_room_and_ready_after(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 24) as disk:
        log = SqliteLog(disk / "events.db")
        # The write-ahead file has room for a trial commit: that one succeeds while events do not fit.
        large = [Entry(EVENTS, "a", b"x" * 900_000)]
        assert log.append(large) != [None]
        ballast = fill(disk)
        assert [log.append([*large] * 4) for _ in range(3)][-1] == [None] * 4
        for _ in range(3):
            with pytest.raises(LogUnavailable, match="disk of the log is full") as caught:
                log.check()
            assert caught.value.hint == "Check the disk's free space."
        # Another process, which has not failed at anything yet, answers the same address.
        other = SqliteLog.__new__(SqliteLog)
        other.__dict__.update(log.__dict__, _failure=None)
        with pytest.raises(LogUnavailable):
            SqliteLog.check(other)
        ballast.unlink()
        log.check()
        assert None not in log.append([Entry(EVENTS, "a", b"after")])
        log.close()


def test_tables_whose_disk_is_full_are_not_ready_and_ready_after(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 32) as disk, Store.open(disk / "tables.duckdb") as store:
        store.check()
        ballast = fill(disk)
        with pytest.raises(StoreError, match="disk of the tables is full"):
            store.check()
        ballast.unlink()
        store.check()
    assert LEAST_FREE_BYTES < 8 * 2**20
