"""A spot check keeps the risk that its curve printed, and anybody can draw its sample again."""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
from scipy.stats import binom, hypergeom

from contract.errors import ThumbwheelError
from processor.curation.acceptance import (
    Draw,
    Plan,
    chance_accepted,
    choose_plan,
    draw,
    faults_within,
    operating_curve,
    verdict,
)

BATCH = [f"item-{at:03}" for at in range(400)]


@pytest.mark.parametrize(("sample", "reject_above", "large", "of_400"), [
    (50, 2, 0.23, 0.21), (80, 3, 0.11, 0.08), (125, 5, 0.06, 0.03),
])  # fmt: skip
def test_a_batch_with_eight_percent_faults_passes_as_often_as_stated(
    sample: int, reject_above: int, large: float, of_400: float
) -> None:
    of_many = chance_accepted(Plan(1_000_000, sample, reject_above), 80_000)
    assert round(of_many, 2) == large
    assert of_many == pytest.approx(binom.cdf(reject_above, sample, 0.08), abs=1e-4)
    assert round(chance_accepted(Plan(400, sample, reject_above), 32), 2) == of_400


def test_over_a_thousand_seeds_the_reject_rate_is_the_printed_one() -> None:
    """400 items, 32 of them faulty; within four standard deviations of what the curve says."""
    plans = [Plan(400, 50, 2), Plan(400, 80, 3), Plan(400, 125, 5)]
    faulty = set(random.Random(8).sample(BATCH, 32))
    rejected: Counter[Plan] = Counter()
    for seed in range(1000):
        longest = draw(BATCH, plans[-1], str(seed))
        for plan in plans:
            drawn = replace(longest, plan=plan, sample=longest.sample[: plan.sample])
            rejected[plan] += verdict(drawn, {item: item in faulty for item in drawn.sample}).outcome == "reject"
    for plan in plans:
        said = next(1 - point.accepted for point in operating_curve(plan, points=401) if point.faults == 32)
        assert abs(rejected[plan] / 1000 - said) < 4 * (said * (1 - said) / 1000) ** 0.5


