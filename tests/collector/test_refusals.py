"""Every documented refusal of a whole request, hostile bodies, and who may ask from where."""

from __future__ import annotations

import gzip
import json
import zlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.decode import decode_batch
from collector.errors import REFUSALS
from collector.limits import Rates, Slots
from contract.topics import REJECTED

from .conftest import SHOP, Bench, events, interaction, thumb

ONE = json.dumps({"events": [thumb()]}).encode()

# status, code, and what the request says differently: body, key, headers
TABLE: list[tuple[int, str, dict[str, Any]]] = [
    (400, "invalid_body", {"body": b""}),
    (400, "invalid_body", {"body": b"thumb up"}),
    (400, "invalid_body", {"body": b"[]"}),
    (400, "invalid_body", {"body": b'{"events": {}}'}),
    (400, "invalid_body", {"body": b'{"events": []}'}),
    (400, "invalid_body", {"body": b'{"events": [' + b",".join([b"{}"] * 501) + b"]}"}),
    (400, "invalid_body", {"body": ONE[:-1]}),
    (400, "invalid_body", {"body": ONE + b"x"}),
    (400, "invalid_body", {"body": b"\xef\xbb\xbf" + ONE}),
    (400, "invalid_body", {"body": b"not gzip", "headers": {"Content-Encoding": "gzip"}}),
    (400, "invalid_body", {"body": gzip.compress(ONE)[:-9], "headers": {"Content-Encoding": "gzip"}}),
    (400, "invalid_body", {"body": gzip.compress(ONE) + b"more", "headers": {"Content-Encoding": "gzip"}}),
    (400, "invalid_body", {"body": gzip.compress(ONE) * 2, "headers": {"Content-Encoding": "gzip"}}),
    (400, "invalid_body", {"body": gzip.compress(gzip.compress(ONE)), "headers": {"Content-Encoding": "gzip"}}),
    (400, "invalid_body", {"body": zlib.compress(ONE), "headers": {"Content-Encoding": "gzip"}}),
    (400, "invalid_body", {"body": ONE.decode().encode("utf-16")}),
    (400, "invalid_body", {"body": ONE.decode().encode("utf-32")}),
    (400, "invalid_body", {"body": b"[" * 1_000_000}),
    (400, "invalid_body", {"body": b'{"events":[],"events":7}'}),
    (401, "invalid_key", {"headers": {"Authorization": ""}}),
    (401, "invalid_key", {"headers": {"Authorization": "Basic dTpw"}}),
    (401, "invalid_key", {"key": "tw_sec_nobody-has-this-one"}),
    (401, "invalid_key", {"key": "REVOKED"}),
    (401, "invalid_key", {"key": "EXPIRED"}),
    (401, "invalid_key", {"key": "SERVICE"}),
    (403, "origin_not_allowed", {"key": "PUBLIC", "headers": {"Origin": "https://evil.example"}}),
    (403, "origin_not_allowed", {"key": "PUBLIC"}),
    (403, "origin_not_allowed", {"key": "PUBLIC", "headers": {"Origin": "null"}}),
    (413, "too_large", {"body": b" " * (1024 * 1024 + 1)}),
    (413, "too_large", {"body": gzip.compress(b" " * 6_000_000), "headers": {"Content-Encoding": "gzip"}}),
    (413, "too_large", {"body": gzip.compress(bytes(500_000_000), 9), "headers": {"Content-Encoding": "gzip"}}),
    (415, "unsupported_type", {"headers": {"Content-Type": "application/xml"}}),
    (415, "unsupported_type", {"headers": {"Content-Type": "multipart/form-data; boundary=x"}}),
    (413, "too_large", {"body": gzip.compress(ONE + b" " * 300_000), "headers": {"Content-Encoding": "gzip"}}),
    (415, "unsupported_type", {"headers": {"Content-Encoding": "br"}}),
    (415, "unsupported_type", {"body": gzip.compress(ONE), "headers": {"Content-Encoding": "x-gzip"}}),
    (415, "unsupported_type", {"body": gzip.compress(ONE), "headers": {"Content-Encoding": "gzip, gzip"}}),
    (415, "unsupported_type", {"body": zlib.compress(ONE), "headers": {"Content-Encoding": "deflate"}}),
]


def check_shape(answer: Any, status: int, code: str) -> None:
    """The one error shape, as JSON, of the documented status."""
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (status, code)
    assert answer.mimetype == "application/json"
    assert set(answer.get_json()) == {"error"}
    assert set(answer.get_json()["error"]) <= {"code", "message", "hint", "field"}
    assert answer.get_json()["error"]["hint"]
    if status in (429, 503):
        assert int(answer.headers["Retry-After"]) >= 1


@pytest.mark.parametrize(("status", "code", "request_"), TABLE)
def test_a_refused_request_says_why_and_stores_nothing(
    bench: Bench, status: int, code: str, request_: dict[str, Any]
) -> None:
    key = request_.get("key")
    if key == "REVOKED":
        created = bench.control.create_key("default", "secret")
        bench.control.revoke_key(created.key_id)
        key = created.key
    elif key == "EXPIRED":
        created = bench.control.create_key("default", "secret")
        bench.control.rotate_key(created.key_id, timedelta(0))
        key = created.key
    elif key == "SERVICE":
        key = bench.control.create_key("default", "service").key
    elif key == "PUBLIC":
        key = bench.public
    answer = bench.post(request_.get("body", ONE), key, request_.get("headers"))
    check_shape(answer, status, code)
    assert events(bench.log) == events(bench.log, REJECTED) == []


