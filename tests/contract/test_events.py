"""Events: what is taken, what is refused and how the refusal reads, and what an appender stamps."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract import schema
from contract.errors import EventError
from contract.events import STRUCTS, Pick, decode_event, decode_stored, encode, named_candidates, stamp
from contract.ids import derived_id, is_wire_id, key128, uuid7
from contract.topics import EVENTS, RUNS, topic_for


def pick(**changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "type": "pick", "event_id": str(uuid7()), "occurred_at": "2026-01-31T12:00:00+02:00",
        "actor": {"id": "agent-7", "kind": "agent"}, "interaction_id": "i-1",
        "shown": ["a", "b", "c", "d"], "outcome": "chosen", "chosen": "b",
    }  # fmt: skip
    return body | changes


def refusal(body: Any) -> EventError:
    with pytest.raises(EventError) as caught:
        decode_event(body if isinstance(body, bytes | dict) else json.dumps(body).encode())
    return caught.value


def test_a_pick_is_read_and_kept_as_it_came() -> None:
    event = decode_event(json.dumps(pick()).encode())
    assert isinstance(event, Pick)
    assert named_candidates(event) == ["a", "b", "c", "d"]
    stamped = stamp(event, project="shop", key_id="k1", via="public")
    stored = decode_stored(encode(stamped))
    assert isinstance(stored, Pick) and msgspec.to_builtins(stored) == msgspec.to_builtins(stamped)
    assert stamped.occurred_at == datetime(2026, 1, 31, 10, tzinfo=UTC)


def test_unknown_fields_are_kept_under_extra() -> None:
    event = decode_event(pick(mood="calm", extra={"a": 1}))
    assert event.extra == {"a": 1, "mood": "calm"}


@pytest.mark.parametrize("field", ["project", "received_at", "key_id", "via", "verified", "sent_at"])
def test_a_client_cannot_set_what_the_appender_stamps(field: str) -> None:
    value = True if field == "verified" else "2026-01-01T00:00:00Z" if field == "received_at" else "forged"
    event = stamp(decode_event(pick(**{field: value})), project="shop", key_id="k1", via="public")
    assert (event.project, event.key_id, event.via, event.verified) == ("shop", "k1", "public", False)
    assert event.received_at > datetime(2026, 6, 1, tzinfo=UTC)  # type: ignore[operator]
    assert field not in event.extra


def test_a_public_key_cannot_say_which_model_wrote_a_reply() -> None:
    body = {
        "type": "thumb", "event_id": str(uuid7()), "occurred_at": "2026-01-31T12:00:00Z", "actor": {"id": "u"},
        "interaction_id": "i", "candidate_id": "c", "value": "up",
        "messages": [{"role": "user", "content": "hi"}],
        "candidates": [{"candidate_id": "c", "content": "hello", "model": "ad-123"}],
    }  # fmt: skip
    assert stamp(decode_event(body), project="p", key_id="k", via="public").candidates[0].model is None
    assert stamp(decode_event(body), project="p", key_id="k", via="secret").candidates[0].model == "ad-123"


def test_only_the_gateway_may_say_that_a_reply_belongs_to_a_blind_test() -> None:
    body = {
        "type": "interaction", "event_id": str(uuid7()), "occurred_at": "2026-01-31T12:00:00Z", "actor": {"id": "u"},
        "interaction_id": "i", "messages": [{"role": "user", "content": "hi"}],
        "candidates": [{"candidate_id": "c", "content": "hello"}],
        "trial": {"challenger": "ad-1", "baseline": "base", "counted": True},
    }  # fmt: skip
    assert stamp(decode_event(body), project="p", key_id="k", via="secret").trial is None
    assert stamp(decode_event(body), project="p", key_id="k", via="gateway").trial.challenger == "ad-1"


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"type": "nudge"}, "unknown_type", "type"),
        ({"event_id": "1"}, "invalid_event", "event_id"),
        ({"occurred_at": "2026-01-31T12:00:00"}, "invalid_event", "occurred_at"),
        ({"occurred_at": "yesterday"}, "invalid_event", "occurred_at"),
        ({"interaction_id": "two words"}, "invalid_event", "interaction_id"),
        ({"interaction_id": "x" * 129}, "invalid_event", "interaction_id"),
        ({"actor": {"id": "a", "kind": "robot"}}, "invalid_event", "actor.kind"),
        ({"chosen": "z"}, "invalid_event", "chosen"),
        ({"outcome": "tie"}, "invalid_event", "chosen"),
        ({"shown": ["a", "a"], "chosen": "a"}, "invalid_event", "shown"),
        ({"shown": ["a"], "chosen": "a"}, "invalid_event", "shown"),
        ({"context": {"k": "x" * 3000}}, "invalid_event", "context"),
        ({"comment": "a\x00b"}, "unstorable_text", None),
        ({"dwell_ms": -1}, "invalid_event", "dwell_ms"),
        ({"context": {"n": 2**70}}, "unstorable_number", None),
    ],
)
def test_a_wrong_field_is_named_with_a_hint(changes: dict[str, Any], code: str, field: str | None) -> None:
    error = refusal(pick(**changes))
    assert (error.code, error.field) == (code, field)
    assert error.hint


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[]", b"nul", b"\xff\xfe", b'"text"', b'{"type": 3}', b'{"type":"thumb","comment":"\\ud83d"}',
     b'{"type":"thumb","extra":' + b"[" * 5000 + b"]" * 5000 + b"}", b'{"a":NaN}', b'{"a":1e999}',
     b'{"a":' + b"9" * 6000 + b"}"],
)  # fmt: skip
def test_bytes_that_are_no_event_are_refused_not_crashed_on(raw: bytes) -> None:
    assert refusal(raw).code in {"invalid_json", "invalid_event", "unknown_type", "too_deep", "unstorable_text"}


def test_an_event_over_the_size_limit_is_refused() -> None:
    assert refusal(json.dumps(pick(comment="x" * 300_000)).encode()).code == "too_large"


@given(st.dictionaries(st.text(max_size=8), st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=8,
), max_size=6), st.sampled_from(sorted(STRUCTS)))  # fmt: skip
def test_any_object_is_an_event_or_a_clear_refusal(body: dict[str, Any], kind: str) -> None:
    try:
        event = decode_event(pick(**body) | {"type": kind})
    except EventError as error:
        assert error.message and error.hint
    else:
        assert decode_stored(encode(stamp(event, project="p", key_id="k", via="secret"))).event_id


def test_times_are_kept_in_utc_whatever_the_client_wrote() -> None:
    zone = timezone(timedelta(hours=-7))
    event = decode_event(pick(occurred_at=datetime(2026, 5, 1, 1, tzinfo=zone).isoformat()))
    assert stamp(event, project="p", key_id="k", via="secret").occurred_at.isoformat() == "2026-05-01T08:00:00+00:00"


def test_feedback_and_facts_go_to_their_topics() -> None:
    assert {topic_for(name) for name in ("interaction", "pick", "retract", "judgement")} == {EVENTS}
    assert {topic_for(name) for name in ("run.started", "request.train", "forget", "dataset.built")} == {RUNS}


def test_ids() -> None:
    first, second = uuid7(), uuid7()
    assert first.version == 7
    assert str(key128("p", str(first)))[:13] == str(first)[:13]
    assert key128("p", str(first)) != key128("q", str(first))
    assert key128("a", "b") != key128("ab")
    assert first != second
    assert derived_id("x", "y") == derived_id("x", "y") != derived_id("xy")
    assert is_wire_id("msg_1") and not is_wire_id("") and not is_wire_id("a b") and not is_wire_id("é")


def test_the_committed_schema_is_what_the_structs_say() -> None:
    assert schema.PATH.read_bytes() == schema.rendered(), "run: python -m contract.schema"
