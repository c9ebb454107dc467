"""Which picks count for a challenger: asked over the data API, answered from real tables."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from contract.events import Event
from contract.forgetting import actor_digest
from tests.console.bench import Bench
from tests.console.story import CHALLENGER, asked, event, fact, picked, tell, trial


def register(bench: Bench, at: float = 0, adapter: str = CHALLENGER, baseline: str | None = "base") -> None:
    bench.put(fact("model.challenger", f"challenger {adapter} {at}", at, adapter_id=adapter, baseline=baseline))


def only(bench: Bench) -> dict[str, Any]:
    items = bench.support()
    assert len(items) == 1
    return items[0]


def test_pick_of_the_challengers_reply_counts_one_win(bench: Bench) -> None:
    register(bench)
    bench.put(*trial("t1", 1, True, "q1"), *trial("t2", 2, False, "q2"), *trial("t3", 3, None, "q3"))
    item = only(bench)
    assert (item["wins"], item["losses"], item["ties"], item["n"], item["state"]) == (1, 1, 1, 2, "running")
    needed = {name: item["needed"][name] for name in ("e", "n", "rate", "at_most", "others")}
    assert needed == {"e": 20.0, "n": 40, "rate": 0.55, "at_most": 400, "others": 20}
    assert item["sampling"] == {"temperature": 0.8, "top_p": 0.95, "max_tokens": 80}


def test_a_running_test_is_listed_before_its_first_pick(bench: Bench) -> None:
    register(bench)
    item = only(bench)
    assert (item["n"], item["rate"], item["band"], item["interval"]) == (0, None, "not_enough_data", [0.0, 1.0])


def test_unverified_uncounted_and_unequal_picks_do_not_count(bench: Bench) -> None:
    register(bench)
    test = {"challenger": CHALLENGER, "baseline": "base", "counted": True, "sampling": {"temperature": 0.8}}
    shown = [CHALLENGER, "base"]
    unverified = asked("u", 1, shown, "q", trial=test)
    bench.put(
        unverified,
        _unverified(picked("u", 1.5, 0, shown=2)),
        asked("odd", 2, [CHALLENGER, "base", "base"], "q2", trial=test), picked("odd", 2.5, 0, shown=3),
        *trial("x", 3, True, "q3", counted=False),
    )  # fmt: skip
    items = bench.support()
    assert sum(item["n"] for item in items) == 0
    excluded: dict[str, int] = {}
    for item in items:
        excluded |= item["excluded"]
    assert excluded == {"unverified": 1, "unbalanced": 1, "not_counted": 1}


def _unverified(event: Event) -> Event:
    return msgspec.structs.replace(event, verified=False)


def test_an_ais_picks_count_for_nobody_and_make_no_rater(bench: Bench) -> None:
    """Verified, on issued candidates, and unasked: what a judge or an agent that is a program says is no person's."""
    register(bench)
    bench.put(*trial("by-person", 1, True, "q1", named=True))
    for n, won in enumerate((True, False, None)):
        question, pick = trial(f"by-ai-{n}", 2 + n, won, f"q of an AI {n}", rater="judge-1", named=True)
        actor = msgspec.structs.replace(pick.actor, kind="ai")
        bench.put(question, msgspec.structs.replace(pick, actor=actor))
    item = only(bench)
    assert (item["wins"], item["losses"], item["ties"], item["counted"]) == (1, 0, 0, 1)
    assert item["raters"] == 1


def test_picks_from_before_the_registration_do_not_count(bench: Bench) -> None:
    bench.put(*trial("early", 1, True, "q1"))
    register(bench, at=5)
    bench.put(*trial("later", 6, True, "q2"))
    item = only(bench)
    assert (item["wins"], item["excluded"]) == (1, {"before_registration": 1})


def test_a_prompt_that_trained_the_challenger_does_not_count(told: Bench) -> None:
    before = only(told)
    assert (before["wins"], before["losses"], before["ties"]) == (26, 9, 3)
    trained = "My parcel arrived two days late and the box was open. What can you do? (0)"
    told.put(*trial("known", 200, True, trained), *trial("near", 201, True, trained.upper() + "  "))
    after = only(told)
    assert after["wins"] == 26
    assert after["excluded"] == {"trained_prompt": 2}


def test_a_challenger_whose_training_set_is_gone_wins_nothing(told: Bench) -> None:
    for manifest in told.settings.home.glob("datasets/*/*/manifest.json"):
        manifest.unlink()
    item = only(told)
    assert (item["n"], item["excluded"]) == (0, {"unknown_training_set": 38})


def test_ancestors_training_prompts_do_not_count_either(told: Bench) -> None:
    child = "ad-111111111111"
    told.put(
        fact("model.promoted", "promoted", 150, adapter_id=CHALLENGER, alias_version=2),
        fact("model.registered", "child", 160, adapter_id=child, parent=CHALLENGER),
        fact("model.challenger", "child tested", 161, adapter_id=child, baseline=CHALLENGER),
        *trial("c1", 170, True, "fresh question", challenger=child, baseline=CHALLENGER),
        *trial("c2", 171, True, "How do I change the delivery address of an order that has already shipped? (1)",
               challenger=child, baseline=CHALLENGER),
    )  # fmt: skip
    item = told.support()[0]
    assert (item["challenger"], item["baseline"], item["wins"]) == (child, CHALLENGER, 1)
    assert item["excluded"] == {"trained_prompt": 1}