def test_past_its_rate_a_key_is_told_how_long_to_wait(bench: Bench) -> None:
    bench.settings = type(bench.settings)(home=bench.settings.home, collector_rate=1.0)
    bench.restart()
    assert bench.post([thumb()] * 10).status_code == 202
    answer = bench.post([thumb()] * 5)
    check_shape(answer, 429, "rate_limited")
    assert 4 <= int(answer.headers["Retry-After"]) <= 5
    other = bench.control.create_key("default", "secret").key
    assert bench.post([thumb()], other).status_code == 202


def test_a_batch_larger_than_the_whole_allowance_still_goes_once_it_is_full(tmp_path: Path) -> None:
    rates = Rates(tmp_path, rate=1.0, burst_s=2.0)
    rates.take("k", 500)
    with pytest.raises(Exception, match="too much"):
        rates.take("k", 1)


def test_with_too_much_in_flight_the_answer_is_503_at_once(bench: Bench) -> None:
    slots = Slots(1)
    bench.restart(slots=slots)
    with slots.one():
        check_shape(bench.post(ONE), 503, "overloaded")
    assert bench.post(ONE).status_code == 202


def test_other_methods_and_addresses_get_the_same_shape(bench: Bench) -> None:
    got = bench.client.get("/v1/events")
    check_shape(got, 405, "method_not_allowed")
    assert got.headers["Allow"] == "POST, OPTIONS"
    check_shape(bench.client.post("/healthz"), 405, "method_not_allowed")
    check_shape(bench.client.get("/nowhere"), 404, "not_found")
    check_shape(bench.client.get("/sdk/other.js"), 404, "not_found")


