"""What only the embedded log promises: fsync before the answer, turns between processes, readers that clean up."""

from __future__ import annotations

import os
import resource
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from contract.errors import LogUnavailable, SettingsError
from contract.topics import EVENTS, REJECTED
from eventlog.embedded.log import SqliteLog, check_sqlite_version
from eventlog.embedded.pipes import SUFFIX, Pipe, poke_all
from eventlog.log import Entry, Record
from eventlog.opening import open_log
from tests.eventlog.test_log import REPOSITORY, appender, entries, read
from tests.waiting import eventually


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log" / "events.db"


@pytest.fixture
def log(path: Path) -> Iterator[SqliteLog]:
    opened = SqliteLog(path)
    yield opened
    opened.close()


def test_what_was_confirmed_before_kill_9_is_in_the_log(path: Path) -> None:
    confirmed: list[str] = []
    for round_number in range(5):
        process = appender(f"sqlite:///{path}", f"round-{round_number}", 100_000)
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(30 + 17 * round_number)]
        process.send_signal(signal.SIGKILL)
        lines += process.communicate(timeout=30)[0].splitlines()
        confirmed += [line.split()[2] for line in lines if len(line.split()) == 3]
    log = SqliteLog(path)
    records = read(log, log.end_offset(EVENTS, 0))
    log.close()
    assert set(confirmed) <= {record.value.decode() for record in records}
    assert [record.offset for record in records] == list(range(len(records)))


def test_a_writer_stopped_in_its_turn_delays_others_and_loses_nothing(log: SqliteLog, path: Path) -> None:
    process = appender(f"sqlite:///{path}", "stopped", 100_000)
    assert process.stdout is not None
    for _ in range(5):
        process.stdout.readline()
    holder = SqliteLog(path)
    with holder._turn():
        assert log.append(entries("too late"), timeout_s=0.3) == [None]
    [position] = log.append(entries("in time"), timeout_s=10.0)
    assert position is not None
    holder.close()
    process.kill()
    process.communicate(timeout=30)
    values = [record.value for record in read(log, log.end_offset(EVENTS, 0))]
    assert values.count(b"in time") == 1 and values.count(b"too late") == 1


FULL_DISK = """
import os, resource, signal, sys
from contract.errors import LogUnavailable
from eventlog.log import Entry
from eventlog.opening import open_log
from contract.topics import EVENTS

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
log = open_log(sys.argv[1])
print(log.append([Entry(EVENTS, "a", b"x" * 1000)])[0] is not None)
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
full = os.path.getsize(str(log.path) + "-wal")
resource.setrlimit(resource.RLIMIT_FSIZE, (full, most))
print([log.append([Entry(EVENTS, "a", b"x" * 1000)])[0] for _ in range(3)])
try:
    log.check()
except LogUnavailable as error:
    print(error.hint)
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
log.check()
print(log.append([Entry(EVENTS, "a", b"after")])[0].offset)
log.close()
"""


