"""One event that cannot be read, of 41: it is rejected with its reason and its id, and the others are taken."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.body import MAX_WIRE_BYTES, event_id_of, find_events
from contract.topics import REJECTED

from .conftest import Bench, events, records, thumb
from .test_refusals import nested

GOOD = 40
PLACE = 17
BAD = {
    "an emoji cut in two": (rb'"\ud83d"', "unstorable_text"),
    "the other half of it": (rb'"\ude00"', "unstorable_text"),
    "half an emoji before a character": ('"\\ud83d你"'.encode(), "unstorable_text"),
    "half an emoji before an escape": (rb'"\ud83d\u4f60"', "unstorable_text"),
    "two first halves": (rb'"\ud83d\ud83d"', "unstorable_text"),
    "half an emoji in a key": (rb'{"\ud83d":1}', "unstorable_text"),
    "half an emoji behind a quote": (rb'"\"\\\ud83d"', "unstorable_text"),
    "NUL": (rb'"\u0000"', "unstorable_text"),
    "65 levels": (nested(65), "too_deep"),
    "2000 levels": (nested(2000), "too_deep"),
    "40000 levels": (nested(40_000), "too_deep"),
    "100000 lists": (b"[" * 100_000 + b"]" * 100_000, "too_deep"),
    "lists and half an emoji": (b"[" * 3000 + rb'"\ud83d"' + b"]" * 3000, "too_deep"),
    "an endless number": (b"9" * 4000, "unstorable_number"),
    "NaN": (b"NaN", "invalid_json"),
    "infinite": (b"-Infinity", "invalid_json"),
    "1e999": (b"1e999", "invalid_json"),
    "an unknown escape": (rb'"\x41"', "invalid_json"),
    "a control character": (b'"\x01"', "invalid_json"),
    "a comma too many": (b"[1,]", "invalid_json"),
    "no UTF-8": (b'"\xff"', "invalid_json"),
    "half an emoji in bytes": (b'"\xed\xa0\xbd"', "invalid_json"),
}


def one_of(bad: bytes, good: list[dict[str, Any]]) -> tuple[bytes, bytes, str]:
    """Return a body with a bad value in one event, that event, and its id."""
    event = thumb(context={"a": "HERE"})
    raw = json.dumps(event).encode().replace(b'"HERE"', bad)
    parts = [json.dumps(one).encode() for one in good]
    parts.insert(PLACE, raw)
    return b'{ "sent_at": null, "events" : [' + b" ,\n".join(parts) + b"] }", raw, event["event_id"]


@pytest.mark.parametrize("name", BAD)
def test_one_bad_event_of_41_costs_itself_alone(bench: Bench, name: str) -> None:
    good = [thumb() for _ in range(GOOD)]
    body, raw, event_id = one_of(BAD[name][0], good)
    answer = bench.post(body)
    assert answer.status_code == 207, answer.get_json()
    results = answer.get_json()["results"]
    bad = results.pop(PLACE)
    assert (bad["status"], bad["error"]["code"], bad["event_id"]) == ("rejected", BAD[name][1], event_id)
    assert bad["error"]["hint"]
    assert [(one["event_id"], one["status"]) for one in results] == [(one["event_id"], "accepted") for one in good]
    assert {one["event_id"] for one in events(bench.log)} == {one["event_id"] for one in good}
    (kept,) = (json.loads(record.value) for record in records(bench.log, REJECTED))
    assert base64.b64decode(kept["raw"]) == raw[: 256 * 1024], "kept as it was sent"
    assert (kept["event_id"], kept["code"]) == (event_id, BAD[name][1])


def test_several_bad_events_cost_themselves(bench: Bench) -> None:
    bad = [json.dumps(thumb(comment="HERE")).encode().replace(b'"HERE"', value) for value, _ in BAD.values()]
    body = b'{"events":[' + b",".join(x for one in bad for x in (one, json.dumps(thumb()).encode())) + b"]}"
    statuses = [one["status"] for one in bench.post(body).get_json()["results"]]
    assert statuses == ["rejected", "accepted"] * len(bad)


UNREADABLE = {
    "ends early": lambda body: body[:-3],
    "ends within a string": lambda body: body[: body.index(b"HERE")],
    "a quote is missing": lambda body: body.replace(b'HERE"', b"HERE"),
    "a bracket is missing": lambda body: body.replace(b'"HERE"}', b'"HERE"'),
    "something follows": lambda body: body + b"x",
    "a comma too many": lambda body: body.replace(b"] }", b",] }"),
    "no list": lambda body: body.replace(b"[", b"", 1).replace(b"] }", b"}"),
    "a member is spoilt": lambda body: body.replace(b'"sent_at": null', b'"sent_at": nil'),
    "a member holds half an emoji": lambda body: body.replace(b'"sent_at": null', rb'"sent_at": "\ud83d"'),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_body_that_cannot_be_read_is_refused_and_nothing_of_it_is_taken(bench: Bench, name: str) -> None:
    body, _, _ = one_of(b'"HERE"', [thumb() for _ in range(GOOD)])
    # With a bad event beside the fault: as it is alone, it would be taken apart.
    for spoilt in (UNREADABLE[name](body), UNREADABLE[name](body.replace(b'"i-1"', rb'"\ud83d"', 1))):
        answer = bench.post(spoilt)
        assert (answer.status_code, answer.get_json()["error"]["code"]) == (400, "invalid_body"), spoilt[:80]
    assert events(bench.log) == [] and records(bench.log, REJECTED) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=[]), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=JSON, escaped=st.booleans())
def test_no_value_that_a_program_can_send_costs_a_neighbour(bench: Bench, value: object, escaped: bool) -> None:
    """Whatever Python's or a browser's JSON can write, half surrogate pairs, NaN and all."""
    written = json.dumps(value, ensure_ascii=escaped).encode("utf-8", "surrogatepass")
    good = [thumb(), thumb()]
    parts = [json.dumps(one).encode() for one in good]
    odd = json.dumps(thumb(context={"a": "HERE"})).encode().replace(b'"HERE"', written)
    answer = bench.post(b'{"events":[' + b",".join([parts[0], odd, parts[1]]) + b"]}")
    assert answer.status_code in (202, 207), answer.get_json()
    first, _, last = answer.get_json()["results"]
    assert [(one["event_id"], one["status"]) for one in (first, last)] == [
        (one["event_id"], "accepted") for one in good
    ]


@pytest.mark.parametrize("part", [b"[]{}", b'"",', b'\\"', b'"', b"[", b"x ", b"1,", b"{}:"])
def test_no_body_keeps_a_worker_busy(part: bytes) -> None:
    for head in (b'{"events":[', b'{"events":["', b""):
        body = (head + part * MAX_WIRE_BYTES)[:MAX_WIRE_BYTES]
        began = time.process_time()
        assert find_events(body) is None
        assert time.process_time() - began < 1.0


def test_an_id_is_named_only_where_nothing_else_can_be_meant() -> None:
    assert event_id_of(rb'{"event_id": "a-1", "comment": "\ud83d"}') == "a-1"
    assert event_id_of(rb'{"event_id": "a-1", "context": {"event_id": "a-2"}, "comment": "\ud83d"}') is None
    assert event_id_of(rb'{"comment": "\ud83d"}') is None
