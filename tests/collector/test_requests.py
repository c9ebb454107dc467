"""What is told of a request: its id to the sender, a line in the log when refused, a number in /metrics; what not."""

from __future__ import annotations

import http.client
import json
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from collector import requests as requests_module
from collector.requests import Lines

from .conftest import SHOP, Bench, Process, thumb
from .test_process import metric

PATHS = (
    "/v1/events",
    "/v1/campaigns",
    "/healthz",
    "/readyz",
    "/metrics",
    "/v1/openapi.json",
    "/sdk/thumbwheel.js",
    "/no",
)
CONTENT = "a reply nobody else may read"


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_has_the_id_the_request_came_with_and_no_cookie(bench: Bench, path: str) -> None:
    for method in ("GET", "POST", "OPTIONS"):
        answer = bench.client.open(path, method=method, headers={"X-Request-Id": "req-1.a:b/c=", "Origin": SHOP})
        assert answer.headers.getlist("X-Request-Id") == ["req-1.a:b/c="]
        assert "Set-Cookie" not in answer.headers
        allowed = answer.headers.get("Access-Control-Expose-Headers", "X-Request-Id")
        assert "X-Request-Id" in allowed


@pytest.mark.parametrize("sent", [None, "", "two words", "x" * 129, "é", '{"a":1}'])
def test_a_request_without_a_sane_id_gets_one_of_its_own(bench: Bench, sent: str | None) -> None:
    headers = {} if sent is None else {"X-Request-Id": sent}
    made = {bench.post([thumb()], headers=headers).headers["X-Request-Id"] for _ in range(3)}
    assert len(made) == 3 and all(re.fullmatch("[0-9a-f]{16}", one) for one in made)


class Asker:
    """Asks a running collector over one connection at a time."""

    def __init__(self, running: Process) -> None:
        self._running = running

    def __call__(self, method: str, path: str, body: Any = None, key: str = "", **headers: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self._running.port, timeout=15)
        sent = {name.replace("_", "-"): value for name, value in headers.items()} | {"Content-Type": "text/plain"}
        if key:
            sent["Authorization"] = f"Bearer {key}"
        connection.request(method, path, body if isinstance(body, bytes) else json.dumps(body), sent)
        status = connection.getresponse().status
        connection.close()
        return status


def ask_all(running: Process) -> None:
    """Requests of every kind: taken, rejected in part, refused for each reason."""
    ask = Asker(running)
    good, bad = thumb(comment=CONTENT), thumb(value="sideways", comment=CONTENT)
    forwarded = {"X_Forwarded_For": "203.0.113.9", "Forwarded": "for=203.0.113.9", "X_Request_Id": "mine-1"}
    assert ask("POST", "/v1/events", {"events": [good]}, running.secret, **forwarded) == 202
    assert ask("POST", "/v1/events", {"events": [good, bad]}, running.secret, **forwarded) == 207
    assert ask("POST", "/v1/events", {"events": [good]}, "tw_sec_wrong", X_Request_Id="mine-2") == 401
    assert ask("POST", "/v1/events", {"events": [good]}, running.public, Origin="https://evil.example") == 403
    assert ask("POST", "/v1/events", f'{{"events": "{CONTENT}"}}'.encode(), running.secret) == 400
    assert ask("GET", "/v1/campaigns", key=running.secret) == 200
    assert ask("GET", "/v1/campaigns", key="tw_sec_wrong") == 401
    assert ask("GET", f"/{CONTENT.replace(' ', '-')}", key=running.secret) == 404
    assert ask("DELETE", "/healthz") == 405
    assert ask("GET", "/healthz") == 200


def lines(file: Path) -> list[dict[str, Any]]:
    """Every line is JSON; those that tell of a request."""
    found = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    assert all({"time", "level", "service", "logger", "message"} <= set(line) for line in found)
    assert {line["service"] for line in found} <= {"collector"}
    return [line for line in found if "request_id" in line]


