"""The promotion rule at one look, and over time: what promotes, rejects and holds, and why."""

from __future__ import annotations

import math
import random
import time
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import gammaln

from tests.trials.picks import DAY, MINUTE, ballot, ballots, in_turns, tally_of
from trials import formulas, intervals, rule
from trials.picks import PICKS_NEEDED, picks_needed
from trials.process import consequence
from trials.rule import Rule, Tally, decide
from trials.trial import Trial, replay
from trials.votes import Ballot


def one(wins: int, losses: int) -> Tally:
    return Tally.of_one_rater(wins, losses)


def test_worked_figures() -> None:
    assert formulas.e_value(16, 3) == pytest.approx(27.05, abs=0.01)
    assert formulas.e_value(36, 8) == pytest.approx(2205.8, abs=0.1)
    assert intervals.anytime_interval(36, 8) == pytest.approx((0.598, 0.950), abs=0.001)
    # 36 of 44: Wilson 68 to 90 %.
    assert intervals.wilson(36, 44) == pytest.approx((0.680, 0.905), abs=0.001)
    assert intervals.anytime_interval(0, 0) == (0.0, 1.0)


def test_a_long_test_stays_a_number() -> None:
    assert math.isfinite(formulas.e_value(5000, 1))
    assert math.isfinite(formulas.e_value(500_000, 400_000))
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


@pytest.mark.parametrize(
    ("wins", "losses", "expected"),
    [(20, 10, "not_enough_data"), (22, 20, "no_progress"), (10, 40, "harmful"), (68, 32, "weak"), (75, 25, "success"),
     (80, 20, "success"), (81, 19, "large_gain")],
)  # fmt: skip
def test_bands(wins: int, losses: int, expected: str) -> None:
    assert decide(one(wins, losses), Rule()).band == expected


def test_bands_use_the_weighted_rate() -> None:
    """95 of 100 picks are wins of one rater; the two others lose all of theirs."""
    found = decide(tally_of("w" * 95, "l" * 10, "l" * 10), Rule())
    assert found.weighted_rate == pytest.approx(1 / 3)
    assert found.band in ("harmful", "no_progress") and found.interval[0] < 1 / 3 < found.interval[1]
    assert rule.band(None, (0.0, 1.0), 0) == "not_enough_data"


def test_promotion_and_rejection_wait_for_forty_picks() -> None:
    for text, state in (("w", "promote"), ("l", "reject")):
        early = replay(ballots(("a", text * 39)))
        assert (early.state, early.n, early.reason.key) == ("running", 39, "too_few_picks")
        later = replay(ballots(("a", text * 60)))
        assert (later.state, later.n, later.decided_at) == (state, 40, 39 * MINUTE)


def test_the_first_decision_stands_whatever_comes_after() -> None:
    found = replay(ballots(("a", "w" * 40 + "l" * 300)))
    assert (found.state, found.wins, found.losses) == ("promote", 40, 0)


def test_a_vote_changed_after_the_decision_does_not_count() -> None:
    votes = ballots(("a", "w" * 40))
    change = ballot(99, "loss", "a", interaction="i0")
    assert replay([*votes, change]).wins == 40
    in_time = replace(change, arrived=30 * MINUTE, moment=(30 * MINUTE, 0, "x"))
    assert replay([*votes, in_time]).losses == 1


def test_undecided_after_400_picks_is_held() -> None:
    found = replay(ballots(("a", "wl" * 250)))
    assert (found.state, found.n, found.reason.key) == ("held", 400, "picks_used_up")
    assert decide(one(200, 199), Rule()).state == "running"


def test_a_small_true_gain_is_not_promoted_below_the_minimal_rate() -> None:
    found = decide(one(2700, 2300), Rule(max_picks=10_000))
    assert found.e_plus > 20
    assert (found.state, found.reason.key) == ("running", "gain_too_small")
    assert decide(one(230, 160), Rule(min_rate=0.6)).reason.key == "gain_too_small"


def test_a_rate_that_equals_the_least_one_is_enough() -> None:
    assert decide(one(1100, 900), Rule(max_picks=10_000)).state == "promote"


def test_the_kth_challenger_needs_ten_k_k_plus_one() -> None:
    wins = 33, 7  # E is 1438, between 10 * 11 * 12 and 10 * 12 * 13
    assert decide(one(*wins), Rule(k=11)).state == "promote"
    assert decide(one(*wins), Rule(k=12)).state == "running"
    assert decide(one(7, 33), Rule(k=11)).state == "reject"
    assert decide(one(7, 33), Rule(k=12)).state == "running"


