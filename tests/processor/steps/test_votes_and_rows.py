"""What a person's feedback becomes in the tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.processor.samples import event, event_id, interaction, pick

Put = Callable[..., None]
Rows = Callable[..., list[Any]]

FOUR = {"a": "Use the form.", "b": "Please use the return form.", "c": "No idea.", "d": "Ask a friend."}


def test_pick_makes_one_pair_per_loser_that_share_one_vote(put: Put, rows: Rows) -> None:
    put(interaction("t1", FOUR), pick("t1", "abcd", "b"))
    found = rows("SELECT rejected_candidate, weight_num, weight_den, kind, trainable FROM pairs ORDER BY 1")
    assert found == [(loser, 1, 3, "pick", True) for loser in "acd"]


def test_pick_stores_which_model_wrote_either_side(put: Put, rows: Rows) -> None:
    put(interaction("t1", FOUR, models={"a": "ad-1", "b": "base"}), pick("t1", "ab", "a"))
    assert rows("SELECT chosen_model, rejected_model FROM pairs") == [("ad-1", "base")]


def test_choice_of_two_makes_one_whole_pair(put: Put, rows: Rows) -> None:
    put(interaction("t1", FOUR), pick("t1", "ab", "a", kind="choice"))
    assert rows("SELECT kind, chosen, rejected, weight_den FROM pairs") == [("choice", FOUR["a"], FOUR["b"], 1)]


def test_replies_with_the_same_text_make_no_pair_and_the_rest_share_the_weight(put: Put, rows: Rows) -> None:
    put(interaction("t1", FOUR | {"c": " Please use the  return form. "}), pick("t1", "abcd", "b"))
    assert rows("SELECT rejected_candidate, weight_den FROM pairs ORDER BY 1") == [("a", 2), ("d", 2)]


@pytest.mark.parametrize("outcome", ["tie", "none"])
def test_ties_and_none_train_nothing(put: Put, rows: Rows, outcome: str) -> None:
    put(interaction("t1", FOUR), pick("t1", "abcd", None, outcome=outcome))
    assert rows("SELECT 1 FROM pairs UNION ALL SELECT 1 FROM demonstrations") == []
    assert rows("SELECT outcome, state FROM feedback") == [(outcome, "vote")]


def test_none_with_a_text_is_the_agents_own_reply(put: Put, rows: Rows) -> None:
    put(interaction("t1", FOUR), pick("t1", "abcd", None, edited_text="Send it back with label 7."))
    assert rows("SELECT text, kind, trainable FROM demonstrations") == [("Send it back with label 7.", "own", True)]
    assert rows("SELECT 1 FROM pairs") == []


def test_edited_pick_is_a_demonstration_and_beats_its_original(put: Put, rows: Rows) -> None:
    put(interaction("t1", FOUR), pick("t1", "ab", "a", edited_text="Use the form on page two."))
    assert rows("SELECT text FROM demonstrations") == ["Use the form on page two."]
    assert rows("SELECT kind, chosen, rejected, weight_den FROM pairs ORDER BY kind") == [
        ("edit", "Use the form on page two.", "Use the form.", 1),
        ("pick", "Use the form.", "Please use the return form.", 1),
    ]


def test_unchanged_text_of_a_pick_is_no_edit(put: Put, rows: Rows) -> None:
    put(interaction("t1", FOUR), pick("t1", "ab", "a", edited_text="Use the form. "))
    assert rows("SELECT kind FROM pairs") == ["pick"]
    assert rows("SELECT 1 FROM demonstrations") == []


def test_small_edit_is_a_demonstration_but_no_pair(put: Put, rows: Rows) -> None:
    reply = "Please send the parcel back with the label that we enclosed in the box, thank you"
    put(interaction("t1", {"a": reply}), event("edit", "e", interaction_id="t1", candidate_id="a", text=reply + "."))
    assert rows("SELECT text FROM demonstrations") == [reply + "."]
    assert rows("SELECT 1 FROM pairs") == []


def test_edit_prefers_the_corrected_text(put: Put, rows: Rows) -> None:
    put(interaction("t1", FOUR), event("edit", "e", interaction_id="t1", candidate_id="c", text="Use the blue form."))
    assert rows("SELECT chosen, rejected, chosen_candidate, rejected_model FROM pairs") == [
        ("Use the blue form.", "No idea.", None, "base")
    ]


def test_thumbs_become_unpaired_rows(put: Put, rows: Rows) -> None:
    thumbs = [event("thumb", v, interaction_id="t1", candidate_id=c, value=v) for c, v in (("a", "up"), ("c", "down"))]
    put(interaction("t1", FOUR), *thumbs)
    assert rows("SELECT text, label, model FROM unpaired ORDER BY candidate_id") == [
        ("Use the form.", True, "base"), ("No idea.", False, "base"),
    ]  # fmt: skip


def test_cut_reply_is_never_a_demonstration_and_marks_its_pair(put: Put, rows: Rows) -> None:
    cut = {"a": {"content": "Use the", "finish_reason": "length"}, "b": "Ask us."}
    put(
        interaction("t1", cut), pick("t1", "ab", "b"),
        event("edit", "e", interaction_id="t1", candidate_id="a", text="Use the"),
    )  # fmt: skip
    assert rows("SELECT truncated_chosen, truncated_rejected FROM pairs") == [(False, True)]
    assert rows("SELECT trainable, why_not FROM demonstrations") == [(False, "truncated_reply")]


WHOLE = ("stop", "STOP", "end_turn", "stop_sequence", "eos", "completed")
CUT = (
    "length",
    "max_tokens",
    "MAX_TOKENS",
    "content_filter",
    "cancelled",
    "error",
    "incomplete",
    "abort",
    "z",
    "",
    None,
)


@pytest.mark.parametrize(("reason", "cut"), [*((one, False) for one in WHOLE), *((one, True) for one in CUT)])
def test_only_a_natural_end_makes_a_reply_whole(put: Put, rows: Rows, reason: str | None, cut: bool) -> None:
    shown = {"a": {"content": "Use the", "finish_reason": reason}, "b": "Ask us."}
    put(
        interaction("t1", shown), pick("t1", "ab", "a"),
        event("thumb", "up", interaction_id="t1", candidate_id="a", value="up"),
        event("edit", "e", interaction_id="t1", candidate_id="b", text="Use the"),
    )  # fmt: skip
    assert rows("SELECT truncated_chosen, truncated_rejected FROM pairs WHERE kind = 'pick'") == [(cut, False)]
    assert rows("SELECT truncated FROM unpaired") == [cut]
    assert rows("SELECT trainable, why_not FROM demonstrations") == [
        (False, "truncated_reply") if cut else (True, None)
    ]


def test_a_reply_of_which_nobody_says_how_it_ended_is_whole(put: Put, rows: Rows) -> None:
    put(interaction("t1", {"a": "Use the form.", "b": "Ask us."}), pick("t1", "ab", "a"))
    assert rows("SELECT truncated_chosen, truncated_rejected FROM pairs") == [(False, False)]
    assert rows("SELECT DISTINCT finish_reason FROM candidates") == [None]


def test_what_stands_before_a_call_of_a_tool_does_not_train(put: Put, rows: Rows) -> None:
    shown = {"a": {"content": "Let me look.", "finish_reason": "tool_use"}, "b": "Ask us."}
    put(
        interaction("t1", shown), pick("t1", "ab", "b"), pick("t1", "ab", "a", "other", actor="bob"),
        event("thumb", "up", interaction_id="t1", candidate_id="a", value="up"),
        event("edit", "e", interaction_id="t1", candidate_id="a", text="I have looked for you."),
    )  # fmt: skip
    assert rows("SELECT DISTINCT trainable, why_not, truncated_chosen, truncated_rejected FROM pairs") == [
        (False, "tools", False, False)
    ]
    assert rows("SELECT trainable, why_not FROM unpaired") == [(False, "tools")]
    assert rows("SELECT trainable, why_not FROM demonstrations") == [(True, None)]


def test_the_latest_vote_of_a_person_counts(put: Put, rows: Rows) -> None:
    put(
        interaction("t1", FOUR),
        event("thumb", "first", at=1, interaction_id="t1", candidate_id="a", value="up"),
        event("thumb", "second", at=2, interaction_id="t1", candidate_id="a", value="down"),
        event("thumb", "other person", at=1, actor="bob", interaction_id="t1", candidate_id="a", value="up"),
    )
    assert rows("SELECT label FROM unpaired ORDER BY actor_id") == [False, True]
    assert rows("SELECT state FROM feedback WHERE actor_id = 'ann' ORDER BY occurred_at") == ["superseded", "vote"]


def test_a_clock_that_runs_ahead_does_not_win(put: Put, rows: Rows) -> None:
    put(
        interaction("t1", FOUR),
        event("thumb", "from tomorrow", at=86_400, received=1, interaction_id="t1", candidate_id="a", value="up"),
        event("thumb", "later", at=5, interaction_id="t1", candidate_id="a", value="down"),
    )
    assert rows("SELECT label FROM unpaired") == [False]


def test_retracting_the_latest_vote_leaves_none(put: Put, rows: Rows) -> None:
    put(
        interaction("t1", FOUR), pick("t1", "ab", "a", "first", at=1), pick("t1", "ab", "b", "second", at=2),
        event("retract", "undo", at=3, interaction_id="t1", target=event_id("second")),
    )  # fmt: skip
    assert rows("SELECT 1 FROM pairs") == []
    assert rows("SELECT type, state FROM feedback ORDER BY occurred_at") == [
        ("pick", "superseded"), ("pick", "retracted"), ("retract", "applied"),
    ]  # fmt: skip


def test_pick_undone_and_made_again_counts(put: Put, rows: Rows) -> None:
    put(interaction("t1", FOUR), pick("t1", "ab", "a", "first", at=1))
    put(event("retract", "undo", at=2, interaction_id="t1", target=event_id("first")))
    assert rows("SELECT 1 FROM pairs") == []
    put(pick("t1", "ab", "b", "second", at=3))
    assert rows("SELECT chosen_candidate FROM pairs") == ["b"]


def test_only_the_actor_or_a_reviewer_may_retract(put: Put, rows: Rows) -> None:
    put(
        interaction("t1", FOUR), pick("t1", "ab", "a", "mine"),
        event("retract", "stranger", actor="bob", at=1, interaction_id="t1", target=event_id("mine")),
    )  # fmt: skip
    assert rows("SELECT state FROM feedback WHERE type = 'retract'") == ["unmatched"]
    assert len(rows("SELECT 1 FROM pairs")) == 1
    put(event("retract", "reviewer", actor="rev", via="console", at=2, interaction_id="t1", target=event_id("mine")))
    assert rows("SELECT 1 FROM pairs") == []


def test_retract_of_another_project_does_nothing(put: Put, rows: Rows) -> None:
    put(
        interaction("t1", FOUR), pick("t1", "ab", "a", "mine"),
        event("retract", "elsewhere", project="other", interaction_id="t1", target=event_id("mine")),
    )  # fmt: skip
    assert rows("SELECT project FROM pairs") == ["default"]


def test_orphan_is_listed_then_joined(put: Put, rows: Rows) -> None:
    put(pick("t1", "ab", "a"))
    assert rows("SELECT described FROM interactions") == [False]
    assert rows("SELECT state, described FROM feedback") == [("vote", False)]
    put(interaction("t1", FOUR))
    assert rows("SELECT described, prompt_text FROM interactions") == [(True, "How do I return a parcel?")]
    assert rows("SELECT chosen_candidate FROM pairs") == ["a"]
    assert rows("SELECT described FROM feedback") == [True]


def test_feedback_that_names_an_unknown_reply_is_unmatched(put: Put, rows: Rows) -> None:
    put(interaction("t1", FOUR), event("thumb", "t", interaction_id="t1", candidate_id="z", value="up"))
    assert rows("SELECT state FROM feedback") == ["unmatched"]
    assert rows("SELECT 1 FROM unpaired") == []


def test_ai_verdicts_stay_apart(put: Put, rows: Rows) -> None:
    put(
        interaction("t1", FOUR), pick("t1", "ab", "a", actor_kind="ai"),
        event("judgement", "j", interaction_id="t1", shown=["a", "b"], chosen="a", outcome="chosen", judge="j-1"),
    )  # fmt: skip
    assert rows("SELECT trainable, why_not FROM pairs") == [(False, "ai_feedback")]
