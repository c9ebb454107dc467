"""`thumbwheel rejected`: an operator finds what was refused, sees why, and brings in what today's rules accept."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from click.testing import CliRunner

from cli.main import cli
from collector.app import create_app
from collector.rejected import rejected_entry
from contract.errors import EventError
from contract.events import decode_event, stamp
from contract.ids import uuid7
from contract.topics import TOPICS
from eventlog.log import Log
from tests.console.bench import Bench, open_bench

# The package's `decode` is the function; this is the module that holds it.
decode = importlib.import_module("processor.steps.decode")


@pytest.fixture
def bench(home: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with open_bench(home) as opened, opened.served() as url:
        monkeypatch.setenv("THUMBWHEEL_HOME", str(home))
        monkeypatch.setenv("THUMBWHEEL_CONSOLE_URL", url)
        monkeypatch.setenv("THUMBWHEEL_SERVICE_KEY", opened.service)
        yield opened


def rejected(*arguments: str) -> Any:
    """Run `thumbwheel rejected` and return its JSON."""
    said = CliRunner().invoke(cli, ["rejected", *arguments, "--json"])
    return json.loads(said.output)


def thumb(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "type": "thumb", "event_id": str(uuid7()), "occurred_at": "2026-01-31T12:00:00Z", "actor": {"id": "u-1"},
        "interaction_id": name, "candidate_id": "c-1", "value": "up",
    } | changes  # fmt: skip


def ends(log: Log) -> int:
    return sum(log.end_offset(topic, partition) for topic in TOPICS for partition in range(log.partitions(topic)))


def stored(bench: Bench) -> list[str]:
    bench.catch_up()
    with bench.store.read() as cursor:
        return [row[0] for row in cursor.execute("SELECT interaction_id FROM events ORDER BY 1").fetchall()]


def test_refused_events_are_listed_shown_and_retried_and_the_rest_stay(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    collector = create_app(bench.settings, bench.log, bench.control).test_client()
    headers = {"Authorization": f"Bearer {bench.secret}"}
    collector.post("/v1/events", json={"events": [thumb("bad", value="sideways")]}, headers=headers)
    key = next(key for key in bench.control.list_keys("default"))
    why = EventError("unknown_type", "Unknown event type 'thumb'.")
    bench.log.append([rejected_entry(json.dumps(thumb("older")).encode(), key, why, datetime.now(UTC))])
    poison = stamp(decode_event(thumb("poison")), project="default", key_id=key.key_id, via="secret")

    def not_understood(raw: bytes) -> Any:
        raise EventError("invalid_event", "Not a stored event: by an older release")

    with monkeypatch.context() as older:
        older.setattr(decode, "decode_stored", not_understood)
        bench.put(poison)
    assert stored(bench) == []
    rows = {row["code"]: row for row in rejected("list")}
    assert rows.keys() == {"invalid_event", "unknown_type"} and len(rejected("list")) == 3
    assert len(rejected("list", "--limit", "1")) == len(rejected("list", "--code", "unknown_type")) == 1

    place = rows["unknown_type"]["position"]
    shown = rejected("show", place)
    assert shown["message"] == why.message and json.loads(shown["raw"])["interaction_id"] == "older"
    assert shown["retry"] == "possible: it is taken today"

    report = rejected("retry", "--all")
    assert report["retried"] == 2
    [refused] = [result for result in report["results"] if not result["retried"]]
    assert "sideways" in refused["why"] or "enum" in refused["why"]
    assert stored(bench) == ["older", "poison"]
    assert rejected("retry", place)["retried"] == 1 and stored(bench) == ["older", "poison"]
    assert len(rejected("list")) == 3, "what was rejected stays on record"
    with monkeypatch.context() as older:
        older.setattr(decode, "decode_stored", not_understood)
        rejected("retry", place)
        bench.catch_up()
    assert len(rejected("list")) == 4 and stored(bench) == ["older", "poison"], "a copy refused again is kept too"


def test_nothing_is_appended_unless_said_which(bench: Bench) -> None:
    before = ends(bench.log)
    for arguments in (("retry",), ("retry", "--all", "--code", "x"), ("retry", "nonsense")):
        said = rejected(*arguments)
        assert said["error"]["hint"]
    assert rejected("retry", "--all") == {"retried": 0, "results": []}
    assert rejected("list") == [] and ends(bench.log) == before