@pytest.mark.parametrize(("raters", "state", "reason"), [
    (("w" * 36 + "l" * 8,), "promote", "won"),
    (("w" * 40, "w" * 19), "running", "waiting_for_others"), (("w" * 40, "w" * 20), "promote", "won"),
    (("l" * 40, "l" * 19), "running", "waiting_for_others"), (("l" * 40, "l" * 20), "reject", "lost"),
    (("w" * 40, "l" * 5, "l" * 5, "l" * 5, "l" * 5), "running", "undecided"),
    (("w" * 370, "l" * 10, "l" * 10, "l" * 10), "held", "picks_used_up"),
    (("w" * 10 + "l" * 3, "w" * 10 + "l" * 3, "w" * 10 + "l" * 3, "w" * 10 + "l" * 3), "promote", "won"),
])  # fmt: skip
def test_no_person_decides_alone_once_a_second_was_seen(raters: tuple[str, ...], state: str, reason: str) -> None:
    found = decide(tally_of(*raters), Rule())
    assert (found.state, found.reason.key) == (state, reason)


def test_a_fan_does_not_carry_four_who_do_not_care() -> None:
    found = decide(tally_of("w" * 40, *["wlllw"] * 3, "wlwll"), Rule())
    assert (found.state, found.e_plus < 20, found.others) == ("running", True, 20)


def test_a_decision_carries_what_it_was_made_on() -> None:
    found = replay(ballots(*in_turns(("a", "w" * 20 + "l" * 5), ("b", "w" * 20 + "l" * 5))))
    assert (found.state, found.raters, found.rule_version, found.needed_e) == ("promote", 2, rule.RULE_VERSION, 20)
    assert found.by_rater == {"a": (20, 0), "b": (20, 0)} and found.weighted_rate == 1.0
    assert found.e_plus > 20 > 1 > found.e_minus and found.interval[0] > 0.5
    assert found.reason.key == "won" and found.reason.numbers["n"] == 40 and found.reason.numbers["raters"] == 2


def trial_of(picks: list[Ballot]) -> Trial:
    trial = Trial(Rule(), started=0)
    for pick in picks:
        trial.take(pick)
    return trial


def test_a_rater_who_leaves_holds_a_trial_at_most_three_days() -> None:
    """b picks once, a wins 50 in the next hour: it is a's win three days after it became one."""
    trial = trial_of(ballots(("b", "l"), ("a", "w" * 50)))
    reasons = [trial_of(ballots(("b", "l"), ("a", "w" * n))).decision().reason.key for n in range(51)]
    until = reasons.index("waiting_for_others") * MINUTE + 3 * DAY
    waiting = trial.decision()
    assert (waiting.state, waiting.reason.key) == ("running", "waiting_for_others")
    assert waiting.reason.numbers["until"] == until
    assert trial.pass_time(until - 1) == "running"
    found = trial.decision(until + 5 * DAY)
    assert (found.state, found.reason.key, found.decided_at) == ("held", "won_for_one_rater", until)


def test_a_pick_of_another_begins_the_wait_anew_and_of_the_busiest_does_not() -> None:
    picks = ballots(("b", "l"), ("a", "w" * 50))
    others = ballot(90, "win", "b", arrived=2 * DAY)
    own = ballot(91, "win", "a", arrived=4 * DAY)
    found = replay([*picks, others, own], started=0, now=20 * DAY)
    assert (found.state, found.reason.key, found.decided_at) == ("held", "won_for_one_rater", 5 * DAY)
    alone = replay([*picks, own], started=0, now=20 * DAY)
    assert alone.decided_at is not None and 3 * DAY < alone.decided_at < 3 * DAY + 60 * MINUTE
    assert alone.n == 51  # what arrives after the deadline does not count


def test_a_changed_vote_of_another_does_not_prolong_the_wait() -> None:
    picks = ballots(("b", "l"), ("a", "w" * 50))
    sides = ("win", "loss")
    changes = [ballot(100 + n, sides[n % 2], "b", interaction="i0", arrived=n * DAY) for n in range(1, 12)]
    found = replay([*picks, *changes], started=0, now=20 * DAY)
    assert (found.state, found.decided_at is not None and found.decided_at < 4 * DAY) == ("held", True)


