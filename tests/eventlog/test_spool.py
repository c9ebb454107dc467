"""The collector's spool: what the brokers do not take waits on the disk, in order, and follows when they are back."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from contract.errors import LogUnavailable, SettingsError
from contract.topics import EVENTS, REJECTED
from eventlog.embedded.log import SqliteLog
from eventlog.log import Entry, Log, Record
from eventlog.opening import open_log
from eventlog.spool import SpooledLog, claim, open_spooled
from tests.waiting import eventually


@pytest.fixture
def far(tmp_path: Path) -> Path:
    """Another log in the brokers' place: it is away while another process holds its turn."""
    return tmp_path / "far" / "events.db"


@contextmanager
def away(path: Path) -> Iterator[None]:
    with Path(f"{path}.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def read_all(log: Log, topic: str = EVENTS) -> list[Record]:
    reader = log.reader({(topic, 0): 0})
    try:
        found: list[Record] = []
        while records := reader.poll(1000, 0.2):
            found += records
        return found
    finally:
        reader.close()


def entries(*names: str) -> list[Entry]:
    return [Entry(EVENTS, "i", name.encode()) for name in names]


def test_while_the_log_answers_nothing_lies_on_the_disk(far: Path, tmp_path: Path) -> None:
    log = SpooledLog(lambda: SqliteLog(far), tmp_path / "spool")
    assert None not in log.append(entries("a", "b"))
    assert (log.waiting(), log.degraded, log.promise) == (0, False, "fsync")
    assert [one.value for one in read_all(log)] == [b"a", b"b"]
    log.close()


def test_what_the_log_does_not_take_is_durable_here_and_follows_in_order(far: Path, tmp_path: Path) -> None:
    log = SpooledLog(lambda: SqliteLog(far), tmp_path / "spool")
    log.append(entries("0"))
    with away(far):
        assert None not in log.append(entries("1", "2"))
        assert None not in log.append([*entries("3"), Entry(REJECTED, "i", b"no")])
        assert (log.waiting(), log.degraded) == (4, True)
        assert log.promise == "fsync here, forwarded later"
    eventually(lambda: not log.degraded, 30)
    values = [one.value for one in read_all(log)]
    # What was not acknowledged in time may be written all the same: at least once, which event ids make once.
    assert list(dict.fromkeys(values)) == [b"0", b"1", b"2", b"3"]
    assert {one.value for one in read_all(log, REJECTED)} == {b"no"}
    log.close()


def test_what_waits_outlasts_the_process_and_a_start_without_the_log(far: Path, tmp_path: Path) -> None:
    reachable = False

    def connect() -> Log:
        if not reachable:
            raise LogUnavailable("not yet")
        return SqliteLog(far)

    first = SpooledLog(connect, tmp_path / "spool")
    assert None not in first.append(entries("a", "b"))
    with pytest.raises(LogUnavailable):
        first.reader({(EVENTS, 0): 0})
    first.close()
    second = SpooledLog(connect, tmp_path / "spool")
    second.append(entries("c"))
    assert second.waiting() == 3
    reachable = True
    eventually(lambda: not second.degraded, 30)
    assert [one.value for one in read_all(second)] == [b"a", b"b", b"c"]
    second.close()


def test_two_processes_share_a_spool_and_one_forwards(far: Path, tmp_path: Path) -> None:
    one, other = (SpooledLog(lambda: SqliteLog(far), tmp_path / "spool") for _ in range(2))
    with away(far):
        one.append(entries(*(f"one-{n}" for n in range(50))))
        other.append(entries(*(f"other-{n}" for n in range(50))))
    eventually(lambda: not one.degraded and not other.degraded, 30)
    wanted = {f"{who}-{n}".encode() for who in ("one", "other") for n in range(50)}
    assert {record.value for record in read_all(one)} == wanted
    one.close()
    other.close()


class Picky:
    """A log that never takes one record, as brokers with a smaller limit do not."""

    def __init__(self, log: Log) -> None:
        self.log = log

    def append(self, given: list[Entry], timeout_s: float = 10.0) -> list[object]:
        taken = iter(self.log.append([one for one in given if one.value != b"too large"], timeout_s))
        return [None if one.value == b"too large" else next(taken) for one in given]

    def __getattr__(self, name: str) -> object:
        return getattr(self.log, name)


def test_a_record_that_is_never_taken_is_put_aside_and_holds_up_nobody(
    far: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eventlog.spool.ASK_SECONDS", 0.05)
    log = SpooledLog(lambda: Picky(SqliteLog(far)), tmp_path / "spool")  # type: ignore[arg-type, return-value]
    assert None not in log.append(entries("a", "too large", "b"))
    eventually(lambda: log.waiting() == 0)
    assert {one.value for one in read_all(log)} == {b"a", b"b"}
    aside = (tmp_path / "spool" / "refused.jsonl").read_text().splitlines()
    assert len(aside) == 1 and '"key": "i"' in aside[0]
    log.close()


def test_a_spool_of_another_host_is_refused(tmp_path: Path) -> None:
    claim(tmp_path / "spool")
    (tmp_path / "spool" / "owner").write_text("collector-7d9f")
    with pytest.raises(SettingsError, match="belongs to 'collector-7d9f'") as refused:
        claim(tmp_path / "spool")
    assert "StatefulSet" in refused.value.hint


def test_a_place_that_goes_with_the_container_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "volatile"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(place)], capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount")
    try:
        with pytest.raises(SettingsError, match="lies on tmpfs"):
            claim(place / "spool")
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_an_embedded_log_takes_no_spool(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'events.db'}"
    with pytest.raises(SettingsError, match="needs no spool"):
        open_spooled(url, str(tmp_path / "spool"))
    log = open_spooled(url, "")
    assert isinstance(log, SqliteLog)
    log.close()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="cannot be written"):
        claim(tmp_path / "file" / "spool")


def test_the_oldest_records_are_cut_beside_a_reader_and_offsets_stay(tmp_path: Path) -> None:
    log = open_log(f"sqlite:///{tmp_path / 'events.db'}")
    assert isinstance(log, SqliteLog)
    log.append(entries(*(str(n) for n in range(12_000))))
    reader = log.reader({(EVENTS, 0): 11_990})
    log.cut(EVENTS, 0, 11_990)
    assert (log.start_offset(EVENTS, 0), log.end_offset(EVENTS, 0)) == (11_990, 12_000)
    assert [one.offset for one in reader.poll(100, 1.0)] == list(range(11_990, 12_000))
    log.cut(EVENTS, 0, 50_000)
    assert log.start_offset(EVENTS, 0) == log.end_offset(EVENTS, 0) == 12_000
    position = log.append(entries("next"))[0]
    assert position is not None and position.offset == 12_000
    reader.close()
    log.close()
    assert os.stat(tmp_path / "events.db").st_mode & 0o077 == 0