def test_the_curve_is_scipys_hypergeometric() -> None:
    for plan in (Plan(400, 50, 2), Plan(31, 7, 3), Plan(200_000, 500, 20), Plan(5, 5, 4)):
        for faults in {0, 1, 2, 5, plan.population // 12, plan.population // 2, plan.population}:
            if faults <= plan.population:
                theirs = hypergeom.cdf(plan.reject_above, plan.population, faults, plan.sample)
                assert chance_accepted(plan, faults) == pytest.approx(theirs, abs=1e-9)


def test_the_curve_falls_from_one_and_ends_where_nothing_passes() -> None:
    curve = operating_curve(Plan(400, 50, 2))
    assert (curve[0].faults, curve[0].accepted) == (0, 1.0) and 40 <= len(curve) <= 50
    assert all(one.accepted > other.accepted for one, other in pairwise(curve) if other.faults > 2)
    assert curve[-1].accepted <= 0.001 and curve[-1].share == curve[-1].faults / 400
    assert [point.accepted for point in operating_curve(Plan(3, 3, 1))] == [1.0, 1.0, 0.0]


@pytest.mark.parametrize(("population", "good", "alpha", "bad", "beta"), [
    (400, 0.02, 0.05, 0.08, 0.10), (100_000, 0.01, 0.05, 0.06, 0.10), (20, 0.05, 0.01, 0.2, 0.01),
    (1000, 0.0, 0.05, 0.05, 0.05), (50, 0.5, 0.05, 0.52, 0.05),
])  # fmt: skip
def test_the_plan_chosen_keeps_both_risks_and_no_smaller_sample_does(
    population: int, good: float, alpha: float, bad: float, beta: float
) -> None:
    plan = choose_plan(population, good_share=good, producer_risk=alpha, bad_share=bad, consumer_risk=beta)
    few, many = math.floor(population * good + 1e-9), math.ceil(population * bad - 1e-9)

    def keeps(sample: int, most: int) -> bool:
        one = Plan(population, sample, most)
        return chance_accepted(one, few) >= 1 - alpha and chance_accepted(one, many) <= beta

    assert keeps(plan.sample, plan.reject_above)
    smaller = range(max(1, plan.sample - 40), plan.sample)
    assert not [(n, c) for n in smaller for c in range(min(n, plan.reject_above + 3)) if keeps(n, c)]


def test_no_plan_tells_apart_what_is_the_same_number_of_faults() -> None:
    with pytest.raises(ThumbwheelError, match="0 faults are to be good and 1 to be bad") as refused:
        choose_plan(10, good_share=0.02, producer_risk=0.05, bad_share=0.08, consumer_risk=0)
    assert refused.value.code == "bad_plan" and refused.value.hint
    with pytest.raises(ThumbwheelError):
        choose_plan(10, good_share=0.2, producer_risk=0.05, bad_share=0.2, consumer_risk=0.1)


@pytest.mark.parametrize(("population", "sample", "most"), [(10, 11, 2), (10, 0, 0), (10, 5, 5), (10, 5, -1)])
def test_a_plan_that_can_only_say_yes_is_refused(population: int, sample: int, most: int) -> None:
    with pytest.raises(ThumbwheelError):
        Plan(population, sample, most)
    with pytest.raises(ThumbwheelError):
        chance_accepted(Plan(10, 5, 2), 11)


def test_the_draw_is_the_same_whoever_tells_the_items_in_whatever_order() -> None:
    plan = Plan(400, 50, 2)
    one, other = draw(BATCH, plan, "s"), draw(reversed(BATCH), plan, "s")
    assert one == other and len(set(one.sample)) == 50
    # Drawn again by hand: sha256 of ["s","<digest>","item-..."] in JSON.
    assert one.population_digest == "7906e455256c5ed42e1c0a297b86d7212caf5b18ef3cd60435ec0440549df261"
    assert one.sample[:3] == ("item-197", "item-059", "item-248")
    assert draw(BATCH, plan, "t").sample != one.sample
    assert draw(BATCH, Plan(400, 80, 3), "s").sample[:50] == one.sample


def test_one_item_more_draws_anew_and_items_named_twice_are_refused() -> None:
    more = draw([*BATCH, "item-400"], Plan(401, 50, 2), "s")
    assert len(set(more.sample) & set(draw(BATCH, Plan(400, 50, 2), "s").sample)) < 20
    for wrong in (BATCH[:-1], [*BATCH[:-1], BATCH[0]]):
        with pytest.raises(ThumbwheelError) as refused:
            draw(wrong, Plan(400, 50, 2), "s")
        assert refused.value.code == "bad_population"


def test_each_item_is_drawn_equally_often() -> None:
    """2,000 draws of 5 of 20: each item about 500 times (chi squared with 19 degrees, 1 in 1,000: 43.8)."""
    times: Counter[str] = Counter()
    for seed in range(2000):
        times.update(draw(BATCH[:20], Plan(20, 5, 1), str(seed)).sample)
    assert sum((times[item] - 500) ** 2 / (500 * 0.75) for item in BATCH[:20]) * 19 / 20 < 43.8


@pytest.fixture
def drawn() -> Draw:
    return draw(BATCH, Plan(400, 50, 2), "s")


def test_a_verdict_falls_as_soon_as_nothing_can_change_it(drawn: Draw) -> None:
    assert verdict(drawn, {}).outcome == "open"
    assert verdict(drawn, dict.fromkeys(drawn.sample[:47], False)).outcome == "open"
    assert verdict(drawn, dict.fromkeys(drawn.sample[:48], False)).outcome == "accept"
    assert verdict(drawn, dict.fromkeys(drawn.sample[:2], True)).outcome == "open"
    assert verdict(drawn, dict.fromkeys(drawn.sample[:3], True)).outcome == "reject"
    whole = verdict(drawn, {item: at < 2 for at, item in enumerate(drawn.sample)})
    assert (whole.outcome, whole.checked, whole.faults) == ("accept", 50, 2)


def test_an_item_that_was_not_drawn_has_no_say(drawn: Draw) -> None:
    outside = next(item for item in BATCH if item not in drawn.sample)
    with pytest.raises(ThumbwheelError, match=f"{outside} was not drawn"):
        verdict(drawn, {outside: True})


def test_how_many_faults_there_may_be_is_held_at_least_as_often_as_it_says() -> None:
    """Whatever the number of faults in 60 items, 95 % of the draws of 20 give an interval that holds it."""
    ends = [faults_within(60, 20, found) for found in range(21)]
    for faults in range(61):
        missed = sum(
            float(hypergeom.pmf(found, 60, faults, 20)) for found in range(21)
            if not ends[found][0] <= faults <= ends[found][1]
        )  # fmt: skip
        assert missed <= 0.05
    assert faults_within(400, 0, 0) == (0, 400) and faults_within(10, 10, 3) == (3, 3)
    assert ends[0][0] == 0 and ends[0][1] < 10
