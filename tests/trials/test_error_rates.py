"""How often the promotion rule is wrong when it is looked at after every pick, and how soon it is right."""

from __future__ import annotations

import random

import pytest

from trials.rule import Rule, State, Tally, decide


def walk(rate: float, rng: random.Random, k: int = 1) -> tuple[State, int]:
    """Watch one test of one rater after every pick; return its decision and when it fell."""
    tally, rule = Tally(), Rule(k)
    while True:
        won = rng.random() < rate
        tally.wins, tally.losses = tally.wins + won, tally.losses + (not won)
        if (state := decide(tally, rule)) != "running":
            return state, tally.n


def test_equal_models_are_promoted_in_under_4_percent_however_often_one_looks() -> None:
    rng = random.Random(1)
    decisions = [walk(0.5, rng)[0] for _ in range(700)]
    assert decisions.count("promote") / 700 < 0.04
    assert (decisions.count("promote") + decisions.count("reject")) / 700 < 0.06
    assert decisions.count("held") / 700 > 0.93


def test_later_challengers_of_one_champion_need_more() -> None:
    rng = random.Random(2)
    wrong = sum(any(walk(0.5, rng, k)[0] == "promote" for k in range(1, 6)) for _ in range(100))
    assert wrong / 100 < 0.08
    assert decide(Tally(37, 13), Rule(k=1)) == "promote"
    assert decide(Tally(37, 13), Rule(k=2)) == "running"


def test_a_clear_winner_is_promoted_soon_and_a_clear_loser_rejected() -> None:
    rng = random.Random(3)
    stops = sorted(walk(0.8, rng)[1] for _ in range(101))
    assert stops[50] == 40  # E reaches 20 at a median of 19 picks; the rule waits for 40.
    assert sum(walk(0.2, rng)[0] == "reject" for _ in range(50)) == 50


def test_few_picks_reject_but_do_not_promote() -> None:
    assert decide(Tally(0, 8), Rule()) == "reject"  # 2^8 / 9 = 28
    assert decide(Tally(8, 0), Rule()) == "running"


def test_a_small_lead_is_not_enough() -> None:
    assert decide(Tally(215, 185), Rule(min_rate=0.55)) == "held"
    assert decide(Tally(210, 160), Rule(min_rate=0.6)) == "running"


def test_undecided_after_400_picks_is_held() -> None:
    assert decide(Tally(201, 199), Rule()) == "held"
    assert decide(Tally(200, 199), Rule()) == "running"


@pytest.mark.parametrize(("raters", "state"), [
    ([(50, 14)], "promote"), ([(17, 5), (17, 5), (16, 4)], "running"),
    ([(40, 0), (3, 4), (3, 4), (2, 3), (2, 3)], "running"), ([(10, 3)] * 4 + [(10, 2)], "promote"),
])  # fmt: skip
def test_several_raters_must_agree_as_a_group(raters: list[tuple[int, int]], state: str) -> None:
    wins, losses = (sum(column) for column in zip(*raters, strict=True))
    by_rater = {f"rater-{number}": counts for number, counts in enumerate(raters)}
    assert decide(Tally(wins, losses, by_rater=by_rater), Rule()) == state
