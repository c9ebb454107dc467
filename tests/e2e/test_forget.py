"""`thumbwheel forget` on a home in use: grep finds nothing, the tables equal a replay, others lose nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli.api import Api
from cli.main import cli
from eventlog.control import Control
from eventlog.settings import Settings
from processor.replay import replay, store_path
from processor.store import Store
from tests.kafka_broker import free_port as find_free_port

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
ANN = "ann-7c1f"
WORDS = "Zanzibar liegt im Indischen Ozean"


@dataclass
class Home:
    """A collector and a processor on a home of their own."""

    folder: Path
    ports: tuple[int, int]
    keys: dict[str, str] = field(default_factory=dict)
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def settings(self) -> Settings:
        return replace(Settings(), home=self.folder)

    @property
    def env(self) -> dict[str, str]:
        found = {name: value for name, value in os.environ.items() if not name.startswith("THUMBWHEEL_")}
        return found | {
            "THUMBWHEEL_HOME": str(self.folder), "THUMBWHEEL_COLLECTOR_BIND": f"127.0.0.1:{self.ports[0]}",
            "THUMBWHEEL_CONSOLE_BIND": f"127.0.0.1:{self.ports[1]}", "THUMBWHEEL_EMBEDDER": "none",
            "THUMBWHEEL_COLLECTOR_RATE": "0",
            "THUMBWHEEL_SERVICE_KEY": self.keys["service"],
        }  # fmt: skip

    def start(self) -> None:
        control = Control.open(self.settings.control_url)
        self.keys["service"] = control.create_key("*", "service").key
        for project in ("default", "other"):
            self.keys[project] = control.create_key(project, "secret").key
        control.close()
        for module in ("collector", "processor"):
            line = [sys.executable, "-m", module]
            self.running.append(subprocess.Popen(line, cwd=ROOT, env=self.env, start_new_session=True))
        for port in self.ports:
            until(lambda: ready(port))  # noqa: B023

    def stop(self) -> None:
        for process in self.running:
            process.terminate()
        for process in self.running:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.running.clear()

    def api(self, project: str = "default") -> Api:
        return Api(f"http://127.0.0.1:{self.ports[1]}", self.keys["service"], project)

    def send(self, *events: dict[str, Any], project: str = "default") -> list[str]:
        """Post events and return what the collector answered of each."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.ports[0]}/v1/events", json.dumps({"events": events}).encode(),
            {"Authorization": f"Bearer {self.keys[project]}", "Content-Type": "application/json"},
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=30) as answer:
            return [result["status"] for result in json.loads(answer.read())["results"]]

    def visible(self, *events: dict[str, Any], project: str = "default") -> bool:
        """Say whether the tables hold these events."""
        ids = [event["event_id"] for event in events]
        return self.api(project).get("/api/v1/visible", event_id=ids)["missing"] == []

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "cli.main", *arguments]
        return subprocess.run(
            line, cwd=ROOT, env=self.env, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL,
            check=False,
        )  # fmt: skip

    def grep(self, *texts: str) -> list[str]:
        """Return the files that hold one of these texts, as it is or in base64."""
        wanted = [text.encode() for text in texts]
        coded = [b64encode(text.encode()[skip:])[:-4] for text in texts for skip in range(3)]
        wanted += [word for word in coded if len(word) >= 12]  # Shorter ones are found anywhere by chance.
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        assert any(path.name == "events.db" for path in files)
        return [str(path) for path in files if any(word in path.read_bytes() for word in wanted)]


def ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def until(met: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def said(kind: str, actor: str, interaction_id: str, at: datetime | None = None, **fields: Any) -> dict[str, Any]:
    return {
        "type": kind, "event_id": str(uuid.uuid4()), "occurred_at": (at or datetime.now(UTC)).isoformat(),
        "actor": {"id": actor}, "interaction_id": interaction_id, **fields,
    }  # fmt: skip


def asked(actor: str, interaction_id: str, words: str) -> dict[str, Any]:
    replies = [{"candidate_id": name, "content": f"{name} about {words}", "model": "m"} for name in "ab"]
    return said("interaction", actor, interaction_id, messages=[{"role": "user", "content": words}], candidates=replies)


def picked(actor: str, interaction_id: str, **fields: Any) -> dict[str, Any]:
    return said("pick", actor, interaction_id, shown=["a", "b"], outcome="chosen", chosen="a", **fields)


@pytest.fixture
def home(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Home]:
    made = Home(tmp_path / "home", (free_port(), free_port()))
    try:
        made.start()
        yield made
    finally:
        made.stop()


class Others:
    """People who go on asking and picking meanwhile; what they were told is accepted has to stay."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._talk)
        self.accepted: list[dict[str, Any]] = []

    def __enter__(self) -> Others:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)

    def _talk(self) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            events = [asked("bob", f"b-{number}", f"Question {number}?"), picked("bob", f"b-{number}")]
            answers = self._home.send(*events)
            self.accepted += [e for e, answer in zip(events, answers, strict=True) if answer == "accepted"]


def test_grep_finds_nothing_and_the_tables_equal_a_replay(home: Home) -> None:
    own = [
        asked(ANN, "a-1", WORDS), picked(ANN, "a-1", edited_text=f"{WORDS}, mended."),
        said("thumb", ANN, "b-1", candidate_id="a", value="up", comment=WORDS),
    ]  # fmt: skip
    elsewhere = asked(ANN, "a-1", "Ann asks elsewhere")
    with Others(home) as others:
        until(lambda: len(others.accepted) > 40)
        assert home.send(*own) == ["accepted"] * 3
        assert home.send(said("thumb", ANN, "a-1", candidate_id="a", value=WORDS)) == ["rejected"]
        assert home.send(elsewhere, project="other") == ["accepted"]
        until(lambda: home.visible(*own) and home.visible(elsewhere, project="other"))
        until(lambda: bool(home.api().get("/api/v1/rejected")["items"]))
        built = home.api().post("/api/v1/datasets", {})["dataset_id"]
        assert home.grep(WORDS, ANN)

        done = home.command("forget", ANN, "--yes", "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        told = json.loads(done.stdout)
        assert told["progress"] == {"events": 3, "log": "erased", "file": "rewritten", "archive": False}
        assert (told["counts"]["interactions"], told["counts"]["feedback"], told["counts"]["rejected"]) == (1, 2, 1)
        assert [row["dataset_id"] for row in told["datasets"]] == [built] and told["deleted"] == []
        # Datasets are immutable; deleting them has to be asked for. Another project's person of that id stays.
        assert {Path(name).relative_to(home.folder).parts[0] for name in home.grep(WORDS)} <= {"datasets"}
        assert home.visible(elsewhere, project="other")

        late = said("thumb", ANN, "b-2", datetime(2026, 1, 1, tzinfo=UTC), candidate_id="a", value="up", comment=WORDS)
        assert home.send(late) == ["accepted"]
        until(lambda: told_again(home)["progress"]["events"] == 4)
        assert home.command("forget", ANN, "--project", "other", "--yes").returncode == 0
        assert told_again(home, "--datasets")["deleted"] == [built]
        assert home.grep(WORDS, ANN, "Ann asks elsewhere") == []
        before = len(others.accepted)
        until(lambda: len(others.accepted) > before + 20)
    until(lambda: home.visible(*others.accepted[-2:]))
    home.stop()
    assert home.grep(WORDS, ANN) == []
    with Store.open(store_path(home.settings)) as store, store.read() as cursor:
        kept = {row[0] for row in cursor.execute("SELECT event_id FROM events").fetchall()}
    assert kept == {event["event_id"] for event in others.accepted}
    assert replay(home.settings).differing == ()
    assert home.grep(WORDS, ANN) == []


def told_again(home: Home, *options: str) -> dict[str, Any]:
    done = home.command("forget", ANN, *options, "--yes", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def talked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home in which bob asked and picked."""
    made = Home(tmp_path_factory.mktemp("talked"), (find_free_port(), find_free_port()))
    own = asked("bob", "b-1", "Where is it?"), picked("bob", "b-1")
    try:
        made.start()
        made.send(*own)
        until(lambda: made.visible(*own))
        yield made
    finally:
        made.stop()


@pytest.mark.parametrize(("arguments", "code"), [
    (["nobody"], "unknown_actor"), (["bo"], "unknown_actor"), (["bob.*"], "unknown_actor"), (["%"], "unknown_actor"),
    (["bob';DROP/**/TABLE/**/events;--"], "unknown_actor"), (["bob", "--project", "other"], "unknown_actor"),
    (["bob", "--before", "2020-01-01T00:00:00Z"], "unknown_actor"), ([""], "invalid_actor"),
    (["bob smith"], "invalid_actor"), (["b" * 129], "invalid_actor"), (["b" * 10_000_000], "invalid_actor"),
    (["gateway"], "not_a_person"), (["bob", "--before", "yesterday"], "invalid_time"),
    (["bob", "--before", "2026-01-01T00:00:00"], "invalid_time"),
    (["bob", "--before", "2099-01-01T00:00:00Z"], "time_ahead"),
], ids=lambda value: str(value)[:40])  # fmt: skip
def test_what_names_nobody_removes_nothing(
    talked: Home, arguments: list[str], code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in talked.env.items():
        monkeypatch.setenv(name, value)
    refused = CliRunner().invoke(cli, ["forget", *arguments, "--yes", "--json"])
    assert refused.exit_code == 1
    error = json.loads(refused.output)["error"]
    assert error["code"] == code and error["hint"] and len(refused.output) < 1000
    assert talked.api().get("/api/v1/facts", type="forget")["items"] == []
    assert len(talked.api().get("/api/v1/pairs")["items"]) == 1


def test_it_says_what_it_would_remove_and_asks_first(talked: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in talked.env.items():
        monkeypatch.setenv(name, value)
    unasked = CliRunner().invoke(cli, ["forget", "bob"], input="n\n")
    assert unasked.exit_code == 1
    assert "2 events, 1 of them prompts with their replies, 1 of them feedback, 1 pairs" in unasked.output
    unsure = CliRunner().invoke(cli, ["forget", "bob", "--json"])
    assert json.loads(unsure.output)["error"]["code"] == "not_confirmed"
    assert talked.api().get("/api/v1/facts", type="forget")["items"] == []