def test_several_raters_of_one_interaction_give_one_outcome(bench: Bench) -> None:
    register(bench)
    bench.put(*trial("t", 1, True, "q", "a"), picked("t", 2, 0, rater="b"), picked("t", 3, 1, rater="c"))
    item = only(bench)
    # It is one pick of one rater: a single issued interaction makes nobody "three raters".
    assert (item["wins"], item["losses"], item["raters"]) == (1, 0, 1)
    bench.put(picked("t", 4, 1, rater="d"))
    assert (only(bench)["ties"], only(bench)["n"]) == (1, 0)


def test_a_test_counts_the_sampling_settings_of_its_first_pick_only(bench: Bench) -> None:
    register(bench)
    warm = {"challenger": CHALLENGER, "baseline": "base", "counted": True, "sampling": {"temperature": 1.2}}
    bench.put(*trial("t1", 1, True, "q1"))
    bench.put(asked("t2", 2, [CHALLENGER, "base"], "q2", trial=warm), picked("t2", 2.5, 0, shown=2))
    item = only(bench)
    assert (item["n"], item["sampling"]["temperature"], item["excluded"]) == (1, 0.8, {"other_settings": 1})


def test_choices_are_reported_apart(bench: Bench) -> None:
    register(bench)
    test = {"challenger": CHALLENGER, "baseline": "base", "counted": True, "sampling": {}}
    bench.put(
        asked("t", 1, [CHALLENGER, "base"], "q", trial=test),
        event("choice", "chose", 1.5, verified=True, interaction_id="t", shown=["t-0", "t-1"], outcome="chosen",
              chosen="t-0"),
    )  # fmt: skip
    item = only(bench)
    assert (item["n"], item["choices"]["wins"]) == (0, 1)


def test_a_held_challenger_stops_counting_and_a_second_one_needs_three_times_the_evidence(bench: Bench) -> None:
    register(bench)
    bench.put(*trial("t1", 1, True, "q1"))
    bench.put(fact("model.held", "held", 5, adapter_id=CHALLENGER, reason="end of turn"))
    bench.put(*trial("t2", 6, True, "q2"))
    register(bench, 7, "ad-222222222222")
    second, first = bench.support()
    assert (first["state"], first["wins"], first["excluded"]) == ("held", 1, {"after_end": 1})
    assert (second["challenger"], second["k"], second["needed"]["e"]) == ("ad-222222222222", 2, 60.0)


def test_a_clear_win_says_promote_for_these_raters(bench: Bench) -> None:
    register(bench)
    bench.put(*(e for n in range(44) for e in trial(f"t{n}", 1 + n, n % 11 > 1, f"question number {n}")))
    item = only(bench)
    assert (item["state"], item["scope"], item["n"]) == ("promote", "these_raters", 40)
    assert item["decided_at"] is not None


def test_comparisons_are_reported_and_decide_nothing(bench: Bench) -> None:
    bench.put(fact("model.registered", "r", 0, adapter_id=CHALLENGER))
    bench.put(*(e for n in range(5) for e in trial(f"t{n}", 1 + n, n > 0, f"question {n}", counted=False)))
    found = bench.get("support")
    assert found["items"] == []
    (comparison,) = found["comparisons"]
    assert (comparison["wins"], comparison["losses"], comparison["challenger"]) == (4, 1, CHALLENGER)


def test_the_story_ends_with_a_running_test(bench: Bench) -> None:
    tell(bench)
    item = only(bench)
    assert (item["state"], item["raters"], item["k"]) == ("running", 6, 1)
    assert 0.4 < item["interval"][0] < item["rate"] < item["interval"][1]


@pytest.mark.parametrize(("metrics", "state"), [({"support": {"wins": 40}}, "promote"), ({}, "held")])
def test_a_decision_stands_when_its_voters_are_forgotten(bench: Bench, metrics: dict[str, Any], state: str) -> None:
    """A fact with the test's figures was its decision; without them a person promoted over a running test."""
    register(bench)
    bench.put(*(e for n in range(3) for e in trial(f"t{n}", 1 + n, True, f"q{n}", rater="ann")))
    bench.put(fact("model.promoted", "promoted", 10, adapter_id=CHALLENGER, baseline="base", metrics=metrics))
    assert only(bench)["wins"] == 3
    digest = actor_digest("default", "ann")
    bench.put(event("forget", "forgets ann", 20, actor_digest=digest, before="2100-01-01T00:00:00Z"))
    item = only(bench)
    assert (item["wins"], item["state"], item["ended_by"]) == (0, state, "promoted")
    assert bench.get("models")["champion"] == CHALLENGER
