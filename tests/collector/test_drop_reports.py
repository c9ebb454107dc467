"""What an SDK says it gave up is kept and counted; a report nobody can read costs no event."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any

import pytest

from contract.ids import uuid7
from contract.topics import REJECTED

from .conftest import Bench, events, thumb


def report(**counts: Any) -> dict[str, Any]:
    return {"event_id": str(uuid7()), "counts": counts}


def test_a_report_is_kept_beside_the_events_it_came_with(bench: Bench) -> None:
    told = report(queue_full=3, too_large=1)
    answer = bench.post({"events": [thumb(), thumb()], "dropped": told})
    assert answer.status_code == 202
    assert len(answer.get_json()["results"]) == 2
    (kept,) = events(bench.log, REJECTED)
    assert kept["code"] == "client_dropped"
    assert kept["event_id"] == told["event_id"]
    assert "4 events" in kept["message"] and "queue_full 3, too_large 1" in kept["message"]
    assert json.loads(b64decode(kept["raw"])) == told
    assert len(events(bench.log)) == 2


def test_reasons_named_by_a_proxy_are_counted_together(bench: Bench) -> None:
    told = report(**{"queue_full": 3, "Forbidden": 2, "<b>": 1})
    assert bench.post({"events": [thumb()], "dropped": told}).status_code == 202
    (kept,) = events(bench.log, REJECTED)
    assert "6 events" in kept["message"] and kept["message"].endswith("other 3, queue_full 3.")


@pytest.mark.parametrize("bad", [
    None, [], "queue_full", 7, {}, {"counts": {"queue_full": 1}}, {"event_id": "x", "counts": {"a": 1}},
    report(), report(queue_full=0), report(queue_full="1"), report(queue_full=2**40),
    report(**{f"r{i}": 1 for i in range(33)}), report(**{"r" * 64: 1}) | {"more": "x" * 5000},
])  # fmt: skip
def test_a_malformed_report_costs_no_event(bench: Bench, bad: Any) -> None:
    answer = bench.post({"events": [thumb()], "dropped": bad})
    assert answer.status_code == 202
    assert len(events(bench.log)) == 1
    assert events(bench.log, REJECTED) == []
