"""The cases of sdk/conformance, which every SDK must pass."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from thumbwheel import Client

from .conftest import Answer, Stub

CASES = Path(__file__).parents[2] / "sdk" / "conformance"
Connect = Callable[..., Client]


def cases(name: str) -> Any:
    found = json.loads((CASES / f"{name}.json").read_text("utf-8"))
    return pytest.mark.parametrize("case", found, ids=[case["name"] for case in found])


def expand(value: Any) -> Any:
    """Write out texts given as {"repeat": {"text", "times"}}."""
    if isinstance(value, dict) and set(value) == {"repeat"}:
        return value["repeat"]["text"] * value["repeat"]["times"]
    return {name: expand(item) for name, item in value.items()} if isinstance(value, dict) else value


@cases("calls")
def test_a_call_becomes_this_event(case: dict[str, Any], connect: Connect, stub: Stub) -> None:
    client = connect(**case.get("init", {}))
    event_id = getattr(client, case["call"])(**case["fields"])
    assert client.flush()
    (event,) = stub.events
    assert event["event_id"] == event_id
    assert set(event.pop("sdk")) == {"name", "version"}
    if "event_id" not in case["event"]:
        assert uuid.UUID(event.pop("event_id")).version == 7
    if "occurred_at" not in case["event"]:
        assert datetime.fromisoformat(event.pop("occurred_at").replace("Z", "+00:00")).tzinfo is not None
    assert event == case["event"]


@cases("kept_back")
def test_a_call_sends_nothing(case: dict[str, Any], connect: Connect, stub: Stub) -> None:
    client = connect(**case.get("init", {}))
    assert getattr(client, case["call"])(**expand(case["fields"])) is None
    assert client.flush()
    assert client.dropped == {case["reason"]: 1}
    assert stub.bodies == []


def server(case: dict[str, Any]) -> Callable[[list[dict[str, Any]]], Answer]:
    left = {name: list(answers) for name, answers in case["answers"].items()}

    def answer(events: list[dict[str, Any]]) -> Answer:
        if len(events) > case.get("max_events", 500):
            return Answer(413, body=json.dumps({"error": {"code": "too_large", "message": "", "hint": ""}}))
        now = {event["candidate_id"]: left[event["candidate_id"]].pop(0) for event in events}
        whole = next(iter(now.values()))
        if whole == "cut":
            return Answer(cut=True)
        if isinstance(whole, dict):
            error = {"error": {"code": whole.get("code", "busy"), "message": "m", "hint": "h"}}
            return Answer(whole["status"], whole.get("headers", {}), body=whole.get("body", json.dumps(error)))
        return Answer(207, results=lambda event: result(now[event["candidate_id"]]))

    return answer


def result(word: str) -> dict[str, Any] | None:
    if word == "missing":
        return None
    error = {"error": {"code": "invalid_event", "message": "m", "hint": "h"}} if word == "rejected" else {}
    return {"status": word, **error}


@pytest.mark.usefixtures("no_backoff")
@cases("answers")
def test_an_answer_leads_to_this(case: dict[str, Any], connect: Connect, stub: Stub) -> None:
    stub.answer = server(case)
    client = connect()
    for name in case["events"]:
        client.thumb("i-1", name, "up")
    assert client.flush()
    assert client.dropped == case.get("dropped", {})
    assert client.stats().accepted == len(case["events"]) - sum(client.dropped.values())
    tries = Counter(event["candidate_id"] for event in stub.events)
    assert {name: tries[name] for name in case.get("tries", {})} == case.get("tries", {})
    if "not_before_s" in case:
        assert stub.times[1] - stub.times[0] >= case["not_before_s"]


@pytest.mark.usefixtures("no_backoff")
@cases("reports")
def test_what_was_given_up_is_told(case: dict[str, Any], connect: Connect, stub: Stub) -> None:
    client = connect(**case.get("init", {}))
    for call in case.get("before", []):
        assert getattr(client, call["call"])(**expand(call["fields"])) is None
    if case.get("opt_in"):
        client.opt_in()
    for number, answers in enumerate(case["batches"]):
        stub.answer = server({"answers": {f"c-{number}": answers}})
        client.thumb("i-1", f"c-{number}", "up")
        assert client.flush()
    told = [body.get("dropped") for body in stub.bodies]
    assert [report and report["counts"] for report in told] == case["reports"]
    ids = [report["event_id"] for report in told if report]
    assert len(set(ids)) <= 1
    assert all(uuid.UUID(one).version == 7 for one in ids)
