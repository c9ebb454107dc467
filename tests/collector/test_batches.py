"""Whatever is in a body: documented answers, one result per event in order, each event in the log once or not at all.

Every body's answers and stored bytes are compared with those worked out the long way (`oracle`).
"""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import inspect

from contract.errors import EventError
from contract.events import STRUCTS
from contract.topics import SECRET_TYPES

from .conftest import SHOP, Bench, interaction, thumb
from .oracle import Door
from .wire_events import ANY, ODD, batch_of, bodies, damaged, encoded, events

SHARED = settings(deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)


@pytest.fixture
def door(bench: Bench) -> Iterator[Door]:
    opened = Door(bench.settings, bench.log, bench.control)
    yield opened
    opened.close()


@settings(SHARED, max_examples=400)
@given(bodies())
def test_a_batch_is_answered_and_stored_as_its_events_alone_would_be(bench: Bench, door: Door, body: bytes) -> None:
    door.check(door.send(body, bench.secret), door.send(body, bench.public, SHOP))


@settings(SHARED, max_examples=300)
@given(st.recursive(ANY, lambda inner: st.fixed_dictionaries({"events": st.lists(inner, max_size=4)})), st.booleans())
def test_any_json_value_is_answered_as_documented(bench: Bench, door: Door, value: Any, wrapped: bool) -> None:
    door.check(door.send(json.dumps({"events": value} if wrapped else value).encode(), bench.secret))


@settings(SHARED, max_examples=200)
@given(st.lists(encoded(events()), min_size=1, max_size=4))
def test_every_event_of_the_schema_is_accepted(bench: Bench, door: Door, raws: list[bytes]) -> None:
    reply = door.send(batch_of(raws), bench.secret)
    assert reply.status == 202, reply.answer
    door.check(reply)


@settings(SHARED, max_examples=200)
@given(st.lists(damaged(), min_size=1, max_size=3), st.data())
def test_a_damaged_event_costs_its_neighbours_nothing(bench: Bench, door: Door, bad: list[bytes], data: Any) -> None:
    good = [json.dumps(event).encode() for event in (thumb(), interaction(), thumb())]
    mixed = data.draw(st.permutations([*good, *bad]))
    reply = door.send(batch_of(mixed), bench.secret)
    door.check(reply)
    if reply.status != 400:
        statuses = dict(zip(mixed, (one["status"] for one in reply.answer["results"]), strict=True))
        assert {statuses[raw] for raw in good} == {"accepted"}


@pytest.mark.parametrize("place", ["context", "mood", "actor", "sdk", "messages", "comment", "type", "occurred_at"])
def test_an_odd_value_gets_the_answer_of_the_long_way(bench: Bench, door: Door, place: str) -> None:
    good = json.dumps(thumb()).encode()
    for odd in ODD:
        for wrap in (
            "{}",
            '{{"id":"u","a":{}}}',
            '{{"name":"n","a":[{}]}}',
            '[{{"role":"user","content":"a","a":{}}}]',
        ):
            bad = json.dumps(thumb(**{place: ...}))[:-1] + f',"{place}":{wrap.format(odd)}}}'
            door.check(door.send(batch_of([good, bad.encode("utf-8", "surrogatepass")]), bench.secret))


def test_a_time_outside_the_calendar_is_rejected_and_costs_its_neighbour_nothing(bench: Bench, door: Door) -> None:
    early, late = thumb(occurred_at="0001-01-01T00:00:00+23:59"), thumb(occurred_at="9999-12-31T23:59:59-23:59")
    reply = door.send(json.dumps({"events": [early, thumb(), late]}).encode(), bench.secret)
    assert [one["status"] for one in reply.answer["results"]] == ["rejected", "accepted", "rejected"]
    assert reply.answer["results"][0]["error"]["field"] == "occurred_at"
    door.check(reply)


def test_rejected_events_leave_no_memory_behind_however_seldom_python_looks_for_it(bench: Bench) -> None:
    gc.collect()
    gc.disable()
    # What other tests still hold is not this one's.
    before = [one for one in gc.get_objects() if isinstance(one, EventError)]
    try:
        assert bench.post([thumb(value="sideways"), thumb()] * 20).status_code == 207
        assert [one for one in gc.get_objects() if isinstance(one, EventError) and one not in before] == []
    finally:
        gc.enable()


def id_places(kind: inspect.Type, place: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where ids stand in values of this type."""
    match kind:
        case inspect.StructType():
            for one in kind.fields:
                yield from id_places(one.type, (*place, one.encode_name))
        case inspect.Metadata():
            yield from id_places(kind.type, place)
        case inspect.UnionType():
            for inner in kind.types:
                yield from id_places(inner, place)
        case inspect.ListType():
            yield from id_places(kind.item_type, (*place, 0))
        case inspect.StrType() if kind.pattern:
            yield place


def complete(kind: str) -> dict[str, Any]:
    """A valid event of this type with each of its ids given."""
    candidates = [{"candidate_id": "c-1", "content": "a"}, {"candidate_id": "c-2", "content": "b"}]
    given = {
        "conversation_id": "v-1", "campaign": "k-1", "candidate_id": "c-1", "shown": ["c-1", "c-2"], "chosen": "c-1",
        "outcome": "chosen", "value": "up", "text": "a", "target": thumb()["event_id"], "candidates": candidates,
        "messages": [{"role": "user", "content": "a"}], "order": ["c-1", "c-2"],
        "task_id": "t-1", "spans": [{"path": "fact", "candidate_id": "c-1", "start": 0, "end": 1, "text": "a"}],
    }  # fmt: skip
    return thumb() | {"type": kind} | {k: v for k, v in given.items() if k in STRUCTS[kind].__struct_fields__}


@pytest.mark.parametrize("kind", sorted(SECRET_TYPES))
def test_an_id_with_other_than_visible_characters_is_rejected_wherever_it_stands(
    bench: Bench, door: Door, kind: str
) -> None:
    own = {name: value for name, value in complete(kind).items() if name in (*STRUCTS[kind].__struct_fields__, "type")}
    assert door.send(json.dumps({"events": [own]}).encode(), bench.secret).status == 202
    for *path, last in id_places(inspect.type_info(STRUCTS[kind])):
        for odd in ("a b", "a\n", "\x7f", "\u00e9", "", "a" * 129):
            bad = deepcopy(own)
            where: Any = bad
            for step in path:
                where = where[step]
            where[last] = odd
            reply = door.send(json.dumps({"events": [thumb(), bad]}).encode(), bench.secret)
            assert [one["status"] for one in reply.answer["results"]] == ["accepted", "rejected"], (path, last, odd)
    door.logged()
