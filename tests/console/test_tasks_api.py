"""Tasks over the data API: made, filled by reference and by query, paused, exported; every refusal says what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.console.bench import Bench
from tests.console.story import asked, event

Login = Callable[..., FlaskClient]
BODY: dict[str, Any] = {
    "task_id": "tone", "title": {"en": "Tone", "zh": "语气"}, "labels": ["tone"], "stages": [{"k": 2}],
}  # fmt: skip


def post(bench: Bench, address: str, body: Any, status: int | None = None) -> Any:
    headers = {"Authorization": f"Bearer {bench.secret}"}
    answer = bench.app.test_client().post(f"/api/v1/{address}", headers=headers, json=body)
    assert status is None or answer.status_code == status, answer.get_data(as_text=True)
    bench.catch_up()
    return answer


@pytest.fixture
def ready(bench: Bench) -> Bench:
    """A project with a label and four interactions of two replies, two of them about refunds."""
    post(bench, "labels", {"path": "tone", "kind": "choice", "choices": [{"key": "a"}, {"key": "b"}]}, 201)
    bench.put(*(asked(f"i-{n}", n, ["base", "base"], "Where is it?", labels=["refund/late"] if n < 2 else [])
                for n in range(4)))  # fmt: skip
    return bench


def said(who: str, item: str, value: str = "a", at: float = 20, **fields: Any) -> Any:
    told = {"task_id": "tone", "answers": {"tone": value}, "via": "console", "active_ms": 4000} | fields
    return event("annotation", f"{who} {item} {at}", at, interaction_id=item, actor=(who, "agent"), **told)


def test_a_task_is_made_filled_answered_and_seen(ready: Bench) -> None:
    made = post(ready, "tasks", BODY, 201).get_json()
    assert (made["version"], made["state"], made["title"]) == (1, "open", {"en": "Tone", "zh": "语气"})
    assert made["owner"]
    added = post(ready, "tasks/tone/items", {"items": [{"interaction_id": "i-3"}, {"interaction_id": "i-0"}]}, 202)
    assert added.get_json() == {"matched": 2, "added": 2}
    ready.put(said("ann", "i-3"), said("bob", "i-3", at=21), said("bob", "i-0", at=22))
    items = ready.get("tasks/tone/items")["items"]
    assert [(one["interaction_id"], one["state"], one["counted"]) for one in items] == [
        ("i-3", "settled", 2), ("i-0", "open", 1),
    ]  # fmt: skip
    assert [one["interaction_id"] for one in ready.get("tasks/tone/items?state=open")["items"]] == ["i-0"]
    one = ready.get("tasks/tone")
    assert one["progress"]["states"] == {"settled": 1, "open": 1} and one["stuck"] == []
    assert one["progress"]["people"] == {"ann": {"counted": 1}, "bob": {"counted": 2}}
    assert ready.get("tasks/tone/item?interaction=i-3")["values"] == {"tone": '"a"'}
    assert [one["task_id"] for one in ready.get("tasks")["items"]] == ["tone"]


def test_a_query_takes_in_what_matches_once_however_often_it_is_sent(ready: Bench) -> None:
    post(ready, "tasks", BODY | {"query": {"include_labels": ["refund"]}}, 201)
    assert [one["interaction_id"] for one in ready.get("tasks/tone/items")["items"]] == ["i-0", "i-1"]
    again = {"query": {"include_labels": ["refund"]}}
    assert post(ready, "tasks/tone/items", again, 202).get_json() == {"matched": 2, "added": 0}
    assert post(ready, "tasks/tone/items", {"query": {}}, 202).get_json() == {"matched": 4, "added": 2}
    twice = {"items": [{"interaction_id": "i-2"}, {"interaction_id": "i-2"}]}
    assert post(ready, "tasks/tone/items", twice, 202).get_json() == {"matched": 1, "added": 0}
    assert len(ready.get("tasks/tone/items")["items"]) == 4


@pytest.mark.parametrize(
    ("unit", "units"),
    [
        ("interaction", {""}), ("candidate", {"i-0-0", "i-0-1"}), ("pair", {"i-0-0|i-0-1"}),
        ("all", {"", "i-0-0", "i-0-1", "i-0-0|i-0-1"}),
    ],
)  # fmt: skip
def test_what_is_asked_about_is_the_whole_each_reply_or_each_pair(ready: Bench, unit: str, units: set[str]) -> None:
    post(ready, "tasks", BODY | {"unit": unit, "query": {"q": "i-0"}}, 201)
    assert {one["unit"] for one in ready.get("tasks/tone/items")["items"]} == units
    added = post(ready, "tasks/tone/items", {"items": [{"interaction_id": "i-1", "unit": "i-1-1|i-1-0"}]}, 202)
    assert added.get_json()["added"] == 1


QUERIES: list[tuple[dict[str, Any], list[str]]] = [
    ({"exclude_labels": ["refund"]}, ["i-2", "i-3"]), ({"surface": "chat"}, []), ({"min_candidates": 3}, []),
    ({"since": "2026-03-02T09:02:00Z"}, ["i-2", "i-3"]), ({"until": "2026-03-02T09:01:00Z"}, ["i-0"]),
    ({"kinds": ["thumb"]}, ["i-2"]), ({"show": "feedback"}, ["i-2"]), ({"source": "nowhere"}, []),
    ({"q": "WHERE IS"}, ["i-0", "i-1", "i-2", "i-3"]), ({"min_candidates": 2, "q": "i-3"}, ["i-3"]),
]  # fmt: skip


def test_each_part_of_a_query_narrows_what_it_matches(ready: Bench) -> None:
    ready.put(event("thumb", "up", 9, interaction_id="i-2", candidate_id="i-2-0", value="up"))
    for number, (query, names) in enumerate(QUERIES):
        post(ready, "tasks", BODY | {"task_id": f"t-{number}"}, 201)
        assert post(ready, f"tasks/t-{number}/items", {"query": query}, 202).get_json()["added"] == len(names)
        assert [one["interaction_id"] for one in ready.get(f"tasks/t-{number}/items")["items"]] == names, query


def test_a_task_is_defined_anew_only_by_who_read_it(ready: Bench) -> None:
    post(ready, "tasks", BODY, 201)
    assert post(ready, "tasks", BODY).status_code == 409
    assert post(ready, "tasks", BODY | {"version": 7}).status_code == 409
    assert post(ready, "tasks", BODY | {"version": 1, "stages": [{"k": 1}]}, 201).get_json()["version"] == 2
    assert ready.get("tasks/tone")["stages"][0]["k"] == 1


def test_a_task_is_paused_and_closed(ready: Bench) -> None:
    post(ready, "tasks", BODY, 201)
    for state in ("paused", "open", "closed"):
        post(ready, "tasks/tone/state", {"state": state, "reason": "because"}, 202)
        found = ready.get("tasks/tone")
        assert (found["state"], found["state_reason"]) == (state, "because")


def test_the_export_has_every_answer_with_its_state_a_line_each(ready: Bench) -> None:
    post(ready, "tasks", BODY | {"query": {"q": "i-0"}}, 201)
    ready.put(said("ann", "i-0"), said("ann", "i-0", "b", at=21), said("bob", "i-0", at=22))
    headers = {"Authorization": f"Bearer {ready.secret}"}
    answer = ready.app.test_client().get("/api/v1/tasks/tone/export", headers=headers)
    lines = [json.loads(line) for line in answer.get_data(as_text=True).splitlines()]
    assert [(one["actor_id"], one["value"], one["state"]) for one in lines] == [
        ("ann", "a", "superseded"), ("ann", "b", "vote"), ("bob", "a", "vote"),
    ]  # fmt: skip
    assert answer.mimetype == "application/x-ndjson"
    found = ready.get("answers?task=tone&actor=ann&state=vote")["items"]
    assert [one["value"] for one in found] == ["b"]
    first = ready.get("answers?limit=2")
    assert len(ready.get(f"answers?cursor={first['next']}")["items"]) == 1


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"colour": "red"}, "colour"), ({"task_id": "a/b"}, "task_id"), ({"task_id": 3}, "task_id"),
    ({"labels": []}, "labels"), ({"labels": ["nothing"]}, "labels"), ({"labels": [3]}, "labels"),
    ({"query": {"colour": "red"}}, "query"), ({"query": []}, "query"), ({"order": "uncertain"}, "order"),
    ({"query": {"since": "2026-02-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"}}, "until"),
    ({"stages": None}, "stages"), ({"stages": []}, "stages"), ({"stages": [{"kind": "review"}]}, "stages"),
    ({"stages": [{"assignment": "named"}]}, "stages"), ({"stages": [{"extra": 1}]}, "stages"),
    ({"stages": [{"k": 1}, {"kind": "batch"}]}, "stages"),
]  # fmt: skip


def test_a_task_that_cannot_be_is_refused_with_its_field_and_a_hint(ready: Bench) -> None:
    for changes, field in WRONG:
        error = post(ready, "tasks", BODY | changes, 400).get_json()["error"]
        assert error.get("field") == field and error["hint"], changes
    for changes in ({"stages": [{"k": 0}]}, {"unit": "page"}, {"order": "up"}, {"title": 7}):
        error = post(ready, "tasks", BODY | changes, 400).get_json()["error"]
        assert error["code"] == "invalid_event" and error["hint"], changes
    assert ready.get("tasks")["items"] == []


REFUSED: list[tuple[str, Any, int]] = [
        ("items", {}, 400), ("items", {"items": []}, 400), ("items", {"items": [3]}, 400),
        ("items", {"items": [{"interaction_id": "i-0", "colour": "red"}]}, 400), ("items", {"query": 3}, 400),
        ("items", {"items": [{"interaction_id": "i-0"}, {"interaction_id": "gone"}]}, 404),
        ("items", {"items": [{"interaction_id": "i-0", "unit": "no-reply"}]}, 404),
        ("items", {"items": [], "query": {}}, 400), ("items", {"query": {"until": "yesterday"}}, 400),
        ("state", {"state": "lost"}, 400), ("state", {}, 400), ("state", {"state": "open", "reason": 3}, 400),
]  # fmt: skip


def test_items_and_states_that_cannot_be_change_nothing(ready: Bench) -> None:
    post(ready, "tasks", BODY, 201)
    for address, body, status in REFUSED:
        assert post(ready, f"tasks/tone/{address}", body, status).get_json()["error"]["hint"]
        assert post(ready, f"tasks/nothing/{address}", body or {"x": 1}).status_code == 404
    assert ready.get("tasks/tone/items")["items"] == [] and ready.get("tasks/tone")["state"] == "open"


def test_questions_that_cannot_be_answered_say_what_to_do(ready: Bench) -> None:
    post(ready, "tasks", BODY, 201)
    for address, code in (
        ("tasks/nothing", "unknown_task"), ("tasks/nothing/export", "unknown_task"),
        ("tasks/tone/items?state=lost", "bad_state"), ("tasks/tone/items?cursor=@@", "bad_cursor"),
        ("tasks/tone/item?interaction=i-9", "unknown_item"), ("answers?state=lost", "bad_state"),
        ("answers?limit=0", "bad_limit"),
    ):  # fmt: skip
        error = ready.get(address)["error"]
        assert error["code"] == code and error["hint"], address
