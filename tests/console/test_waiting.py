"""The console of a processor that starts while the brokers are away: until they are there, and after."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client

from contract.errors import LogUnavailable, SettingsError, ThumbwheelError
from eventlog import awaited
from eventlog.awaited import AwaitedLog
from eventlog.embedded.log import SqliteLog
from eventlog.log import Log
from processor.console.headers import SECURITY_HEADERS
from processor.console.waiting import Waiting
from tests.console.bench import Bench
from tests.console.test_languages import foreign
from tests.waiting import eventually

AWAY = "Kafka at 127.0.0.1:9 cannot be reached: nothing listens there."
HINT = "Check the address and that the broker runs; a wrong user, password or TLS setting may look the same."


class Brokers:
    """An embedded log in the brokers' place, away for as long as told."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problem: ThumbwheelError | None = LogUnavailable(AWAY, HINT)
        self.opened: list[Log] = []
        self.failures: list[BaseException] = []

    def connect(self) -> Log:
        if self.problem is not None:
            raise self.problem
        return SqliteLog(self.path)


@pytest.fixture
def brokers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Brokers:
    monkeypatch.setattr(awaited, "PAUSE_SECONDS", 0.02)
    return Brokers(tmp_path / "far.db")


@pytest.fixture
def waiting(brokers: Brokers, bench: Bench) -> Iterator[Client]:
    """A client of the console, which is the bench's once the log is there."""

    def open_app(log: Log) -> Any:
        brokers.opened.append(log)
        return bench.app

    app = Waiting(AwaitedLog(brokers.connect), open_app, brokers.failures.append)
    yield Client(app)
    app.close()
    for log in brokers.opened:
        log.close()


def test_until_the_log_answers_the_process_is_up_and_says_what_is_missing(waiting: Client) -> None:
    assert waiting.get("/healthz").json == {"status": "ok", "log": "not known yet"}
    assert "thumbwheel_" in waiting.get("/metrics").text
    for address in ("/readyz", "/api/v1/overview"):
        answer = waiting.get(address)
        assert (answer.status_code, answer.json["error"]["code"]) == (503, "log_unavailable")
        assert (answer.json["error"]["message"], answer.json["error"]["hint"]) == (AWAY, HINT)
        assert answer.headers["Retry-After"] == "5"
    assert waiting.post("/api/v1/requests", json={}).status_code == 503
    for name, value in SECURITY_HEADERS.items():
        assert answer.headers[name] == value


@pytest.mark.parametrize("locale", ["en", "zh_Hans"])
def test_a_person_is_told_in_their_language(waiting: Client, locale: str) -> None:
    waiting.set_cookie("thumbwheel_lang", locale)
    for address in ("/", "/interactions?project=shop", "/login", "/nowhere"):
        page = waiting.get(address)
        assert page.status_code == 503
        assert foreign(page.text, locale) == []
        assert "127.0.0.1:9" in page.text
    with waiting.get("/static/console.css") as style:
        assert style.status_code == 200


def test_it_goes_on_by_itself_when_the_log_comes(waiting: Client, brokers: Brokers) -> None:
    assert waiting.get("/readyz").status_code == 503
    brokers.problem = None
    eventually(lambda: waiting.get("/readyz").status_code == 200)
    assert waiting.get("/healthz").json["log"] == "fsync"
    assert waiting.get("/interactions").location == "/login?next=/interactions"
    assert [type(log) for log in brokers.opened] == [SqliteLog]


def test_a_console_that_cannot_be_opened_then_ends_the_process_that_waited(brokers: Brokers) -> None:
    problem = SettingsError("archive_address", "It cannot be used.", "Name a folder.")

    def cannot(log: Log) -> Any:
        log.close()
        raise problem

    app = Waiting(AwaitedLog(brokers.connect), cannot, brokers.failures.append)
    brokers.problem = None
    eventually(lambda: brokers.failures == [problem])
    answer = Client(app).get("/readyz")
    assert answer.status_code == 503


def test_one_that_is_closed_while_it_waits_opens_nothing(brokers: Brokers) -> None:
    log = AwaitedLog(brokers.connect)
    app = Waiting(log, brokers.opened.append, brokers.failures.append)
    app.close()
    brokers.problem = None
    assert log.wait(10) is None
    assert brokers.opened == [] and brokers.failures == []
