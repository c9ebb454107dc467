"""`thumbwheel forget` on a home in use: grep finds nothing, the tables equal a replay, others lose nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli.main import cli
from processor.history.replay import replay, store_path
from processor.tables.store import Store
from tests.e2e.home import Home, Others, asked, picked, said, until
from tests.kafka_broker import free_port as find_free_port

pytestmark = pytest.mark.slow
ANN = "ann-7c1f"
WORDS = "Zanzibar liegt im Indischen Ozean"


@pytest.fixture
def home(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Home]:
    made = Home(tmp_path / "home", (free_port(), free_port()))
    try:
        made.start()
        yield made
    finally:
        made.stop()


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
