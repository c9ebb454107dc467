"""Annotations, reviews, adjudications and notes: what is refused, with the field that is at fault."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contract.errors import EventError
from contract.events import Adjudication, Annotation, Note, Review, decode_event, decode_stored, encode, stamp
from contract.ids import uuid7
from contract.topics import EVENTS, RUNS, topic_for


def told(kind: str, **fields: Any) -> dict[str, Any]:
    return {
        "type": kind, "event_id": str(uuid7()), "occurred_at": "2026-01-31T12:00:00Z", "actor": {"id": "ann"},
        "interaction_id": "i-1",
    } | fields  # fmt: skip


SPAN = {"path": "fact", "candidate_id": "a", "start": 1, "end": 3, "text": "好的"}
GOOD: list[tuple[type, dict[str, Any]]] = [
    (Annotation, told("annotation", answers={"tone/polite": True}, task_id="t", unit="a", stage=1, round=2, slot=0)),
    (Annotation, told("annotation", ranking=["a", ["b", "c"]])),
    (Annotation, told("annotation", preference={"outcome": "chosen", "chosen": "a", "strength": 3}, shown=["b", "a"])),
    (Annotation, told("annotation", preference={"outcome": "tie"})),
    (Annotation, told("annotation", spans=[SPAN])),
    (Annotation, told("annotation", skipped="not my language")),
    (Annotation, told("annotation", correction="")),
    (Review, told("review", task_id="t", verdict="reject", reasons=["tone"], return_to="other")),
    (Review, told("review", task_id="t", verdict="fix", answers={"tone/polite": False})),
    (Adjudication, told("adjudication", task_id="t", answers={"tone/polite": True}, basis=["e-1"])),
    (Note, told("note", text="see the guideline")),
    (Note, told("note", parent="n-1", resolved=True)),
]
BAD: list[tuple[str, dict[str, Any]]] = [
    ("answers", told("annotation")),
    ("skipped", told("annotation", skipped="no", answers={"x": 1})),
    ("ranking", told("annotation", ranking=["a"])),
    ("ranking", told("annotation", ranking=["a", ["b", "a"]])),
    ("ranking", told("annotation", ranking=["a", []])),
    ("ranking", told("annotation", ranking=["a", "b c"])),
    ("preference", told("annotation", preference={"outcome": "chosen"})),
    ("preference", told("annotation", preference={"outcome": "tie", "chosen": "a"})),
    ("preference", told("annotation", preference={"outcome": "none", "strength": 1})),
    ("preference", told("annotation", preference={"outcome": "chosen", "chosen": "a"}, shown=["b", "c"])),
    ("preference.strength", told("annotation", preference={"outcome": "chosen", "chosen": "a", "strength": 4})),
    ("spans", told("annotation", spans=[SPAN | {"end": 1}])),
    ("spans", told("annotation", spans=[SPAN | {"end": 4}])),
    ("unit", told("annotation", answers={"x": 1}, unit="ä")),
    ("answers", told("review", task_id="t", verdict="fix")),
    ("verdict", told("review", task_id="t", verdict="maybe")),
    ("target", told("review", task_id="t", verdict="accept", target="not-a-uuid")),
    ("answers", told("adjudication", task_id="t", answers={})),
    ("text", told("note", text="  ")),
]


@pytest.mark.parametrize(("kind", "body"), GOOD)
def test_what_is_right_is_taken_and_reads_back_from_the_log(kind: type, body: dict[str, Any]) -> None:
    event = decode_event(json.dumps(body).encode())
    assert isinstance(event, kind)
    stamped = stamp(event, project="p", key_id="k", via="console")
    assert encode(decode_stored(encode(stamped))) == encode(stamped)
    assert topic_for(event.type) == EVENTS


@pytest.mark.parametrize(("field", "body"), BAD)
def test_what_is_wrong_is_refused_and_its_field_named(field: str, body: dict[str, Any]) -> None:
    with pytest.raises(EventError) as refused:
        decode_event(json.dumps(body).encode())
    assert refused.value.field == field
    assert refused.value.hint


def test_definitions_and_decisions_about_tasks_go_where_facts_go() -> None:
    for kind in ("definition.label", "definition.task", "task.items", "gold.set", "batch.drawn"):
        assert topic_for(kind) == RUNS


def test_a_label_as_the_release_before_wrote_it_still_reads() -> None:
    body = told("definition.label", path="parcels/returns", title="Returns", description="Sent back")
    del body["interaction_id"]
    stamped = stamp(decode_event(body), project="p", key_id="k", via="console")
    read: Any = decode_stored(encode(stamped))
    assert (read.path, read.title, read.description, read.version) == ("parcels/returns", "Returns", "Sent back", 0)


def test_the_order_of_a_tasks_items_is_no_order_of_replies() -> None:
    made = decode_event({
        "type": "definition.task", "event_id": str(uuid7()), "occurred_at": "2026-03-01T12:00:00Z",
        "actor": {"id": "lead"}, "task_id": "tone", "order": "random", "stages": [{"k": 2}],
    })  # fmt: skip
    assert getattr(made, "order", None) == "random"
