"""The cases of sdk/conformance against this SDK. They run on any Python it supports, without pytest too:

PYTHONPATH=sdk/python python3.9 -m tests.sdk_python.cases
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

from thumbwheel import Client

from tests.waiting import eventually

from .stub import KEY, Answer, Stub

CASES = Path(__file__).parents[2] / "sdk" / "conformance"
Case = dict[str, Any]


def load(name: str) -> list[Case]:
    """Return the cases of one file."""
    found: list[Case] = json.loads((CASES / f"{name}.json").read_text("utf-8"))
    return found


def expand(value: Any) -> Any:
    """Write out texts given as {"repeat": {"text", "times"}}."""
    if isinstance(value, dict) and set(value) == {"repeat"}:
        return value["repeat"]["text"] * value["repeat"]["times"]
    return {name: expand(item) for name, item in value.items()} if isinstance(value, dict) else value


def check_call(case: Case, client: Client, stub: Stub) -> None:
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


def check_kept_back(case: Case, client: Client, stub: Stub) -> None:
    assert getattr(client, case["call"])(**expand(case["fields"])) is None
    assert client.flush()
    assert client.dropped == {case["reason"]: 1}
    assert stub.bodies == []


def server(case: Case) -> Callable[[list[dict[str, Any]]], Answer]:
    left = {name: list(answers) for name, answers in case["answers"].items()}

    def answer(events: list[dict[str, Any]]) -> Answer:
        if len(events) > case.get("max_events", 500):
            return Answer(413, body=json.dumps({"error": {"code": "too_large", "message": "", "hint": ""}}))
        if any(event["candidate_id"] in case.get("bad", ()) for event in events):
            return Answer(400, body=json.dumps({"error": {"code": "invalid_body", "message": "m", "hint": "h"}}))
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


def check_answer(case: Case, client: Client, stub: Stub) -> None:
    stub.answer = server(case)
    for name in case["events"]:
        client.thumb("i-1", name, "up")
    assert client.flush()
    assert client.dropped == case.get("dropped", {})
    assert client.stats().accepted == len(case["events"]) - sum(client.dropped.values())
    tries = Counter(event["candidate_id"] for event in stub.events)
    assert {name: tries[name] for name in case.get("tries", {})} == case.get("tries", {})
    if "not_before_s" in case:
        assert stub.times[1] - stub.times[0] >= case["not_before_s"]


def check_report(case: Case, client: Client, stub: Stub) -> None:
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


def check_campaign(case: Case, client: Client, stub: Stub) -> None:
    stub.campaigns = case["campaigns"]
    begun = time.time()
    for question, wanted, *at in case["ask"]:
        now = begun + (at[0] if at else 0)
        with patch("thumbwheel.client.time.time", lambda now=now: now):
            found = client.campaign(**question)
        assert (found and found["campaign_id"]) == wanted, question


def check_restart(case: Case, client: Client, stub: Stub) -> None:
    client.shutdown()
    with tempfile.TemporaryDirectory() as folder:
        first = Client(stub.url, KEY, "u-1", spool=folder)
        stub.answer = lambda events: Answer(
            207, {"Retry-After": "300"}, lambda event: result(case["first"][event["candidate_id"]])
        )
        for call in case.get("before", []):
            assert getattr(first, call["call"])(**expand(call["fields"])) is None
        ids = {name: first.thumb("i-1", name, "up") for name in case["events"]}
        first.flush(0.5)
        first.shutdown(0)
        assert first.dropped == case.get("dropped", {})
        stub.bodies.clear()
        stub.answer = None
        again = Client(stub.url, KEY, "u-1", spool=folder)
        assert again.flush()
        again.shutdown()
        assert [(e["candidate_id"], e["event_id"]) for e in stub.events] == [(n, ids[n]) for n in case["again"]]
        told = [body["dropped"]["counts"] for body in stub.bodies if "dropped" in body]
        assert told == case.get("reports", [])


def check_overfull(case: Case, client: Client, stub: Stub) -> None:
    client.shutdown()
    small = Client(stub.url, KEY, "u-1", max_events=case["max_events"])
    hold = threading.Event()
    stub.answers = [Answer(wait=hold)]
    first, *others = case["events"]
    small.thumb("i-1", first, "up")
    eventually(lambda: stub.bodies)
    for name in others:
        small.thumb("i-1", name, "up")
    hold.set()
    assert small.flush()
    small.shutdown()
    assert sorted(event["candidate_id"] for event in stub.events) == case["arrive"]
    assert small.dropped == case["dropped"]


CHECKS = {
    "calls": check_call, "kept_back": check_kept_back, "answers": check_answer, "reports": check_report,
    "campaigns": check_campaign, "restarts": check_restart, "overfull": check_overfull,
}  # fmt: skip


def check(name: str, case: Case) -> None:
    """Run one case of a file with a client and a collector of its own; backoff is drawn as zero."""
    stub = Stub()
    client = Client(**{"url": stub.url, "key": KEY, "actor": "u-1", **case.get("init", {})})
    try:
        with patch("thumbwheel.delivery.sender.random.random", lambda: 0.0):
            CHECKS[name](case, client, stub)
    finally:
        client.shutdown(0.5)
        stub.stop()


def main() -> None:
    """Run every case and say how many passed."""
    for name in CHECKS:
        for case in load(name):
            check(name, case)
        print(name, len(load(name)))
    assert "pytest" not in sys.modules


if __name__ == "__main__":
    main()