def test_a_full_disk_is_answered_as_not_durable_and_recovers_without_a_restart(path: Path) -> None:
    command = [sys.executable, "-c", FULL_DISK, f"sqlite:///{path}"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.splitlines() == ["True", "[None, None, None]", "Check the disk's free space.", "1"], done.stderr


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(LogUnavailable, match=r"file/log/events\.db") as caught:
        open_log(f"sqlite:///{tmp_path}/file/log/events.db")
    assert "Check the folder" in caught.value.hint


@pytest.mark.skipif(os.geteuid() == 0, reason="needs a user other than root, whom no mode stops")
def test_a_read_only_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir(mode=0o500)
    with pytest.raises(LogUnavailable, match=r"events\.db"):
        SqliteLog(tmp_path / "log" / "events.db")


def test_a_file_that_is_no_log_is_named_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is a diary, not a database" * 200)
    with pytest.raises(LogUnavailable, match="not a database"):
        SqliteLog(path)
    assert path.read_bytes().startswith(b"this is a diary")


def test_the_content_is_readable_by_its_owner_only(log: SqliteLog, path: Path) -> None:
    log.append(entries("a"))
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert set(modes.values()) == {0o600}, modes


def test_sync_is_full_and_the_file_is_not_mapped(log: SqliteLog) -> None:
    settings = {name: log._db.execute(f"PRAGMA {name}").get for name in ("journal_mode", "synchronous", "mmap_size")}
    assert settings == {"journal_mode": "wal", "synchronous": 2, "mmap_size": 0}


@pytest.mark.parametrize("version", ["3.40.1", "3.44.5", "3.50.6", "3.51.2"])
def test_a_sqlite_that_can_lose_pages_is_refused(version: str) -> None:
    with pytest.raises(SettingsError, match="several writers") as caught:
        check_sqlite_version(version)
    assert "apsw" in caught.value.hint


@pytest.mark.parametrize("version", ["3.44.6", "3.50.7", "3.51.3", "3.54.1", "4.0.0"])
def test_a_sqlite_with_the_fix_is_taken(version: str) -> None:
    check_sqlite_version(version)


def test_the_pipe_of_a_killed_reader_is_removed_by_the_next_writer(log: SqliteLog, path: Path) -> None:
    program = f"""
import sys
from eventlog.opening import open_log
log = open_log("sqlite:///{path}")
reader = log.reader({{("{EVENTS}", 0): 0}})
print("waiting", flush=True)
reader.poll(wait_s=60)
"""
    process = subprocess.Popen([sys.executable, "-c", program], cwd=REPOSITORY, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    assert len(list(path.parent.glob("*" + SUFFIX))) == 1
    process.kill()
    process.communicate(timeout=30)
    log.append(entries("a"))
    assert list(path.parent.glob("*" + SUFFIX)) == []


def test_a_commit_counts_even_if_no_reader_can_be_woken(log: SqliteLog, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Path) -> None:
        raise PermissionError("not yours")

    monkeypatch.setattr("eventlog.embedded.log.poke_all", fail)
    assert None not in log.append(entries("a"))
    log.check()


def test_a_reader_that_starts_while_others_write_keeps_its_pipe(tmp_path: Path) -> None:
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            poke_all(tmp_path)

    writers = [threading.Thread(target=write) for _ in range(3)]
    for writer in writers:
        writer.start()
    for _ in range(300):
        pipe = Pipe(tmp_path)
        assert pipe.path.exists()
        pipe.close()
    stop.set()
    for writer in writers:
        writer.join()


def test_a_reader_that_was_away_for_a_hundred_thousand_commits_can_still_be_woken(tmp_path: Path) -> None:
    pipe = Pipe(tmp_path)
    for _ in range(100_000):
        poke_all(tmp_path)
    pipe.wake()
    pipe.drain()
    assert pipe.woken() and not pipe.woken()
    began = time.monotonic()
    pipe.wait(0.2)
    assert time.monotonic() - began > 0.15
    pipe.close()
    pipe.close()
    pipe.wake()


def test_a_reader_works_in_a_process_with_very_many_open_files(log: SqliteLog) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2000:
        pytest.skip("needs a limit of 2000 open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2000), hard))
    files = [os.open("/dev/null", os.O_RDONLY) for _ in range(1100)]
    try:
        reader = log.reader({(EVENTS, 0): 0})
        assert reader.poll(wait_s=0.05) == []
        log.append(entries("a"))
        assert len(reader.poll(wait_s=5.0)) == 1
        reader.close()
    finally:
        for file in files:
            os.close(file)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_one_poll_is_bounded_in_bytes(log: SqliteLog) -> None:
    for _ in range(10):
        log.append([Entry(EVENTS, "k", b"x" * 900_000) for _ in range(4)])
    reader = log.reader({(EVENTS, 0): 0})
    polls: list[list[Record]] = []
    while found := reader.poll(wait_s=0.0):
        polls.append(found)
    assert [record.offset for found in polls for record in found] == list(range(40))
    assert max(sum(len(record.value) for record in found) for found in polls) < 17 * 2**20 and len(polls) > 1
    # The write-ahead file is reset while this reader is open, since it stands nowhere in it. The log's own checkpoint,
    # which runs beside, is waited for.
    eventually(lambda: log._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").get == (0, 0, 0))
    reader.close()


def test_waiting_appends_are_bounded_in_bytes(log: SqliteLog, path: Path) -> None:
    other = SqliteLog(path)
    answers: list[object] = []
    with other._turn():
        threads = [
            threading.Thread(target=lambda: answers.extend(log.append([Entry(EVENTS, "k", b"x" * 2**20)] * 10, 30.0)))
            for _ in range(10)
        ]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        # Those past 64 MiB were refused at once, the others still wait.
        refused = len(answers)
    for thread in threads:
        thread.join(60)
    other.close()
    assert 20 <= refused <= 50 and answers.count(None) == refused and len(answers) == 100


def test_closing_answers_appends_that_wait_for_another_process_s_turn(log: SqliteLog, path: Path) -> None:
    other = SqliteLog(path)
    answers: list[object] = []
    with other._turn():
        threads = [threading.Thread(target=lambda: answers.extend(log.append(entries("a"), 3.0))) for _ in range(3)]
        for thread in threads:
            thread.start()
            time.sleep(0.1)
        log.close(timeout_s=0.2)
        time.sleep(0.2)
        # One is with the writer, which waits for its turn; the others were answered.
        assert answers == [None, None]
    for thread in threads:
        thread.join(10)
    other.close()
    assert len(answers) == 3


def test_a_log_cut_under_a_reader_is_reported_not_skipped(log: SqliteLog) -> None:
    log.append(entries(*map(str, range(6))))
    reader = log.reader({(EVENTS, 0): 0})
    assert len(reader.poll(max_records=2)) == 2
    log._db.execute("DELETE FROM log_0_0 WHERE position < 4")
    with pytest.raises(LogUnavailable, match="the log starts later"):
        reader.poll()
    reader.close()
    with pytest.raises(LogUnavailable, match=r"0 of 4\.\.6"):
        log.reader({(EVENTS, 0): 0})
    assert log.start_offset(EVENTS, 0) == 4


def test_expired_rejected_events_are_passed_over(log: SqliteLog) -> None:
    log.append(entries(*map(str, range(6)), topic=REJECTED))
    log._db.execute("DELETE FROM log_1_0 WHERE position < 4")
    reader = log.reader({(REJECTED, 0): 0})
    assert [record.offset for record in reader.poll()] == [4, 5]
    reader.close()


def test_a_trial_commit_leaves_no_record(log: SqliteLog) -> None:
    log._failure = "disk I/O error"
    log.check()
    assert log._failure is None and log.end_offset(EVENTS, 0) == 0


def test_apsw_is_new_enough_here() -> None:
    check_sqlite_version(apsw.sqlite_lib_version())
