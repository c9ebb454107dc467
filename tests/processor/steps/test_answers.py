"""An annotation's answers are counted one by one: each has its own identity, and is replaced and taken back alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from contract.forgetting import actor_digest
from tests.processor.samples import event, event_id, interaction

FOUR = {name: f"Reply {name}." for name in "abcd"}
STATES = "SELECT state, count(*) FROM answers GROUP BY state ORDER BY state"


def answer(name: str, unit: str, *, at: float = 1, **fields: Any) -> Any:
    fields.setdefault("answers", {"tone": 3, "fact": True, "length": "short"})
    return event("annotation", name, at=at, interaction_id="i-1", task_id="task-1", unit=unit, **fields)


def test_four_replies_on_three_labels_are_twelve_answers_and_a_change_replaces_one(
    put: Callable[..., None], rows: Callable[..., list[Any]]
) -> None:
    put(interaction("i-1", FOUR), *(answer(f"on {unit}", unit) for unit in FOUR))
    assert rows(STATES) == [("vote", 12)]
    put(answer("changed", "b", at=2, answers={"tone": 1}))
    assert rows(STATES) == [("superseded", 1), ("vote", 12)]
    assert rows("SELECT label, value FROM answers WHERE unit = 'b' AND state = 'vote' ORDER BY label") == [
        ("fact", "true"), ("length", '"short"'), ("tone", "1"),
    ]  # fmt: skip
    # The event itself still counts: two of its answers do.
    assert rows("SELECT DISTINCT state FROM feedback") == ["vote"]


def test_two_tasks_rounds_and_stages_are_answered_apart(
    put: Callable[..., None], rows: Callable[..., list[Any]]
) -> None:
    said = {"interaction_id": "i-1", "answers": {"tone": 1}, "unit": "a"}
    put(
        interaction("i-1", FOUR),
        event("annotation", "n1", at=1, task_id="t1", **said),
        event("annotation", "n2", at=2, task_id="t2", **said),
        event("annotation", "n3", at=3, task_id="t1", stage=1, **said),
        event("annotation", "n4", at=4, task_id="t1", round=1, **said),
        event("annotation", "n5", at=5, **said),
        event("annotation", "n6", at=6, task_id="t1", actor="bob", **said),
    )
    assert rows(STATES) == [("vote", 6)]


def test_a_retracted_annotation_leaves_no_answer_and_revives_none(
    put: Callable[..., None], rows: Callable[..., list[Any]]
) -> None:
    put(
        interaction("i-1", FOUR),
        answer("first", "a", at=1, answers={"tone": 1, "fact": True}),
        answer("second", "a", at=2, answers={"tone": 2}),
        event("retract", "undo", at=3, interaction_id="i-1", target=event_id("second")),
    )
    assert rows("SELECT label, state FROM answers ORDER BY label, state") == [
        ("fact", "vote"), ("tone", "retracted"), ("tone", "superseded"),
    ]  # fmt: skip


def test_who_answers_after_all_has_not_skipped(put: Callable[..., None], rows: Callable[..., list[Any]]) -> None:
    put(interaction("i-1", FOUR), answer("skip", "a", answers={}, skipped="unclear"))
    assert rows("SELECT label, value, state FROM answers") == [("@skipped", '"unclear"', "vote")]
    put(answer("after all", "a", at=2, answers={"tone": 2}))
    assert rows("SELECT label, state FROM answers ORDER BY label") == [("@skipped", "superseded"), ("tone", "vote")]


def test_what_was_not_shown_is_kept_and_does_not_count(
    put: Callable[..., None], rows: Callable[..., list[Any]]
) -> None:
    put(
        interaction("i-1", {"a": "Yes.", "b": "No.", "c|d": "Maybe."}),
        answer("a pair", "a|b", answers={"better": "a"}),
        answer("a strange id", "c|d", answers={"tone": 1}),
        answer("no such pair", "b|a", answers={"better": "a"}),
        answer("no such reply", "z", answers={"tone": 1}),
        answer("ranks a stranger", "", answers={}, ranking=["a", "z"]),
        answer("prefers a stranger", "", answers={}, preference={"outcome": "chosen", "chosen": "z"}),
    )
    found = rows("SELECT unit, label, state FROM answers ORDER BY unit, label")
    assert found == [
        ("", "@preference", "unmatched"), ("", "@ranking", "unmatched"), ("a|b", "better", "vote"),
        ("b|a", "better", "unmatched"), ("c|d", "tone", "vote"), ("z", "tone", "unmatched"),
    ]  # fmt: skip


def test_questions_that_are_no_labels_have_names_of_their_own(
    put: Callable[..., None], rows: Callable[..., list[Any]]
) -> None:
    put(
        interaction("i-1", FOUR),
        answer(
            "all", "", answers={"tone": "kind"}, ranking=["b", ["a", "c"], "d"], rating=4.0, correction="Better.",
            preference={"outcome": "chosen", "chosen": "b", "strength": 2}, active_ms=1500, comment="Fine",
            spans=[{"path": "fact", "candidate_id": "a", "start": 0, "end": 5, "text": "Reply"}],
        ),
    )  # fmt: skip
    found = {label: json.loads(value) for label, value in rows("SELECT label, value FROM answers")}
    assert found == {
        "tone": "kind", "@ranking": ["b", ["a", "c"], "d"], "@rating": 4.0, "@correction": "Better.",
        "@preference": {"outcome": "chosen", "chosen": "b", "strength": 2},
        "@spans": [{"path": "fact", "candidate_id": "a", "start": 0, "end": 5, "text": "Reply"}],
    }  # fmt: skip
    assert rows("SELECT outcome, chosen, text, comment, dwell_ms FROM feedback") == [
        ("chosen", "b", "Better.", "Fine", 1500)
    ]


def test_decisions_are_kept_apart_and_the_latest_of_one_person_counts(
    put: Callable[..., None], rows: Callable[..., list[Any]]
) -> None:
    on = {"interaction_id": "i-1", "task_id": "task-1", "unit": "a", "actor": "lead", "via": "console"}
    put(
        interaction("i-1", FOUR),
        event("review", "no", at=1, verdict="reject", reasons=["tone"], return_to="other", **on),
        event("review", "yes", at=2, verdict="accept", **on),
        event("adjudication", "so", at=3, answers={"tone": 2}, basis=["e-1"], note="The guideline says so.", **on),
        event("note", "one", at=4, text="Look here.", **on),
        event("note", "two", at=5, text="And here.", **on),
    )
    assert rows("SELECT kind, verdict, state, comment FROM reviews ORDER BY occurred_at") == [
        ("review", "reject", "superseded", None), ("review", "accept", "vote", None),
        ("adjudication", None, "vote", "The guideline says so."),
    ]  # fmt: skip
    assert rows("SELECT comment FROM feedback WHERE type = 'note' AND state = 'vote' ORDER BY occurred_at") == [
        "Look here.", "And here.",
    ]  # fmt: skip


def test_items_enter_a_task_as_its_facts_say(put: Callable[..., None], rows: Callable[..., list[Any]]) -> None:
    both = [{"interaction_id": "i-1", "unit": "a"}, {"interaction_id": "i-1", "unit": "b"}]
    put(interaction("i-1", FOUR), event("task.items", "in", via="console", task_id="task-1", items=both))
    put(event("task.items", "again", at=5, via="console", task_id="task-1", items=both[:1]))
    found = (
        "SELECT unit, count(*) FROM task_items t JOIN interactions i ON t.item_key = i.interaction_key GROUP BY unit"
    )
    assert sorted(rows(found)) == [("a", 2), ("b", 1)]


def test_a_forgotten_member_is_named_by_no_fact(put: Callable[..., None], rows: Callable[..., list[Any]]) -> None:
    told = {"task_id": "task-1", "member": "mei", "evidence": {"gold": [3, 20]}, "reason": "mei guesses"}
    put(event("member.paused", "paused", at=1, via="console", actor="lead", **told))
    put(event("forget", "f", at=9, via="console", actor="lead", actor_digest=actor_digest("default", "mei"),
              before="2026-03-01T12:00:05Z"))  # fmt: skip
    [body] = rows("SELECT body FROM facts WHERE type = 'member.paused'")
    assert "mei" not in body and "20" not in json.dumps(json.loads(body).get("evidence", {}))
    assert json.loads(body)["actor"]["id"] == "-"