def test_a_fault_of_ours_is_500_in_the_same_shape_and_logs_no_content(
    bench: Bench, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(text: str) -> None:
        raise RuntimeError(f"secret detail {text}")

    monkeypatch.setattr(bench.control, "find_key", fail)
    check_shape(bench.post(ONE), 500, "internal_error")
    assert "RuntimeError at" in caplog.text
    assert "secret detail" not in caplog.text


def test_every_documented_refusal_is_in_the_openapi_document(bench: Bench) -> None:
    document = bench.client.get("/v1/openapi.json").get_json()
    post = document["paths"]["/v1/events"]["post"]
    assert {str(status) for status, _, _ in REFUSALS} | {"202", "207"} == set(post["responses"])
    names = [one["$ref"].rsplit("/", 1)[1] for one in post["requestBody"]["content"]["application/json"]["schema"][
        "properties"]["events"]["items"]["oneOf"]]  # fmt: skip
    assert sorted(names) == ["Annotation", "Choice", "Edit", "Interaction", "Pick", "Retract", "Thumb"]
    assert set(names) <= set(document["components"]["schemas"])


# What the store could not hold, or a parser could die of: rejected alone, or refused; never a fault of ours.
def nested(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


HOSTILE = {
    "depth 65": nested(65), "depth 1000": nested(1000), "depth 100000": nested(100_000),
    "lists 5000": b"[" * 5000 + b"]" * 5000, "lone surrogate": rb'"\ud83d"', "NUL": rb'"\u0000"',
    "NaN": b"NaN", "infinite": b"1e999", "30 digits": b"9" * 30, "5000 digits": b"9" * 5000,
    "raw NUL": b'"\x00"', "bad UTF-8": b'"\xff\xfe"', "encoded surrogate": b'"\xed\xa0\xbd"',
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_value_is_rejected_and_its_neighbour_is_not(bench: Bench, name: str) -> None:
    bad = json.dumps(thumb(context={"a": "HERE"})).encode().replace(b'"HERE"', HOSTILE[name])
    answer = bench.post(b'{"events":[' + bad + b"," + json.dumps(thumb()).encode() + b"]}")
    assert answer.status_code in (207, 400), answer.get_json()
    if answer.status_code == 207:
        assert [r["status"] for r in answer.get_json()["results"]] == ["rejected", "accepted"]
        assert answer.get_json()["results"][0]["error"]["hint"]


def test_keys_given_twice_and_very_many_of_them_are_no_fault(bench: Bench) -> None:
    twice = json.dumps(thumb()).encode()[:-1] + b',"value":"down"}'
    many = json.dumps(thumb(**{f"k{i}": i for i in range(10_000)})).encode()
    answer = bench.post(b'{"events":[' + twice + b"," + many + b"]}")
    assert [r["status"] for r in answer.get_json()["results"]] == ["accepted", "accepted"]
    assert events(bench.log)[0]["value"] == "down"


def test_a_hundred_thousand_keys_enormous_ids_and_what_is_no_event_are_rejected_alone(bench: Bench) -> None:
    many = {f"k{i}": 0 for i in range(100_000)}
    bad = [
        thumb(extra=many),
        thumb(event_id="x" * 300_000),
        thumb(interaction_id="i" * 200_000),
        7,
        "thumb",
        None,
        [],
        [thumb()],
        {},
    ]
    raw = json.dumps({"events": [x for one in bad for x in (one, thumb())], "unknown": many}).encode()
    answer = bench.post(gzip.compress(raw), headers={"Content-Encoding": "gzip"})
    results = answer.get_json()["results"]
    assert [r["status"] for r in results] == ["rejected", "accepted"] * len(bad)
    assert {r["error"]["code"] for r in results[:4:2]} == {"too_large"}
    assert all(len(r["event_id"] or "") <= 128 for r in results)
    assert len(events(bench.log)) == len(events(bench.log, REJECTED)) == len(bad)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300), st.integers(0, 400), st.integers(0, 8), st.booleans())
def test_no_damage_to_a_body_is_a_fault_of_ours(bench: Bench, junk: bytes, at: int, gone: int, zipped: bool) -> None:
    whole = json.dumps({"events": [thumb(), interaction()]}).encode()
    body = whole[:at] + junk + whole[at + gone :]
    if zipped:
        body = zlib.compress(body, wbits=31)
    answer = bench.post(body, headers={"Content-Encoding": "gzip"} if zipped else None)
    assert answer.status_code in (202, 207, 400, 401)


def test_a_batch_as_an_sdk_sends_it_is_decoded_in_one_go() -> None:
    sent = [thumb(context={"page": "/orders", "steps": [1, 2]}, labels=["refund/late"]) for _ in range(3)]
    batch = decode_batch(json.dumps({"events": sent, "key": "tw_pub_1"}).encode())
    assert batch is not None and batch.key == "tw_pub_1"
    assert [event.event_id for event in batch.events] == [event["event_id"] for event in sent]


def test_an_id_that_ends_in_a_line_feed_is_refused(bench: Bench) -> None:
    answer = bench.post([thumb(interaction_id="chat-1\n"), thumb()])
    assert [result["status"] for result in answer.get_json()["results"]] == ["rejected", "accepted"]


ALLOWED = [SHOP, "https://a.shop.example", "https://a.b.shop.example", "HTTPS://SHOP.EXAMPLE"]
DENIED = [
    "https://shop.example.evil", "http://shop.example", "https://evilshop.example", "https://shop.example:8443",
    "https://evil/.shop.example", "https://.shop.example", "null", "https://a.shop.example:81", "file://",
]  # fmt: skip


@pytest.mark.parametrize("origin", ALLOWED)
def test_a_page_of_an_allowed_origin_may_send_and_read_every_answer(bench: Bench, origin: str) -> None:
    sent = bench.post_from(origin, [thumb()])
    assert sent.status_code == 202
    for answer in (sent, bench.post_from(origin, b"junk"), bench.post_from(origin, [thumb()], "tw_pub_unknown")):
        assert answer.headers["Access-Control-Allow-Origin"] == origin
        assert "Origin" in answer.headers["Vary"]
        assert "Access-Control-Allow-Credentials" not in answer.headers
    assert bench.client.get("/healthz", headers={"Origin": origin}).headers["Access-Control-Allow-Origin"] == origin


@pytest.mark.parametrize("origin", DENIED)
def test_a_page_of_another_origin_may_neither_send_nor_read(bench: Bench, origin: str) -> None:
    answer = bench.post_from(origin, [thumb()])
    assert answer.status_code == 403
    assert "Access-Control-Allow-Origin" not in answer.headers
    asked = bench.client.options("/v1/events", headers={"Origin": origin})
    assert "Access-Control-Allow-Origin" not in asked.headers


def test_native_apps_and_sandboxed_frames_need_null_among_the_origins(bench: Bench) -> None:
    key = bench.control.create_key("default", "public", ["null"]).key
    bench.restart()
    assert bench.post_from(None, [thumb()], key).status_code == 202
    sent = bench.post_from("null", [thumb()], key)
    assert (sent.status_code, sent.headers["Access-Control-Allow-Origin"]) == (202, "null")
    assert bench.post_from(SHOP, [thumb()], key).status_code == 403


def test_an_origin_of_one_key_does_not_serve_another(bench: Bench) -> None:
    other = bench.control.create_key("default", "public", ["https://other.example"]).key
    bench.restart()
    answer = bench.post_from(SHOP, [thumb()], other)
    assert answer.status_code == 403
    assert answer.headers["Access-Control-Allow-Origin"] == SHOP


def test_the_preflight_of_an_allowed_origin_is_kept_for_a_day(bench: Bench) -> None:
    asked = bench.client.options("/v1/events", headers={"Origin": SHOP, "Access-Control-Request-Method": "POST"})
    assert (asked.status_code, asked.data) == (204, b"")
    assert asked.headers["Access-Control-Allow-Origin"] == SHOP
    assert asked.headers["Access-Control-Allow-Methods"] == "POST"
    assert "Authorization" in asked.headers["Access-Control-Allow-Headers"]
    assert asked.headers["Access-Control-Max-Age"] == "86400"
