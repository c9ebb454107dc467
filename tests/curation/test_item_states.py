"""Where an item stands: each line of the table of states, and the same result whatever order its evidence comes in."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.curation.definitions import Stage
from processor.curation.items import item_state
from processor.curation.standing import SKIPPED, ItemAnswer, ItemBatch, ItemReview, ItemState
from processor.curation.tasks import Task

ITEM = ("i-1", "")
TWO = Stage(k=2)
PICKY = Stage(k=2, extra=1, agree=0.6)
REVIEW = Stage(kind="review", tier="agent")
BATCH = Stage(kind="batch", tier="expert")
EXPERTS = Stage(k=1, tier="expert")


def task(*stages: Stage) -> Task:
    return Task(task_id="t", version=1, stages=stages)


def said(who: str, value: str = '"a"', *, at: int = 0, label: str = "tone", **fields: Any) -> ItemAnswer:
    place = {"actor_kind": "agent", "stage": 0, "round": 0} | fields
    event = f"{who}-{place['round']}-{place['stage']}"
    return ItemAnswer(event_id=event, label=label, value=value, actor_id=who, at=(at, event), **place)


def skip(who: str, **fields: Any) -> ItemAnswer:
    return said(who, '"unclear"', label=SKIPPED, **fields)


def verdict(
    who: str, verdict: str | None = "accept", *, at: int = 50, kind: str = "review", **fields: Any
) -> ItemReview:
    place = {
        "stage": 1,
        "round": 0,
        "answers": {},
        "return_to": "same",
        "target": None,
        "actor_kind": "expert",
    } | fields
    event = f"{who}-{kind}-{at}"
    return ItemReview(event_id=event, kind=kind, verdict=verdict, actor_id=who, at=(at, event), **place)


def drawn(
    name: str = "b1", given: str | None = None, *, at: int = 60, sampled: bool = True, scope: str = "all"
) -> ItemBatch:
    return ItemBatch(name, 1, (at, name), sampled, given, scope)


def where(state: ItemState) -> tuple[str, int, int, int]:
    return state.state, state.stage, state.round, state.counted


def test_an_item_is_open_until_the_kth_person_answered_and_then_settled() -> None:
    assert where(item_state(task(TWO), ITEM)) == ("open", 0, 0, 0)
    assert where(item_state(task(TWO), ITEM, [said("ann")])) == ("open", 0, 0, 1)
    # Of one person, two labels are one answer to the item.
    assert where(item_state(task(TWO), ITEM, [said("ann"), said("ann", label="fact")])) == ("open", 0, 0, 1)
    done = item_state(task(TWO), ITEM, [said("ann"), said("bob", at=1)])
    assert where(done) == ("settled", 0, 0, 2) and done.values == {"tone": '"a"'} and done.agreement == 1.0


def test_who_comes_late_is_extra_and_is_seen_by_the_agreement_only() -> None:
    state = item_state(task(TWO), ITEM, [said("ann"), said("bob", at=1), said("late", '"b"', at=2)])
    assert where(state) == ("settled", 0, 0, 2)
    assert state.people == ("ann", "bob", "late") and state.extra == ("late",)
    assert state.agreement == pytest.approx(1 / 3)


def test_people_who_disagree_open_one_slot_more_and_then_a_dispute() -> None:
    two = [said("ann"), said("bob", '"b"', at=1)]
    more = item_state(task(PICKY), ITEM, two)
    assert where(more) == ("open", 0, 0, 2) and more.wanted == 3 and more.why == "below_agreement"
    disputed = item_state(task(PICKY), ITEM, [*two, said("cy", '"c"', at=2)])
    assert where(disputed) == ("disputed", 0, 0, 3) and disputed.values == {"tone": None}


def test_the_slot_that_was_opened_counts_once_its_answer_brings_agreement() -> None:
    plan = Stage(k=2, extra=1, agree=0.3)
    state = item_state(task(plan), ITEM, [said("ann"), said("bob", '"b"', at=1), said("cy", at=2)])
    assert where(state) == ("settled", 0, 0, 3) and state.extra == ()


def test_of_those_who_were_asked_one_after_the_other_the_ones_after_agreement_are_extra() -> None:
    plan = Stage(k=2, extra=2, agree=0.3)
    four = [said("ann"), said("bob", '"b"', at=1), said("cy", at=2), said("dee", at=3)]
    state = item_state(task(plan), ITEM, four)
    assert where(state) == ("settled", 0, 0, 3) and state.wanted == 3 and state.extra == ("dee",)


def test_models_and_programs_are_not_counted_and_a_lower_tier_not_at_a_higher_one() -> None:
    machines = [said("gpt", actor_kind="ai"), said("script", actor_kind="system")]
    assert where(item_state(task(TWO), ITEM, machines)) == ("open", 0, 0, 0)
    assert where(item_state(task(TWO), ITEM, [said("w", actor_kind="crowd")])) == ("open", 0, 0, 0)
    assert where(item_state(task(TWO), ITEM, [said("e", actor_kind="expert")])) == ("open", 0, 0, 1)


def test_what_users_said_of_the_product_counts_only_where_users_are_asked() -> None:
    pick = said("u1", actor_kind="user", live=True, label="@preference")
    assert item_state(task(TWO), ITEM, [pick]).people == ()
    asked = item_state(task(Stage(tier="user", k=2)), ITEM, [pick])
    assert where(asked) == ("open", 0, 0, 1)
    plan = task(Stage(tier="user", k=1), REVIEW)
    assert item_state(plan, ITEM, [pick]).state == "in_review"
    # In a round that follows a rejection somebody has to say it anew.
    assert where(item_state(plan, ITEM, [pick], [verdict("rae", "reject")])) == ("returned", 0, 1, 0)


def test_enough_people_who_skip_hand_the_item_on_and_at_the_last_tier_it_is_unanswerable() -> None:
    skips = [skip("ann"), skip("bob")]
    assert item_state(task(TWO), ITEM, skips[:1]).state == "open"
    assert where(item_state(task(TWO, EXPERTS), ITEM, skips)) == ("open", 1, 0, 0)
    assert item_state(task(TWO), ITEM, skips).state == "unanswerable"
    later = item_state(task(TWO, EXPERTS), ITEM, [*skips, said("eve", stage=1, actor_kind="expert")])
    assert where(later) == ("settled", 1, 0, 1)


def test_a_rejected_item_begins_anew_at_the_tier_that_answered_it() -> None:
    plan = task(TWO, EXPERTS, REVIEW)
    answers = [skip("ann"), skip("bob"), said("eve", stage=1, actor_kind="expert")]
    assert where(item_state(plan, ITEM, answers)) == ("in_review", 2, 0, 1)
    assert where(item_state(plan, ITEM, answers, [verdict("rae", "reject", stage=2)])) == ("returned", 1, 1, 0)


def test_a_review_takes_an_item_on_only_by_somebody_who_did_not_answer() -> None:
    both = [said("ann"), said("bob", at=1)]
    plan = task(TWO, REVIEW)
    assert where(item_state(plan, ITEM, both)) == ("in_review", 1, 0, 2)
    assert item_state(plan, ITEM, both, [verdict("ann")]).state == "in_review"
    assert item_state(plan, ITEM, both, [verdict("rae")]).state == "settled"
    fixed = item_state(plan, ITEM, both, [verdict("rae", "fix", answers={"tone": '"z"'})])
    assert fixed.state == "settled" and fixed.values == {"tone": '"z"'}
    later = verdict("sam", "fix", at=51, answers={"tone": '"y"'})
    assert item_state(plan, ITEM, both, [later, verdict("rae", "fix", answers={"tone": '"z"'})]).values == fixed.values


def test_a_verdict_on_each_answer_accepts_the_item() -> None:
    both = [said("ann"), said("bob", at=1)]
    one = verdict("rae", target="ann-0-0")
    assert item_state(task(TWO, REVIEW), ITEM, both, [one]).state == "in_review"
    assert item_state(task(TWO, REVIEW), ITEM, both, [one, verdict("rae", at=51, target="bob-0-0")]).state == "settled"


def test_a_rejected_item_goes_back_to_the_same_to_others_or_nowhere() -> None:
    both = [said("ann"), said("bob", at=1)]
    plan = task(TWO, REVIEW)
    same = item_state(plan, ITEM, both, [verdict("rae", "reject")])
    assert where(same) == ("returned", 0, 1, 0) and same.only == {"ann", "bob"}
    assert same.may_answer("ann") and not same.may_answer("cy")
    other = item_state(plan, ITEM, both, [verdict("rae", "reject", return_to="other")])
    assert not other.may_answer("ann") and other.may_answer("cy") and not other.may_answer("rae")
    dropped = item_state(plan, ITEM, both, [verdict("rae", "reject", return_to="none")])
    assert dropped.why == "dropped" and not dropped.takes_answers
    again = [*both, said("ann", round=1, at=70), said("bob", round=1, at=71)]
    assert where(item_state(plan, ITEM, again, [verdict("rae", "reject")])) == ("in_review", 1, 1, 2)


def test_a_dispute_is_decided_by_the_next_tier_and_not_by_a_voter() -> None:
    three = [said("ann"), said("bob", '"b"', at=1), said("cy", '"c"', at=2)]
    plan = task(PICKY, EXPERTS)

    def decided(who: str, kind: str = "expert") -> ItemState:
        return item_state(plan, ITEM, three, [verdict(who, None, kind="adjudication", stage=0, actor_kind=kind,
                                                      answers={"tone": '"b"'})])  # fmt: skip

    assert decided("ann").state == "disputed"
    assert decided("rae", "agent").state == "disputed"
    assert decided("rae").state == "settled" and decided("rae").values == {"tone": '"b"'}
    # What was adjudicated is not reviewed again.
    plan = task(PICKY, REVIEW)
    assert decided("rae").state == "settled"


def test_a_spot_check_settles_or_returns_its_items_and_keeps_their_answers() -> None:
    one = [said("ann")]
    plan = task(Stage(k=1), BATCH)
    assert where(item_state(plan, ITEM, one)) == ("in_batch", 1, 0, 1)
    assert item_state(plan, ITEM, one, [], [drawn()]).state == "in_batch"
    assert item_state(plan, ITEM, one, [], [drawn(given="accept")]).state == "settled"
    for batch in (drawn(given="reject"), drawn(given="reject", scope="sample")):
        assert where(item_state(plan, ITEM, one, [], [batch])) == ("returned", 0, 1, 0)
    left = drawn(given="reject", scope="sample", sampled=False)
    assert item_state(plan, ITEM, one, [], [left]).state == "in_batch"
    redone = [*one, said("bob", round=1, at=70)]
    rejected, accepted = drawn(given="reject"), drawn("b2", "accept", at=90)
    assert where(item_state(plan, ITEM, redone, [], [rejected])) == ("in_batch", 1, 1, 1)
    assert where(item_state(plan, ITEM, redone, [], [accepted, rejected])) == ("settled", 0, 1, 1)


def test_a_rejection_after_a_spot_check_is_not_undone_by_the_old_verdict() -> None:
    plan = task(Stage(k=1), REVIEW, Stage(kind="batch", tier="expert"))
    answers = [said("ann"), said("bob", round=1, at=90)]
    reviews = [verdict("rae", "reject", at=80, return_to="other"), verdict("rae", at=95, round=1)]
    assert item_state(plan, ITEM, answers, reviews, [drawn(given="accept", at=60)]).state == "in_batch"


def test_what_is_taken_back_is_as_if_it_had_never_been() -> None:
    both = [said("ann"), said("bob", at=1)]
    assert item_state(task(TWO), ITEM, both[:1]).state == "open"
    # The round that was rejected does not come back with its answers.
    redone = [said("ann", round=1), said("bob", round=1)]
    assert where(item_state(task(TWO, REVIEW), ITEM, redone, [verdict("rae", "reject")]))[:3] == ("in_review", 1, 1)


def test_with_nobody_left_the_item_says_who_is_missing_instead_of_hanging() -> None:
    named = Stage(k=2, assignment="named", people=["ann", "bob"])
    waits = item_state(task(named), ITEM, [said("ann")])
    assert waits.missing == ("bob",) and waits.state == "open"
    left = item_state(task(named), ITEM, [said("ann"), skip("bob", at=1)])
    assert left.state == "disputed" and left.why == "nobody_left"
    reviewers = Stage(kind="review", people=["ann", "bob"])
    stuck = item_state(task(TWO, reviewers), ITEM, [said("ann"), said("bob", at=1)])
    assert stuck.state == "in_review" and stuck.why == "no_reviewer"


def test_a_share_of_the_items_is_reviewed_and_always_the_same_ones() -> None:
    plan = task(Stage(k=1), Stage(kind="review", rate=0.3))
    states = [item_state(plan, (f"i-{n}", ""), [said("ann")]).state for n in range(1000)]
    assert 240 < states.count("in_review") < 360 and states.count("settled") == 1000 - states.count("in_review")


people = st.sampled_from(["ann", "bob", "cy", "rae"])
kinds = st.sampled_from(["agent", "expert", "ai", "user"])
answers = st.builds(
    said, people, st.sampled_from(['"a"', '"b"']), at=st.integers(0, 3), label=st.sampled_from(["tone", SKIPPED]),
    stage=st.integers(0, 1), round=st.integers(0, 2), actor_kind=kinds,
)  # fmt: skip
reviews = st.builds(
    verdict, people, st.sampled_from(["accept", "fix", "reject"]), at=st.integers(0, 3),
    kind=st.sampled_from(["review", "adjudication"]), stage=st.integers(0, 2), round=st.integers(0, 2),
    return_to=st.sampled_from(["same", "other", "none"]), answers=st.just({"tone": '"z"'}),
)  # fmt: skip
batches = st.builds(
    drawn, st.sampled_from(["b1", "b2"]), st.sampled_from([None, "accept", "reject"]), at=st.integers(0, 3),
    sampled=st.booleans(), scope=st.sampled_from(["all", "sample"]),
)  # fmt: skip
PLANS = (
    task(PICKY, Stage(k=1, tier="expert"), REVIEW, BATCH), task(TWO, REVIEW), task(Stage(k=1), BATCH),
    task(Stage(k=2, assignment="named", people=["ann", "bob"]), Stage(kind="review", people=["ann"])),
)  # fmt: skip


def distinct(found: Sequence[Any], *names: str) -> list[Any]:
    """Return one of each: ids are unique in the tables, and a person has one answer to a label in force."""
    return list({tuple(getattr(one, name) for name in names): one for one in found}.values())


@given(st.lists(answers, max_size=8), st.lists(reviews, max_size=4), st.lists(batches, max_size=2), st.randoms())
def test_the_order_of_the_evidence_changes_nothing(
    said: list[ItemAnswer], decided: list[ItemReview], checks: list[ItemBatch], shuffler: random.Random
) -> None:
    said = distinct(said, "actor_id", "stage", "round", "label")
    decided, checks = distinct(decided, "event_id"), distinct(checks, "batch_id")
    for plan in PLANS:
        first = item_state(plan, ITEM, said, decided, checks)
        shuffled = [list(found) for found in (said, decided, checks)]
        for found in shuffled:
            shuffler.shuffle(found)
        assert item_state(plan, ITEM, *shuffled) == first
        assert first.counted <= first.wanted and len(set(first.people)) == len(first.people)
        assert not (first.state == "settled" and first.takes_answers)
