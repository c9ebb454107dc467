"""The arithmetic of the support rate, against worked figures."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import gammaln

from trials import formulas, intervals, rule
from trials import votes as counting
from trials.rule import Rule, Tally
from trials.votes import Ballot, Side


def ballot(n: int, side: Side, rater: str = "r", interaction: str | None = None, arrived: int | None = None,
           retracts: str | None = None) -> Ballot:  # fmt: skip
    at = n if arrived is None else arrived
    return Ballot(interaction or f"i{n}", rater, f"e{n}", at, (at, at, f"e{n}"), side, retracts)


def ballots(text: str, raters: int = 1) -> list[Ballot]:
    sides: dict[str, Side] = {"w": "win", "l": "loss", "t": "tie", "n": "none"}
    return [ballot(n, sides[mark], f"r{n % raters}") for n, mark in enumerate(text)]


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (1, 0), (3, 2), (15, 4), (36, 8), (10, 30)])
def test_e_value_is_two_to_the_n_times_the_beta_integral(wins: int, losses: int) -> None:
    n = wins + losses
    exact = 2**n * math.factorial(wins) * math.factorial(losses) / math.factorial(n + 1)
    assert formulas.e_value(wins, losses) == pytest.approx(exact)


def test_worked_figures() -> None:
    assert formulas.e_value(16, 3) == pytest.approx(27.05, abs=0.01)
    assert formulas.e_value(36, 8) == pytest.approx(2205.8, abs=0.1)
    assert intervals.anytime_interval(36, 8) == pytest.approx((0.598, 0.950), abs=0.001)
    # 36 of 44: Wilson 68 to 90 %.
    assert intervals.wilson(36, 44) == pytest.approx((0.680, 0.905), abs=0.001)
    assert intervals.anytime_interval(0, 0) == (0.0, 1.0)


def test_a_long_test_stays_a_number() -> None:
    assert math.isfinite(formulas.e_value(5000, 1))
    low, high = intervals.anytime_interval(5000, 1)
    assert 0.99 < low < high < 1.0


def test_interval_excludes_half_exactly_when_e_reaches_20() -> None:
    for wins in range(61):
        for losses in range(61):
            low, high = intervals.anytime_interval(wins, losses)
            assert (low > 0.5 or high < 0.5) == (formulas.e_value(wins, losses) >= 20), (wins, losses)


def simulate(rate: float, tests: int, picks: int) -> np.ndarray:
    """Return the pick at which each simulated test first reaches E = 20 (a large number: never)."""
    rng = np.random.default_rng(11)
    wins = (rng.random((tests, picks)) < rate).cumsum(axis=1)
    n = np.arange(1, picks + 1)
    log_e = n * math.log(2) + gammaln(wins + 1) + gammaln(n - wins + 1) - gammaln(n + 2)
    hit = log_e >= math.log(20)
    return np.where(hit.any(axis=1), hit.argmax(axis=1) + 1, 10**9)


def test_median_picks_to_a_decision_are_what_the_screen_says() -> None:
    for rate, slack in ((0.8, 1), (0.7, 4), (0.6, 20)):
        assert np.median(simulate(rate, 3000, 800)) == pytest.approx(formulas.MEDIAN_PICKS[rate], abs=slack)


def test_watching_an_aa_test_decides_it_wrongly_in_few_cases() -> None:
    assert (simulate(0.5, 3000, 400) <= 400).mean() < 0.05


@pytest.mark.parametrize(
    ("wins", "losses", "expected"),
    [(20, 10, "not_enough_data"), (22, 20, "no_progress"), (10, 40, "harmful"), (68, 32, "weak"), (75, 25, "success"),
     (80, 20, "success"), (81, 19, "large_gain")],
)  # fmt: skip
def test_bands(wins: int, losses: int, expected: str) -> None:
    assert rule.band(wins, losses) == expected


def test_one_outcome_per_interaction_majority_or_tie() -> None:
    assert counting.outcome_of(["win", "win", "loss"]) == "win"
    assert counting.outcome_of(["win", "loss"]) == "tie"
    assert counting.outcome_of(["win", "tie", "none"]) == "tie"
    assert counting.outcome_of(["none"]) == "none"
    assert counting.outcome_of([]) is None


def test_a_text_both_models_wrote_is_a_tie() -> None:
    models = {"a": "new", "b": "old", "c": "new"}
    texts = {"a": "same", "b": "same", "c": "other"}
    assert counting.side_of("chosen", "a", models, texts, "new") == "tie"
    assert counting.side_of("chosen", "c", models, texts, "new") == "win"
    assert counting.side_of("tie", None, models, texts, "new") == "tie"
    assert counting.side_of("none", None, models, texts, "new") == "none"


def test_only_equal_numbers_of_replies_count() -> None:
    models = {"a": "new", "b": "old", "c": "old", "d": "new"}
    assert counting.balanced(["a", "b", "c", "d"], models, "new", "old")
    assert not counting.balanced(["a", "b", "c"], models, "new", "old")
    assert not counting.balanced(["a", "d"], models, "new", "old")


def test_promotion_waits_for_forty_picks() -> None:
    early = counting.count(ballots("w" * 30), Rule())
    assert (early.state, early.n) == ("running", 30)
    later = counting.count(ballots("w" * 60), Rule())
    assert (later.state, later.wins) == ("promote", 40)


def test_losing_rejects_as_soon_as_the_evidence_is_there() -> None:
    tally = counting.count(ballots("l" * 30), Rule())
    assert tally.state == "reject"
    assert formulas.e_value(tally.wins, tally.losses) >= 20 > formulas.e_value(tally.wins, tally.losses - 1)


def test_the_first_decision_stands_whatever_comes_after() -> None:
    tally = counting.count(ballots("w" * 40 + "l" * 300), Rule())
    assert (tally.state, tally.wins, tally.losses) == ("promote", 40, 0)


def test_undecided_after_400_is_held() -> None:
    tally = counting.count(ballots("wl" * 250), Rule())
    assert (tally.state, tally.n) == ("held", 400)


def test_a_small_true_gain_is_not_promoted_below_the_minimal_rate() -> None:
    tally = Tally(wins=2700, losses=2300)
    assert formulas.e_value(tally.wins, tally.losses) > 20
    assert rule.decide(tally, Rule(max_picks=10_000)) == "running"


def test_the_kth_challenger_needs_twenty_k_squared() -> None:
    assert Rule(k=3).needed_e == 180
    wins = 33, 7  # E is 1438, between 20 * 8^2 and 20 * 9^2
    assert rule.decide(Tally(*wins), Rule(k=8)) == "promote"
    assert rule.decide(Tally(*wins), Rule(k=9)) == "running"


def test_ties_and_none_are_apart() -> None:
    tally = counting.count(ballots("wltnnw"))
    assert (tally.wins, tally.losses, tally.ties, tally.none, tally.n) == (2, 1, 1, 2, 3)


def test_several_raters_must_be_five_whose_interval_is_above_half() -> None:
    few = counting.count(ballots("wwwwl" * 20, raters=3), Rule())
    assert few.state == "running"
    many = counting.count(ballots("wwwwl" * 20, raters=6), Rule())
    assert many.state == "promote"
    # One rater who always prefers the new model does not carry four who do not care.
    lopsided = Tally(60, 40, by_rater={"a": (40, 0), "b": (5, 10), "c": (5, 10), "d": (5, 10), "e": (5, 10)})
    interval = intervals.clustered_interval(lopsided.by_rater)
    assert interval is not None and interval[0] < 0.5
    assert not rule.raters_agree(lopsided, Rule())


def test_clustered_interval_equals_the_t_interval_of_equal_clusters() -> None:
    by_rater = {"a": (8, 2), "b": (7, 3), "c": (9, 1), "d": (6, 4)}
    shares = [0.8, 0.7, 0.9, 0.6]
    half = 3.1824 * np.std(shares, ddof=1) / 2
    assert intervals.clustered_interval(by_rater) == pytest.approx((0.75 - half, 0.75 + half), abs=1e-4)
    assert intervals.clustered_interval({"a": (8, 2)}) is None


def test_a_retracted_vote_is_no_vote_and_the_earlier_one_does_not_revive() -> None:
    first, second = ballot(1, "win", interaction="i"), ballot(2, "loss", interaction="i")
    undo = ballot(3, "none", interaction="i", retracts="e2")
    assert counting.count([first, second]).losses == 1
    assert counting.count([first, second, undo]).n == 0
    assert counting.count([undo, second, first]).n == 0


def test_a_vote_changed_after_the_decision_does_not_count() -> None:
    votes = ballots("w" * 40)
    change = Ballot("i0", "r0", "e-late", 99, (99, 99, "e-late"), "loss")
    assert counting.count([*votes, change], Rule()).wins == 40
    in_time = Ballot("i0", "r0", "e-early", 30, (30, 30, "e-early"), "loss")
    assert counting.count([*votes, in_time], Rule()).losses == 1
