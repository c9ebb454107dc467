"""A log that is opened once its brokers answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.errors import LogUnavailable, SettingsError, ThumbwheelError
from contract.topics import EVENTS
from eventlog import awaited
from eventlog.awaited import AwaitedLog, open_awaited
from eventlog.embedded.log import SqliteLog
from eventlog.log import Entry, Log
from tests.waiting import eventually

ENTRIES = [Entry(EVENTS, "i", b"a")]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(awaited, "PAUSE_SECONDS", 0.02)


class Brokers:
    """Another log in the brokers' place, that refuses for as long as told."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.refusal: ThumbwheelError | None = LogUnavailable("They are away.", "Start them.")

    def connect(self) -> Log:
        if self.refusal is not None:
            raise self.refusal
        return SqliteLog(self.path)


@pytest.fixture
def brokers(tmp_path: Path) -> Iterator[Brokers]:
    yield Brokers(tmp_path / "far.db")


def ready(log: AwaitedLog) -> bool:
    try:
        log.check()
    except LogUnavailable:
        return False
    return True


def test_a_log_that_answers_is_there_from_the_start(brokers: Brokers) -> None:
    brokers.refusal = None
    log = AwaitedLog(brokers.connect)
    log.check()
    assert log.promise == "fsync" and log.append(ENTRIES) != [None]
    log.close()


def test_until_it_answers_nothing_is_accepted_and_check_says_why(brokers: Brokers) -> None:
    log = AwaitedLog(brokers.connect)
    with pytest.raises(LogUnavailable, match="They are away") as caught:
        log.check()
    assert caught.value.hint == "Start them." and log.promise == "not known yet"
    with pytest.raises(LogUnavailable):
        log.append(ENTRIES)
    brokers.refusal = None
    eventually(lambda: ready(log), 10)
    assert log.append(ENTRIES) != [None] and log.end_offset(EVENTS, 0) == 1, "what was refused was not written"
    log.close()


def test_a_wrong_setting_ends_the_start_and_later_is_what_check_says(brokers: Brokers) -> None:
    wrong = SettingsError("log_partitions", "12 were asked for.", "Mend it.")
    away, brokers.refusal = brokers.refusal, wrong
    with pytest.raises(SettingsError):
        AwaitedLog(brokers.connect)
    brokers.refusal = away
    log = AwaitedLog(brokers.connect)
    brokers.refusal = wrong

    def says_so() -> bool:
        with pytest.raises(LogUnavailable) as caught:
            log.check()
        return caught.value.message == "12 were asked for."

    eventually(says_so, 10)
    brokers.refusal = None
    eventually(lambda: ready(log), 10)
    log.close()


def test_one_that_is_closed_while_it_waits_asks_no_more(brokers: Brokers) -> None:
    log = AwaitedLog(brokers.connect)
    log.close()
    assert not log._thread.is_alive()


def test_who_waits_for_it_is_given_the_log_behind_or_nothing_when_it_is_closed(brokers: Brokers) -> None:
    log = AwaitedLog(brokers.connect)
    assert log.wait(0.05) is None
    brokers.refusal = None
    found = log.wait(10)
    assert isinstance(found, SqliteLog) and found is log.wait(0)
    log.close()
    brokers.refusal = LogUnavailable("They are away.")
    away = AwaitedLog(brokers.connect)
    away.close()
    assert away.wait(10) is None


def test_an_embedded_log_is_not_waited_for(tmp_path: Path) -> None:
    log = open_awaited(f"sqlite:///{tmp_path / 'events.db'}")
    assert isinstance(log, SqliteLog)
    log.close()
    (tmp_path / "file").write_text("")
    with pytest.raises(ThumbwheelError):
        open_awaited(f"sqlite:///{tmp_path / 'file' / 'events.db'}")
