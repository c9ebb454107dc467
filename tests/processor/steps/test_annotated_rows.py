"""What annotators prefer, rank and correct becomes rows that train, as a table worked out by hand says."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from tests.processor.samples import event, event_id, interaction, pick

FOUR = {name: f"Reply {name}." for name in "abcd"}
PAIRS = """
SELECT chosen_candidate, rejected_candidate, weight_num, weight_den, strength, why_not FROM pairs
WHERE actor_id = ? ORDER BY ALL
"""


def said(name: str, *, at: float = 1, actor: str = "ann", **fields: Any) -> Any:
    return event("annotation", name, at=at, actor=actor, interaction_id="i-1", task_id="t", **fields)


def chosen(reply: str, strength: int | None = None) -> dict[str, Any]:
    return {"outcome": "chosen", "chosen": reply} | ({"strength": strength} if strength else {})


def trained(rows: Callable[..., list[Any]]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = rows(
        "SELECT chosen_candidate, rejected_candidate FROM pairs WHERE trainable ORDER BY ALL"
    )
    return found


def test_a_ranking_with_ties_makes_each_ordered_pair_once_and_weighs_one_vote(
    put: Callable[..., None], rows: Callable[..., list[Any]]
) -> None:
    put(interaction("i-1", FOUR), said("ranks", ranking=["b", ["a", "d"], "c"]))
    found = rows(PAIRS, "ann")
    assert [row[:2] for row in found] == [("a", "c"), ("b", "a"), ("b", "c"), ("b", "d"), ("d", "c")]
    assert sum(Fraction(row[2], row[3]) for row in found) == 1
    assert {row[4:] for row in found} == {(None, None)}


def test_replies_of_one_text_make_no_pair_and_take_no_weight(
    put: Callable[..., None], rows: Callable[..., list[Any]]
) -> None:
    put(interaction("i-1", {"a": "Yes.", "b": "Yes. ", "c": "No."}), said("ranks", ranking=["a", "b", "c"]))
    assert [row[:4] for row in rows(PAIRS, "ann")] == [("a", "c", 1, 2), ("b", "c", 1, 2)]


def test_a_preference_of_two_keeps_how_clear_it_is(put: Callable[..., None], rows: Callable[..., list[Any]]) -> None:
    put(interaction("i-1", FOUR), said("prefers", unit="a|b", preference=chosen("b", 3)))
    assert rows(PAIRS, "ann") == [("b", "a", 1, 1, 3, None)]


def test_a_preference_among_several_beats_those_that_were_shown(
    put: Callable[..., None], rows: Callable[..., list[Any]]
) -> None:
    put(interaction("i-1", FOUR), said("prefers", shown=["c", "b", "a"], preference=chosen("b", 1)))
    assert [row[:5] for row in rows(PAIRS, "ann")] == [("b", "a", 1, 2, 1), ("b", "c", 1, 2, 1)]


def test_ties_and_none_make_no_row(put: Callable[..., None], rows: Callable[..., list[Any]]) -> None:
    put(
        interaction("i-1", FOUR), said("tie", unit="a|b", preference={"outcome": "tie"}),
        said("none", unit="c|d", preference={"outcome": "none"}), said("even", unit="", ranking=[["a", "b"]]),
    )  # fmt: skip
    assert rows("SELECT * FROM pairs") == []
    assert rows("SELECT count(*) FROM answers WHERE state = 'vote'") == [3]


def test_two_people_and_a_pick_on_one_pair_train_once_and_a_contradicted_pair_says_its_share(
    put: Callable[..., None], rows: Callable[..., list[Any]]
) -> None:
    put(
        interaction("i-1", {"a": "In two weeks.", "b": "Ask the shop."}, verified=True),
        said("one", unit="a|b", preference=chosen("a", 2), at=1),
        said("two", unit="a|b", preference=chosen("a"), at=2, actor="bob"),
        pick("i-1", "ab", "b", at=3, actor="eve"),
    )
    assert trained(rows) == [("a", "b")]
    assert rows("SELECT why_not FROM pairs WHERE NOT trainable ORDER BY received_at") == ["agreeing", "outvoted"]


def test_a_preference_that_was_replaced_trains_no_more_though_its_event_still_counts(
    put: Callable[..., None], rows: Callable[..., list[Any]]
) -> None:
    put(
        interaction("i-1", FOUR),
        said("first", unit="a|b", preference=chosen("a"), answers={"tone": 1}),
        said("again", at=2, unit="a|b", preference=chosen("b")),
    )
    assert trained(rows) == [("b", "a")]
    assert rows("SELECT state FROM feedback ORDER BY received_at") == ["vote", "vote"]


def test_a_correction_is_a_demonstration_and_better_than_what_it_corrects(
    put: Callable[..., None], rows: Callable[..., list[Any]]
) -> None:
    put(
        interaction("i-1", FOUR), said("mends", unit="c", correction="You have thirty days to return it."),
        said("writes", actor="eve", correction="Ask us at any time."),
    )  # fmt: skip
    assert rows("SELECT text, kind FROM demonstrations ORDER BY text") == [
        ("Ask us at any time.", "own"), ("You have thirty days to return it.", "edit"),
    ]  # fmt: skip
    assert rows("SELECT chosen, rejected_candidate FROM pairs") == [("You have thirty days to return it.", "c")]


def test_what_a_reviewer_sent_back_is_kept_and_does_not_train(
    put: Callable[..., None], rows: Callable[..., list[Any]]
) -> None:
    put(
        interaction("i-1", FOUR),
        said("sent back", unit="a|b", preference=chosen("a")),
        said("next round", at=3, round=1, unit="a|b", preference=chosen("b")),
        said("named", at=4, unit="c|d", preference=chosen("c"), actor="bob"),
        said("stays", at=4, unit="c|d", preference=chosen("d"), actor="eve"),
        event("review", "r1", at=2, interaction_id="i-1", task_id="t", unit="a|b", verdict="reject", actor="lead"),
        event("review", "r2", at=5, interaction_id="i-1", task_id="t", unit="c|d", verdict="fix", actor="lead",
              answers={"tone": 1}, target=event_id("named")),
    )  # fmt: skip
    assert trained(rows) == [("b", "a"), ("d", "c")]
    assert rows("SELECT why_not FROM pairs WHERE NOT trainable") == ["refused_in_review"] * 2


def test_what_an_ai_says_does_not_train(put: Callable[..., None], rows: Callable[..., list[Any]]) -> None:
    put(interaction("i-1", FOUR), said("judges", actor_kind="ai", unit="a|b", preference=chosen("a")))
    assert rows("SELECT why_not FROM pairs") == ["ai_feedback"]
