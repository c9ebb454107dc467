"""A rejected record is found by its position, judged by today's rules, and never lost; on either kind of log."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from collector.rejected import rejected_entry
from contract.errors import EventError, ThumbwheelError
from contract.events import Thumb, decode_event, encode, stamp
from contract.ids import uuid7
from contract.signing import sign_candidate, signing_key
from contract.topics import EVENTS, REJECTED, RUNS
from control_store.control import Control
from control_store.keys import Key
from eventlog.log import Entry, Log, append_all, entry_for
from eventlog.rejected import Place, read_record, read_records, read_rejected, revive

RECEIVED = datetime(2026, 1, 31, 12, 0, 5, tzinfo=UTC)
WHY = EventError("unknown_type", "Unknown event type 'thumb'.")


@pytest.fixture
def control() -> Control:
    return Control.open("sqlite:///:memory:")


@pytest.fixture
def keys(control: Control) -> dict[str, Key]:
    """Keys of the project shop by kind."""
    for kind in ("public", "secret"):
        control.create_key("shop", kind)
    return {key.kind: key for key in control.list_keys()}


def thumb(**changes: Any) -> dict[str, Any]:
    return {
        "type": "thumb", "event_id": str(uuid7()), "occurred_at": "2026-01-31T12:00:00Z", "actor": {"id": "u-1"},
        "interaction_id": "i-1", "candidate_id": "c-1", "value": "up",
    } | changes  # fmt: skip


def put(log: Log, entry: Entry) -> Place:
    [position] = log.append([entry])
    assert position is not None
    return Place(position.topic, position.partition, position.offset)


def again(log: Log, control: Control, place: Place) -> Any:
    return revive(read_record(log, place), {key.key_id: key for key in control.list_keys()}.get, control.signing_key)


def test_what_an_older_collector_refused_comes_in_as_it_would_have_then(
    log: Log, control: Control, keys: dict[str, Key]
) -> None:
    made = control.create_key("shop", "secret")
    key = next(key for key in control.list_keys() if key.key_id == made.key_id)
    candidate = sign_candidate(signing_key(made.key), made.key_id, "shop", "i-1")
    put(log, rejected_entry(b"other", key, WHY, RECEIVED))
    sent = thumb(candidate_id=candidate, project="forged")
    place = put(log, rejected_entry(json.dumps(sent).encode(), key, WHY, RECEIVED))
    event = again(log, control, place)
    assert (event.project, event.key_id, event.via, event.received_at) == ("shop", made.key_id, "secret", RECEIVED)
    assert event.verified and event.event_id == sent["event_id"]
    [position] = append_all(log, [event])
    [twice] = append_all(log, [again(log, control, place)])
    found = [read_record(log, Place(p.topic, p.partition, p.offset)).value for p in (position, twice)]
    assert found == [encode(event)] * 2, "the same event, which is stored once"
    kept = read_rejected(read_record(log, place))
    assert kept is not None and (kept.code, json.loads(kept.whole())) == ("unknown_type", sent)


@pytest.mark.parametrize(("raw", "why"), [
    (b"{bad", "Not valid JSON"), (json.dumps(thumb(value="sideways")).encode(), "Invalid enum value"),
    (json.dumps({"type": "interaction"} | thumb(type="interaction", messages=[{"role": "user", "content": "x"}],
     candidates=[{"candidate_id": "c-1"}])).encode(), "may not write"),
    (b'"' + b"x" * 300_000 + b'"', "bytes are kept"),
])  # fmt: skip
def test_what_is_still_wrong_is_refused_with_the_reason_and_stays(
    log: Log, control: Control, keys: dict[str, Key], raw: bytes, why: str
) -> None:
    place = put(log, rejected_entry(raw, keys["public"], WHY, RECEIVED))
    before = log.end_offset(place.topic, place.partition)
    with pytest.raises(ThumbwheelError, match=why):
        again(log, control, place)
    assert log.end_offset(place.topic, place.partition) == before
    assert read_rejected(read_record(log, place)) is not None


def test_a_report_of_an_sdk_and_an_event_of_an_unknown_key_cannot_be_retried(
    log: Log, control: Control, keys: dict[str, Key]
) -> None:
    report = put(log, rejected_entry(b"{}", keys["public"], ThumbwheelError("client_dropped", "1 event"), RECEIVED))
    with pytest.raises(ThumbwheelError, match="no event is in it"):
        again(log, control, report)
    place = put(log, rejected_entry(json.dumps(thumb()).encode(), keys["public"], WHY, RECEIVED))
    with pytest.raises(ThumbwheelError, match="is unknown"):
        again(log, Control.open("sqlite:///:memory:"), place)


def test_poison_that_is_understood_now_is_appended_as_it_was(log: Log, control: Control) -> None:
    event = stamp(decode_event(thumb()), project="shop", key_id="k", via="public", received_at=RECEIVED)
    place = put(log, entry_for(event))
    read = again(log, control, place)
    assert isinstance(read, Thumb) and msgspec.to_builtins(read) == msgspec.to_builtins(event)


@pytest.mark.parametrize(("topic", "value", "why"), [
    (EVENTS, b"{", "Not a stored event"), (EVENTS, json.dumps(thumb()).encode(), "has no received_at"),
    (REJECTED, b"[]", "did not write it"),
    (RUNS, json.dumps({
        "type": "request.train", "event_id": str(uuid7()), "occurred_at": "2026-01-31T12:00:00Z", "actor": {"id": "u"},
        "received_at": "2026-01-31T12:00:00Z", "project": "shop", "key_id": "k", "via": "console", "method": "dpo",
    }).encode(), "its moment has passed"),
])  # fmt: skip
def test_poison_that_is_still_poison_says_so(log: Log, control: Control, topic: str, value: bytes, why: str) -> None:
    with pytest.raises(ThumbwheelError, match=why):
        again(log, control, put(log, Entry(topic, "k", value)))


def test_a_position_that_is_none_or_not_in_the_log_is_said_to_be_that(log: Log) -> None:
    place = put(log, Entry(REJECTED, "k", b"{}"))
    whole = f"{place.topic}/{place.partition}/{place.offset}"
    assert str(place).startswith("rejected/") and Place.parse(str(place)) == Place.parse(whole) == place
    for text in ("", "elsewhere/0/1", f"{REJECTED}/0", f"{REJECTED}/0/-1", f"{REJECTED}/x/1", f"{REJECTED}/²/1"):
        with pytest.raises(ThumbwheelError, match="is no position"):
            Place.parse(text)
    for missing in (place._replace(offset=place.offset + 1), place._replace(partition=99)):
        with pytest.raises(ThumbwheelError, match="holds nothing"):
            read_record(log, missing)


def test_many_places_are_read_in_one_go(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    places = [put(log, Entry(REJECTED, f"k-{number}", b"%d" % number)) for number in range(60)]
    opened: list[Any] = []
    reader = type(log).reader
    monkeypatch.setattr(type(log), "reader", lambda self, positions: opened.append(1) or reader(self, positions))
    missing = [places[0]._replace(offset=10**9), places[0]._replace(partition=99)]
    found = read_records(log, [*reversed(places), *missing, places[7]])
    assert list(found) == [*reversed(places), *missing], "in the order that was asked for"
    assert [found[place] and found[place].value for place in places] == [b"%d" % number for number in range(60)]
    assert [found[place] for place in missing] == [None, None]
    assert len(opened) == len({place.partition for place in places})
    assert read_records(log, []) == {}


def test_what_lies_far_apart_is_not_all_read(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eventlog.rejected.GAP_RECORDS", 5)
    entries = [Entry(EVENTS, "k", b"%d" % number) for number in range(40)]
    places = [Place(*msgspec.structs.astuple(position)) for position in log.append(entries) if position]
    found = read_records(log, [places[0], places[3], places[39]])
    assert [record and record.value for record in found.values()] == [b"0", b"3", b"39"]
