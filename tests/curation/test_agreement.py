"""Agreement beyond chance equals what the literature prints and others compute, and admits to small numbers."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import permutations

import numpy as np
import pytest

from contract.errors import ThumbwheelError
from processor.curation.agreement import Metric, agreement
from processor.curation.measures.answers import MOST_COMPARED, Answer, AnswerTable, Value, tabulate
from processor.curation.measures.kappa import Weights, kappa_by_pair

# Krippendorff 2011, "Computing Krippendorff's alpha-reliability": four observers, twelve units, some answers missing.
FOUR_OBSERVERS = ("12332141 2...", "12332241 25.3", ".3332342 251.", "12332441 251.")
UNITS = [
    [int(row[at]) if row[at] != "." else None for row in (row.replace(" ", "") for row in FOUR_OBSERVERS)]
    for at in range(12)
]


def of_units(units: Sequence[Sequence[Value | None]], values: Sequence[Value] | None = None) -> AnswerTable:
    """Return the answers of units with one column a person, None where that person is missing."""
    found = [
        Answer(f"u{at:03}", f"p{who}", value)
        for at, unit in enumerate(units)
        for who, value in enumerate(unit)
        if value is not None
    ]
    random.Random(1).shuffle(found)
    return tabulate(found, values)


def drawn(seed: int, units: int = 30, people: int = 4, values: int = 4) -> list[list[int | None]]:
    chance = random.Random(seed)
    found: list[list[int | None]] = []
    for _ in range(units):
        true = chance.randrange(values)
        found.append([
            None if chance.random() < 0.3 else true if chance.random() < 0.6 else chance.randrange(values)
            for _ in range(people)
        ])  # fmt: skip
    return found


def by_definition(units: Sequence[Sequence[Value | None]], metric: Metric) -> float:
    """Alpha as it is written down: over every two answers of a unit, and every two answers at all."""
    pairable = [[v for v in unit if v is not None] for unit in units]
    pairable = [unit for unit in pairable if len(unit) > 1]
    everything = [v for unit in pairable for v in unit]
    times = Counter(everything)

    def ordinal(v: Value, w: Value) -> float:
        between = [g for g in times if min(v, w) <= g <= max(v, w)]  # type: ignore[type-var]
        return (sum(times[g] for g in between) - (times[v] + times[w]) / 2) ** 2

    apart: dict[Metric, Callable[[Value, Value], float]] = {
        "nominal": lambda v, w: float(v != w), "interval": lambda v, w: (v - w) ** 2, "ordinal": ordinal,  # type: ignore[operator]
    }  # fmt: skip
    d = apart[metric]
    n = len(everything)
    observed = sum(sum(d(v, w) for v, w in permutations(unit, 2)) / (len(unit) - 1) for unit in pairable) / n
    return 1 - observed / (sum(d(v, w) for v, w in permutations(everything, 2)) / (n * (n - 1)))


@pytest.mark.parametrize(("metric", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_alpha_of_the_four_observers_is_the_one_krippendorff_prints(metric: Metric, alpha: float) -> None:
    found = agreement(of_units(UNITS), metric)
    assert found.alpha.value == pytest.approx(alpha, abs=0.0005)
    assert found.marginals == ((1, 9), (2, 13), (3, 10), (4, 5), (5, 3))
    assert (found.coverage.items, found.coverage.compared) == (12, 11)
    assert (found.coverage.answers, found.coverage.compared_answers) == (41, 40)
    assert found.coverage.share == pytest.approx(11 / 12)


def test_alpha_of_two_observers_is_the_one_krippendorff_prints() -> None:
    two = of_units(list(zip("0100000010", "1110010000", strict=True)))
    assert agreement(two).alpha.value == pytest.approx(0.095, abs=0.0005)
    letters = of_units(list(zip("aabbdcccedda", "babbbcccedDd".lower(), strict=True)))
    assert agreement(letters).alpha.value == pytest.approx(0.692, abs=0.0005)


@pytest.mark.parametrize("metric", ["nominal", "ordinal", "interval"])
@pytest.mark.parametrize("seed", range(5))
def test_alpha_is_what_its_definition_says(metric: Metric, seed: int) -> None:
    units = drawn(seed)
    found = agreement(of_units(units), metric)
    assert found.alpha.value == pytest.approx(by_definition(units, metric), abs=1e-12)
    assert found.alpha.low is not None and found.alpha.high is not None
    assert found.alpha.low < found.alpha.value < found.alpha.high


def test_numbers_of_any_size_are_compared_by_their_distance() -> None:
    chance = random.Random(3)
    units = [[1e6 + at + chance.gauss(0, 3) for _ in range(3)] for at in range(300)]
    assert agreement(of_units(units), "interval", samples=50).alpha.value == pytest.approx(
        by_definition(units, "interval"), abs=1e-9
    )


def test_the_interval_is_about_the_same_whether_items_are_alike_or_all_different() -> None:
    """Items are drawn by kind where many are alike, else one by one."""
    chance = random.Random(6)
    alike = [[a := chance.randrange(4), a if chance.random() < 0.6 else chance.randrange(4)] for _ in range(400)]
    different = [[value + chance.random() * 1e-6 for value in unit] for unit in alike]
    one, other = (agreement(of_units(units), "interval").alpha for units in (alike, different))
    for end in ("value", "low", "high"):
        assert getattr(one, end) == pytest.approx(getattr(other, end), abs=0.015)


def test_high_raw_agreement_on_a_rare_value_is_no_agreement_beyond_chance() -> None:
    """One in ten units splits two people, and they never agree on "yes"."""
    units = [["no", "no"]] * 90 + [["yes", "no"]] * 5 + [["no", "yes"]] * 5
    found = agreement(of_units(units))
    assert found.share.value == pytest.approx(0.9)
    assert found.alpha.value is not None and -0.06 < found.alpha.value < -0.04
    assert found.marginals == (("no", 190), ("yes", 10))
    (pair,) = kappa_by_pair(of_units(units))
    assert pair.kappa.value == pytest.approx(-0.0526, abs=0.0001) and pair.share == pytest.approx(0.9)


def test_the_interval_holds_the_true_alpha_of_a_large_crowd_as_often_as_it_says() -> None:
    """Samples of 100 units from one crowd: 95 % of the intervals hold the alpha of 20,000 units."""
    chance = np.random.default_rng(5)

    def units(count: int) -> list[list[Value | None]]:
        true = chance.integers(3, size=(count, 1))
        right = chance.random((count, 3)) < 0.75
        return np.where(right, true, (true + 1 + chance.integers(2, size=(count, 3))) % 3).tolist()

    true_alpha = agreement(of_units(units(20_000)), samples=2).alpha.value
    assert true_alpha is not None
    held = 0
    for seed in range(100):
        found = agreement(of_units(units(100)), seed=seed, samples=300).alpha
        held += found.low is not None and found.high is not None and found.low <= true_alpha <= found.high
    assert 88 <= held <= 100


def test_the_same_answers_in_any_order_give_the_same_figures_and_another_seed_another_interval() -> None:
    answers = [Answer(f"u{at}", f"p{who}", v) for at, unit in enumerate(drawn(7)) for who, v in enumerate(unit) if v]
    first = agreement(tabulate(answers), seed=1)
    assert agreement(tabulate(reversed(answers)), seed=1) == first
    other = agreement(tabulate(answers), seed=2)
    assert other.alpha.value == first.alpha.value and other.alpha.low != first.alpha.low


def test_perfect_agreement_on_few_items_is_not_certain() -> None:
    few = agreement(of_units([["a", "a"], ["b", "b"], ["a", "a"]]))
    many = agreement(of_units([["a", "a"], ["b", "b"], ["a", "a"]] * 100))
    assert few.alpha.value == many.alpha.value == 1.0
    assert few.alpha.low is not None and few.alpha.low < 0.2 and few.share.low is not None and few.share.low < 0.5
    assert many.alpha.low is not None and many.alpha.low > 0.95


def test_where_all_say_the_same_value_alpha_is_not_defined_and_the_share_is() -> None:
    for metric in ("nominal", "ordinal", "interval"):
        found = agreement(of_units([[0.1, 0.1], [0.1, 0.1, 0.1]]), metric)
        assert (found.alpha.value, found.alpha.low, found.share.value) == (None, None, 1.0)


def test_with_no_item_answered_twice_nothing_is_said() -> None:
    found = agreement(of_units([["a"], ["b"]]))
    assert found.alpha.value is None and found.share.value is None and found.coverage.share == 0.0
    assert agreement(tabulate([])).coverage.share == 0.0


def test_an_interval_that_hangs_on_one_item_is_not_given() -> None:
    found = agreement(of_units([["no", "no"]] * 20 + [["no", "yes"]]))
    assert found.alpha.value is not None and found.alpha.low is None and found.share.low is not None


def test_an_order_that_nobody_gave_is_asked_for() -> None:
    units = [["low", "mid"], ["high", "high"], ["low", "low"]]
    with pytest.raises(ThumbwheelError, match="order"):
        agreement(of_units(units), "ordinal")
    ordered = agreement(of_units(units, ["low", "mid", "high"]), "ordinal")
    numbers = agreement(of_units([[0, 1], [2, 2], [0, 0]]), "ordinal")
    assert ordered.alpha.value == numbers.alpha.value
    with pytest.raises(ThumbwheelError, match="numbers"):
        agreement(of_units(units), "interval")
    with pytest.raises(ThumbwheelError, match="201 values"):
        agreement(of_units([[at, at] for at in range(201)]))


@pytest.mark.parametrize(("answers", "code"), [
    ([Answer("u", "p", 1), Answer("u", "p", 2)], "answer_twice"),
    ([Answer("u", "p", 1), Answer("u", "q", "one")], "mixed_values"),
    ([Answer("u", "p", float("nan"))], "mixed_values"),
    ([Answer("u", "p", 9)], "unknown_value"),
])  # fmt: skip
def test_answers_that_cannot_be_compared_are_refused(answers: list[Answer], code: str) -> None:
    with pytest.raises(ThumbwheelError) as refused:
        tabulate(answers, [1, 2] if code == "unknown_value" else None)
    assert refused.value.code == code and refused.value.hint


def test_an_item_that_very_many_answered_does_not_make_all_pairs_of_them() -> None:
    table = tabulate([Answer("hot", f"p{at:05}", at % 2) for at in range(3000)])
    assert len(table.pairs().first) <= 3000 * MOST_COMPARED


@pytest.mark.parametrize("weights", ["nominal", "linear", "quadratic"])
def test_kappa_is_scikit_learns(weights: Weights) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    units = drawn(11, units=80)
    found = kappa_by_pair(of_units(units), weights)
    assert len(found) == 6
    for pair in found:
        a, b = int(pair.first[1:]), int(pair.second[1:])
        both = [(u[a], u[b]) for u in units if u[a] is not None and u[b] is not None]
        expected = metrics.cohen_kappa_score(
            *zip(*both, strict=True), labels=[0, 1, 2, 3], weights=None if weights == "nominal" else weights
        )
        assert pair.kappa.value == pytest.approx(expected, abs=1e-12)
        assert pair.shared == len(both) and pair.share == pytest.approx(sum(x == y for x, y in both) / len(both))


@pytest.mark.parametrize("weights", ["nominal", "linear", "quadratic"])
def test_the_interval_of_kappa_is_statsmodels(weights: Weights) -> None:
    rater = pytest.importorskip("statsmodels.stats.inter_rater")
    units = drawn(12, units=200, people=2)
    (pair,) = kappa_by_pair(of_units(units), weights)
    table = np.zeros((4, 4))
    for a, b in units:
        if a is not None and b is not None:
            table[a, b] += 1
    theirs = rater.cohens_kappa(table, wt=None if weights == "nominal" else weights)
    assert pair.kappa.low == pytest.approx(theirs.kappa_low, abs=1e-9)
    assert pair.kappa.high == pytest.approx(theirs.kappa_upp, abs=1e-9)


def test_two_who_never_differ_on_few_items_may_differ_yet() -> None:
    (few,) = kappa_by_pair(of_units([["a", "a"], ["b", "b"]]))
    assert few.kappa.value == few.kappa.high == 1.0 and few.kappa.low is not None and few.kappa.low < 0
    (same,) = kappa_by_pair(of_units([["a", "a"], ["a", "a"]]))
    assert same.kappa.value is None and same.share == 1.0


def test_pairs_with_too_little_in_common_are_left_out() -> None:
    table = of_units([["a", "a", None], ["b", "a", "b"]])
    assert {(one.first, one.second) for one in kappa_by_pair(table, least_shared=2)} == {("p0", "p1")}
    assert kappa_by_pair(of_units([["a"]])) == ()
