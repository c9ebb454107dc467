"""The write-ahead file is emptied beside the writer: it begins anew, nothing is lost, and closing does not hang."""

from __future__ import annotations

import signal
from pathlib import Path

from contract.topics import EVENTS
from eventlog.embedded.log import CHECKPOINT_PAGES, SqliteLog
from eventlog.log import Entry
from tests.eventlog.test_log import appender, entries, read
from tests.waiting import eventually

ROUND_BYTES = 4096 * CHECKPOINT_PAGES


def test_a_log_that_is_written_on_and_on_keeps_its_write_ahead_file_short(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    log = SqliteLog(path)
    for done in range(1, 6):
        for _ in range(ROUND_BYTES // 2**20 + 1):
            assert None not in log.append([Entry(EVENTS, "k", b"x" * 2**18)] * 4)
        # All of it is in the log itself, with nobody closing it.
        eventually(lambda least=done * ROUND_BYTES: path.stat().st_size >= least)
    assert (tmp_path / "events.db-wal").stat().st_size < 3 * ROUND_BYTES
    assert len(read(log, log.end_offset(EVENTS, 0))) == log.end_offset(EVENTS, 0)
    log.close()


def test_a_writer_killed_while_the_file_is_emptied_loses_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'events.db'}"
    confirmed: list[str] = []
    for round_number in range(3):
        process = appender(url, f"round-{round_number}", 100_000)
        assert process.stdout is not None
        # A commit of one record writes two or three pages.
        lines = [process.stdout.readline() for _ in range(CHECKPOINT_PAGES // 2 + 5 * round_number)]
        process.send_signal(signal.SIGKILL)
        lines += process.communicate(timeout=30)[0].splitlines()
        confirmed += [line.split()[2] for line in lines if len(line.split()) == 3]
    log = SqliteLog(tmp_path / "events.db")
    records = read(log, log.end_offset(EVENTS, 0))
    log.close()
    assert set(confirmed) <= {record.value.decode() for record in records}
    assert [record.offset for record in records] == list(range(len(records)))


def test_closing_does_not_wait_for_another_process_s_turn(tmp_path: Path) -> None:
    log, other = SqliteLog(tmp_path / "events.db"), SqliteLog(tmp_path / "events.db")
    log.append(entries("a"))
    with other._turn():
        log._checkpointer.ask()
        log.close(timeout_s=0.2)
    assert len(read(other, 1)) == 1
    other.close()