def test_a_refused_request_is_one_line_and_neither_keys_nor_content_nor_addresses_are_kept(
    start: Any, tmp_path: Path
) -> None:
    file = tmp_path / "lines.jsonl"
    with start(lines=file) as running:
        ask_all(running)
        keys = (running.secret, running.public)
    told = lines(file)
    assert [(line["route"], line["status"], line["code"]) for line in told] == [
        ("events", 401, "invalid_key"), ("events", 403, "origin_not_allowed"), ("events", 400, "invalid_body"),
        ("campaigns", 401, "invalid_key"), ("other", 404, "not_found"), ("health", 405, "method_not_allowed"),
    ]  # fmt: skip
    assert told[0]["request_id"] == "mine-2" and told[0]["ms"] > 0
    assert told[1]["key_id"].startswith("k") and "key_id" not in told[0]
    for kept in (path for path in tmp_path.rglob("*") if path.is_file()):
        body = kept.read_bytes()
        assert b"127.0.0.1" not in body and b"203.0.113.9" not in body, kept
        assert not any(key.encode() in body for key in keys), kept
    written = file.read_text("utf-8")
    assert CONTENT not in written and CONTENT.replace(" ", "-") not in written and "tw_sec_wrong" not in written


def test_every_request_is_a_line_where_that_is_wanted(start: Any, tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    with start(lines=file, LOG_REQUESTS="all") as running:
        ask_all(running)
    told = [line for line in lines(file) if line["route"] == "events"]
    assert [(line["status"], line.get("code")) for line in told][:2] == [(202, None), (207, None)]
    assert told[0]["request_id"] == "mine-1" and told[0]["key_id"].startswith("k")


def test_a_flood_of_refused_requests_is_no_flood_of_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 10.0
    monkeypatch.setattr(requests_module.time, "monotonic", lambda: now)
    written = Lines(3)
    assert [written.may_write() for _ in range(10)] == [0, 0, 0, *[None] * 7]
    now = 11.0
    assert [written.may_write() for _ in range(2)] == [7, 0]


def check_conventions(text: str) -> None:
    """Prometheus' naming practices: the unit is the base unit and comes last, counters end in _total."""
    ours = [family for family in text_string_to_metric_families(text) if family.name.startswith("thumbwheel_")]
    assert len(ours) >= 8
    for family in ours:
        assert re.fullmatch("thumbwheel_collector(_[a-z]+)+", family.name), family.name
        assert family.documentation and family.type in ("counter", "gauge", "histogram"), family.name
        if family.type == "counter":
            assert all(sample.name.endswith(("_total", "_created")) for sample in family.samples), family.name
        if family.type == "histogram":
            assert family.name.endswith("_seconds")
            check_buckets(family)


def check_buckets(family: Any) -> None:
    """Each series counts upwards to +Inf, which is its count."""
    series: dict[tuple[Any, ...], list[tuple[float, float]]] = {}
    for sample in family.samples:
        if sample.name.endswith("_bucket"):
            labels = tuple(sorted((name, value) for name, value in sample.labels.items() if name != "le"))
            series.setdefault(labels, []).append((float(sample.labels["le"]), sample.value))
    counts = {
        tuple(sorted(sample.labels.items())): sample.value
        for sample in family.samples
        if sample.name.endswith("_count")
    }
    assert series and set(series) == set(counts)
    for labels, steps in series.items():
        values = [value for _, value in sorted(steps)]
        assert values == sorted(values) and max(steps)[0] == float("inf") and values[-1] == counts[labels]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_metrics_tell_each_route_and_outcome_and_every_reason(start: Any, workers: str) -> None:
    with start(COLLECTOR_WORKERS=workers) as running:
        ask_all(running)
        ask_all(running)
        text = running.get("/metrics")[1]
    check_conventions(text.decode())
    seconds = "thumbwheel_collector_request_seconds_count"
    for route, outcome, count in (
        ("events", "accepted", 2), ("events", "partial", 2), ("events", "refused", 6), ("campaigns", "answered", 2),
        ("campaigns", "refused", 2), ("other", "refused", 2), ("health", "refused", 2),
    ):  # fmt: skip
        assert metric(text, seconds, route=route, outcome=outcome) == count, (route, outcome)
    assert metric(text, seconds, route="health", outcome="answered") >= 3
    refused = "thumbwheel_collector_refused_total"
    for route, code, count in (
        ("events", "invalid_key", 2), ("events", "origin_not_allowed", 2), ("events", "invalid_body", 2),
        ("campaigns", "invalid_key", 2), ("other", "not_found", 2), ("health", "method_not_allowed", 2),
    ):  # fmt: skip
        assert metric(text, refused, route=route, code=code) == count, (route, code)
    assert metric(text, "thumbwheel_collector_append_seconds_count") == 4
