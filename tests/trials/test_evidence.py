"""E over raters, its interval and the weighted rate: against exact fractions, worked cases and a general optimiser."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from tests.trials.picks import tally_of
from trials import intervals
from trials.evidence import Counts, Evidence, log_most, most_is_within, strata_of
from trials.formulas import e_value, log_beta, needed_e
from trials.rule import Tally

marks = st.text("wl", min_size=1, max_size=60)
teams = st.lists(marks, min_size=1, max_size=6)


def evidence(*raters: str) -> Evidence:
    return Evidence.of(tally_of(*raters).raters)


def exact(wins: int, losses: int) -> Fraction:
    n = wins + losses
    return Fraction(2**n * math.factorial(wins) * math.factorial(losses), math.factorial(n + 1))


@pytest.mark.parametrize("n", [*range(60), 399, 400])
def test_for_one_rater_e_is_two_to_the_n_w_l_over_n_plus_one_to_the_last_digit(n: int) -> None:
    for wins in range(n + 1):
        losses = n - wins
        assert e_value(wins, losses) == float(exact(wins, losses))
        if n and wins != losses:
            ahead = Evidence.of(Tally.of_one_rater(max(wins, losses), min(wins, losses)).raters)
            assert ahead.e_plus == float(exact(wins, losses))
            assert math.exp(ahead.log_e_plus) == pytest.approx(float(exact(wins, losses)), rel=1e-11)
            behind = Evidence.of(Tally.of_one_rater(min(wins, losses), max(wins, losses)).raters)
            assert behind.e_minus == float(exact(wins, losses))


@given(marks)
@settings(deadline=None)
def test_for_one_rater_the_order_of_the_picks_is_nothing(text: str) -> None:
    one, other = evidence(text), evidence("".join(sorted(text)))
    assert one.log_e_plus == pytest.approx(other.log_e_plus, abs=1e-9)
    assert one.interval() == pytest.approx(other.interval(), abs=1e-9)


@pytest.mark.parametrize(("wins", "losses"), [(1, 0), (0, 3), (16, 3), (3, 20), (36, 8), (200, 200), (250, 150)])
def test_for_one_rater_the_interval_is_the_known_one(wins: int, losses: int) -> None:
    found = Evidence.of(Tally.of_one_rater(wins, losses).raters).interval()
    assert found == pytest.approx(intervals.anytime_interval(wins, losses), abs=1e-9)


def test_two_raters_with_ten_picks_each() -> None:
    """9 of 10 and 6 of 10. Both weigh 1/2, so eta_a = 1 - eta_b: 13 times eta, 7 times 1 - eta, best at 13 / 20."""
    found = evidence("w" * 9 + "l", "wwwwww" + "llll")
    most = 0.65**13 * 0.35**7
    assert found.e_plus == pytest.approx(math.exp(log_beta(15, 5)) / most, rel=1e-12)
    assert found.rate == pytest.approx(0.75)
    assert found.e_minus == pytest.approx(math.exp(log_beta(15, 5)) / (0.9**9 * 0.1 * 0.6**6 * 0.4**4), rel=1e-12)


def test_two_raters_one_of_whom_went_on() -> None:
    """10 of 12, eight of the first ten among them, and 6 of 10: a rater's own ten foretell that rater's later picks."""
    found = evidence("wwwwwwwwll" + "ww", "wwwwwwllll")
    foretold = log_beta(14, 6) + log_beta(10, 2) - log_beta(8, 2)
    numerator = (math.exp(log_beta(16, 6)) + math.exp(foretold)) / 2
    most = (14 / 22) ** 14 * (8 / 22) ** 8
    assert found.e_plus == pytest.approx(numerator / most, rel=1e-12)


def test_a_rater_with_nine_picks_is_pooled_and_one_with_ten_is_not() -> None:
    found = strata_of(tally_of("w" * 12, "w" * 9, "l" * 3, "w" * 10).raters)
    assert [stratum.raters for stratum in found] == [("b", "c"), ("a",), ("d",)]
    assert [stratum.weight for stratum in found] == pytest.approx([12 / 32, 10 / 32, 10 / 32])
    assert (found[0].wins, found[0].losses) == (9, 3)


def test_raters_with_few_picks_count_like_one() -> None:
    assert evidence("wwwl", "wwl", "ww").e_plus == e_value(7, 2)
    assert evidence("wwwl", "wwl", "ww").rate == pytest.approx(7 / 9)


def test_the_weighted_rate_takes_at_most_ten_picks_of_anybody() -> None:
    assert evidence("w" * 90, "l" * 10).rate == pytest.approx(0.5)
    assert evidence("w" * 90, "l" * 10).e_plus < 1


def test_no_picks_say_nothing() -> None:
    found = Evidence.of({})
    assert (found.e_plus, found.e_minus, found.rate, found.interval()) == (1.0, 1.0, None, (0.0, 1.0))
    assert Evidence.of({"a": Counts(ties=3, none=1)}).rate is None


def by_optimiser(found: Evidence, mean: float) -> float:
    """Return the largest log likelihood with a weighted mean of at most `mean`, by a general method."""
    wins = np.array([s.wins for s in found.strata], float)
    losses = np.array([s.losses for s in found.strata], float)
    weight = np.array([s.weight for s in found.strata])
    start = np.clip(wins / (wins + losses), 0.02, 0.98) * min(1.0, mean / max(found.rate or 1, 1e-9)) * 0.98
    best = minimize(
        lambda eta: -float((wins * np.log(eta) + losses * np.log1p(-eta)).sum()), start, method="SLSQP",
        jac=lambda eta: -(wins / eta - losses / (1 - eta)), bounds=[(1e-9, 1 - 1e-9)] * len(wins),
        constraints={"type": "ineq", "fun": lambda eta: mean - float(weight @ eta)},
        options={"ftol": 1e-13, "maxiter": 500},
    )  # fmt: skip
    return -float(best.fun)


def test_the_constrained_maximum_is_that_of_a_general_optimiser() -> None:
    rng = random.Random(4)
    for _ in range(60):
        raters = ["".join(rng.choices("wl", (rng.uniform(0.2, 0.9), 0.5), k=rng.randint(1, 40))) for _ in range(4)]
        found = evidence(*raters)
        assert log_most(found.strata) == pytest.approx(by_optimiser(found, 0.5), abs=1e-5), raters
        assert log_most(found.strata, 0.4) == pytest.approx(by_optimiser(found, 0.4), abs=1e-5), raters


@given(teams, st.floats(-1e-6, 1e-6))
@settings(max_examples=200, deadline=None)
def test_the_quick_answer_is_that_of_the_maximum(raters: list[str], near: float) -> None:
    strata = evidence(*raters).strata
    most = log_most(strata)
    for limit in (most - 5, most - 0.01, most + 0.01, most + 5, *([most + near] if abs(near) > 1e-9 else [])):
        assert most_is_within(strata, limit) == (most <= limit)


@given(teams)
@settings(max_examples=200, deadline=None)
def test_exchanging_the_sides_exchanges_the_evidence(raters: list[str]) -> None:
    turned = [text.translate(str.maketrans("wl", "lw")) for text in raters]
    one, other = evidence(*raters), evidence(*turned)
    assert one.log_e_plus == pytest.approx(other.log_e_minus, abs=1e-9)
    low, high = one.interval()
    assert (1 - high, 1 - low) == pytest.approx(other.interval(), abs=1e-9)


@given(teams)
@settings(max_examples=200, deadline=None)
def test_the_interval_excludes_half_exactly_where_e_reaches_twenty(raters: list[str]) -> None:
    found = evidence(*raters)
    low, high = found.interval()
    assert found.rate is not None and low <= found.rate + 1e-9 and high >= found.rate - 1e-9
    for log_e, excluded in ((found.log_e_plus, low > 0.5), (found.log_e_minus, high < 0.5)):
        if abs(log_e - math.log(20)) > 1e-6:
            assert excluded == (log_e > math.log(20))


def enumerated(length: int, raters: int) -> float:
    """Return the sum of N over all outcomes of a fixed order of raters: 1 for a predictive probability."""
    total = 0.0
    for bits in range(2**length):
        texts = [""] * raters
        for place in range(length):
            texts[place % raters] += "w" if bits >> place & 1 else "l"
        total += math.exp(Evidence.of(tally_of(*texts).raters).log_n)
    return total


@pytest.mark.parametrize(("length", "raters"), [(12, 1), (13, 2), (12, 3)])
def test_n_is_a_probability_of_the_picks(length: int, raters: int) -> None:
    assert enumerated(length, raters) == pytest.approx(1.0, rel=1e-9)


def test_n_is_a_probability_beyond_the_first_ten_of_a_rater() -> None:
    """One with 12 picks, one with 3: summed over all 2^15 outcomes."""
    total = 0.0
    for ours in range(2**12):
        text = format(ours, "012b").translate(str.maketrans("10", "wl"))
        total += sum(
            math.comb(3, wins) * math.exp(evidence(text, "w" * wins + "l" * (3 - wins)).log_n) for wins in range(4)
        )
    assert total == pytest.approx(1.0, rel=1e-9)


def test_later_challengers_need_more() -> None:
    assert [needed_e(k) for k in (1, 2, 3, 10)] == [20, 60, 120, 1100]
    assert sum(1 / needed_e(k) for k in range(1, 100_000)) == pytest.approx(0.1, abs=1e-5)
    with pytest.raises(ValueError, match="k = 1"):
        needed_e(0)
