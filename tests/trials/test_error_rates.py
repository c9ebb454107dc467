"""How often the promotion rule is wrong when it is looked at after every pick: `bench.gate` with 300 runs a row."""

from __future__ import annotations

import numpy as np
import pytest

from bench import gate, gate_twin
from bench.gate_rows import CELLS, PICKS, ROWS, Row, ballots_of, drawn, histories, shares_of, team
from trials.picks import PICKS_NEEDED
from trials.rule import Rule

RUNS = 300
TEAMS = [row for row in ROWS if row.draw is not None and row.group != "power"]
POWER = [row for row in ROWS if row.group == "power" and "70%" in row.name]
# What changes nothing at all (ghosts, settings, changes of frozen votes) is proven in test_votes.py.
EVENTS = [row for row in ROWS if row.group in ("repeated prompts", "somebody leaves") or "blindly" in row.name]


def measured(row: Row, runs: int = RUNS) -> gate.Result:
    return gate.measure(row, np.random.default_rng([7, ROWS.index(row)]), runs, checked=2)


@pytest.mark.parametrize("row", [*TEAMS, *EVENTS], ids=lambda row: f"{row.group}: {row.name}")
def test_wrong_decisions_are_at_most_five_in_a_hundred(row: Row) -> None:
    found = measured(row)
    assert not gate.fails(row, found), gate.line(row, found)


@pytest.mark.parametrize("row", POWER, ids=lambda row: row.name)
def test_a_true_gain_is_found_about_as_soon_as_the_table_says(row: Row) -> None:
    found = measured(row)
    assert found.promoted > 0.9 * RUNS and found.rejected == 0
    raters = int(row.name.split(", ")[1].split()[0])
    assert np.median(found.picks) == pytest.approx(PICKS_NEEDED[raters][0.7], abs=12)
    assert {raters for raters, _ in CELLS} == set(PICKS_NEEDED)


def test_somebody_who_leaves_makes_it_a_win_for_one_rater() -> None:
    row = next(row for row in ROWS if row.group == "somebody leaves")
    found = measured(row, 40)
    assert found.promoted == 0 and found.held_for_one >= 36


def test_the_twin_agrees_with_the_rule_on_a_thousand_histories() -> None:
    """Teams of all kinds, later challengers, slow ones in which the wait for other raters runs out."""
    compared = 0
    states: set[int] = set()
    for number in range(20):
        rng = np.random.default_rng([3, number])
        raters = (1, 2, 3, 5, 12)[number % 5]
        rates = team(rng, 50, raters, (0.5, 0.68, 0.3, 0.6)[number % 4], 0.1)
        shares = shares_of("even" if number % 3 else [0.9] + [0.1 / max(1, raters - 1)] * (raters - 1), raters)
        found = histories(rng, rates, shares)
        found = gate_twin.Histories(found.rater, found.won, (20, 600)[number % 2] * 60_000_000)
        rule = Rule(k=1 + number % 3, trial_days=1000)
        outcome = gate_twin.run(found, rule.k)
        states |= set(outcome.state.tolist())
        for test in range(50):
            assert gate.by_rule(ballots_of(found, test), rule) == gate.by_twin(outcome, test), (number, test)
            compared += 1
    assert compared == 1000
    assert states == {gate_twin.PROMOTE, gate_twin.REJECT, gate_twin.HELD, gate_twin.HELD_FOR_ONE}


def test_a_row_that_is_wrong_too_often_fails_the_bench() -> None:
    row = Row("x", "no difference that is one", "no difference", drawn(1, 0, "even", 0.6))
    found = gate.measure(row, np.random.default_rng(1), 50, checked=1)
    assert gate.fails(row, found) and "!" in gate.line(row, found)
    assert gate.fails(row, gate.Result(100, differ=1)) and not gate.fails(row, gate.Result(100, promoted=5))
    assert gate.fails(Row("x", "y", "better"), gate.Result(100, rejected=6))
    assert not gate.fails(Row("x", "y", "worse"), gate.Result(100, rejected=100))


def test_teams_have_the_mean_and_spread_they_are_said_to_have() -> None:
    rates = team(np.random.default_rng(1), 200, 5, 0.5, 0.22)
    assert rates.mean(1) == pytest.approx(0.5) and rates.std(1) == pytest.approx(0.22)
    assert (rates > 0).all() and (rates < 1).all()
    skewed = histories(np.random.default_rng(1), rates, shares_of("skewed", 5))
    counts = np.bincount(skewed.rater.ravel(), minlength=5) / skewed.rater.size
    assert counts == pytest.approx(np.array([60, 30, 20, 15, 12]) / 137, abs=0.01)
    assert skewed.rater.shape == (200, PICKS)