def test_a_crossing_that_falls_again_stops_the_clock() -> None:
    picks = [*ballots(("b", "l"), ("a", "w" * 45)), *ballots(("a", "l" * 60), start=60)]
    found = replay(picks, started=0, now=10 * DAY)
    assert (found.state, found.reason.key) == ("running", "undecided")


def test_lost_for_one_rater() -> None:
    assert replay(ballots(("b", "w"), ("a", "l" * 60)), now=9 * DAY).reason.key == "lost_for_one_rater"


def test_twenty_picks_of_others_end_the_wait() -> None:
    found = replay(ballots(("b", "w"), ("a", "w" * 45), ("b", "w" * 25)), started=0)
    assert (found.state, found.others) == ("promote", 20)


def test_a_trial_ends_after_fourteen_days() -> None:
    found = replay(ballots(("a", "wl" * 30)), started=0, now=30 * DAY)
    assert (found.state, found.reason.key, found.decided_at) == ("held", "time_used_up", 14 * DAY)
    late = ballot(99, "win", "a", arrived=14 * DAY)
    assert replay([*ballots(("a", "wl" * 30)), late], started=0).n == 60
    assert replay(ballots(("a", "wl" * 30)), now=30 * DAY).state == "running"  # no start, no limit


def test_days_used_up_while_waiting_is_a_win_for_one_rater() -> None:
    picks = ballots(("b", "l"), ("a", "w" * 50))
    others = [ballot(100 + n, "win", "b", arrived=(2 + 2 * n) * DAY) for n in range(7)]
    found = replay([*picks, *others], started=-MINUTE, now=30 * DAY)
    assert (found.reason.key, found.decided_at) == ("won_for_one_rater", 14 * DAY - MINUTE)


def test_the_order_in_which_different_raters_arrive_changes_nothing() -> None:
    """Each keeps its own order, in which its first ten are; who came between them does not matter."""
    rng = random.Random(5)
    for _ in range(40):
        lengths = {name: rng.randint(1, most) for name, most in (("a", 9), ("b", 21), ("c", 33))}
        texts = {name: "".join(rng.choices("wl", (0.6, 0.4), k=length)) for name, length in lengths.items()}
        orders = [[name for name, text in texts.items() for _ in text] for _ in range(2)]
        rng.shuffle(orders[1])
        found = []
        for order in orders:
            left = {name: iter(text) for name, text in texts.items()}
            found.append(replay(ballots(*((name, next(left[name])) for name in order)), Rule(min_picks=1000)))
        one_order, other = found
        assert one_order.e_plus == pytest.approx(other.e_plus, rel=1e-12)
        assert (one_order.interval, one_order.by_rater) == (pytest.approx(other.interval), other.by_rater)


def test_a_lost_rollback_test_changes_nothing_and_a_won_one_rolls_back() -> None:
    states = ("promote", "reject", "held", "running")
    assert [consequence("rollback", state) for state in states] == ["roll_back", "none", "none", "none"]
    assert [consequence("promotion", state) for state in states] == ["promote", "reject", "hold", "none"]


def test_picks_needed_are_never_under_forty_and_say_nothing_of_wins() -> None:
    assert all(value is None or value >= 40 for row in PICKS_NEEDED.values() for value in row.values())
    assert picks_needed(1, 0.8) == 40
    assert picks_needed(4) == max(PICKS_NEEDED[3][0.7] or 0, PICKS_NEEDED[5][0.7] or 0)
    assert picks_needed(5, 0.6) is None and picks_needed(1000) == picks_needed(150)
    assert (picks_needed(1, k=2) or 0) - (picks_needed(1) or 0) == 14  # ln 3 / 0.0823
    with pytest.raises(ValueError, match="0 raters"):
        picks_needed(0)
    won, lost = (replay(ballots(("a", text * 20))) for text in "wl")
    assert (won.picks_needed, won.more_picks) == (lost.picks_needed, lost.more_picks)
    assert won.more_picks == (picks_needed(1) or 0) - 20


@pytest.mark.parametrize("raters", [1, 5, 20, 150])
def test_deciding_after_each_of_400_picks_is_fast(raters: int) -> None:
    rng = random.Random(raters)
    picks = [ballot(n, rng.choice(("win", "loss")), f"r{rng.randrange(raters)}") for n in range(400)]
    started = time.process_time()
    replay(picks)
    assert time.process_time() - started < 0.4
