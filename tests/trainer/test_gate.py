"""The promotion gate: when a blind test is decided, and how often it is wrong."""

from __future__ import annotations

import math
import random

import pytest

from trainer.gate import Evidence, decide, log_e_value, read_evidence


def walk(rate: float, rng: random.Random, k: int = 1) -> tuple[str, int]:
    """Watch one test after every pick; return its decision and when it fell."""
    wins = losses = 0
    while True:
        won = rng.random() < rate
        wins, losses = wins + won, losses + (not won)
        verdict = decide(Evidence(wins, losses, k))
        if verdict.decision != "running":
            return verdict.decision, wins + losses


def test_equal_models_are_promoted_in_under_4_percent_however_often_one_looks() -> None:
    rng = random.Random(1)
    decisions = [walk(0.5, rng)[0] for _ in range(700)]
    assert decisions.count("promote") / 700 < 0.04
    assert (decisions.count("promote") + decisions.count("reject")) / 700 < 0.06
    assert decisions.count("held") / 700 > 0.93


def test_later_challengers_of_one_champion_need_more() -> None:
    rng = random.Random(2)
    wrong = 0
    for _ in range(100):
        wrong += any(walk(0.5, rng, k)[0] == "promote" for k in range(1, 6))
    assert wrong / 100 < 0.08
    assert decide(Evidence(37, 13, k=1)).decision == "promote"
    assert decide(Evidence(37, 13, k=2)).decision == "running"


def test_a_clear_winner_is_promoted_soon_and_a_clear_loser_rejected() -> None:
    rng = random.Random(3)
    stops = sorted(walk(0.8, rng)[1] for _ in range(101))
    assert stops[50] == 40  # E reaches 20 at a median of 19 picks; the gate waits for 40.
    assert sum(walk(0.2, rng)[0] == "reject" for _ in range(50)) == 50


def test_e_is_the_formula_and_reaches_20_as_documented() -> None:
    assert math.exp(log_e_value(3, 1)) == pytest.approx(2**4 * 6 * 1 / 120)
    assert decide(Evidence(0, 8)).decision == "reject"  # 2^8 / 9 = 28
    assert decide(Evidence(8, 0)).decision == "running"  # Under 40 picks nothing is promoted.


def test_a_small_lead_is_not_enough() -> None:
    assert decide(Evidence(215, 185), min_rate=0.55).decision == "held"
    assert decide(Evidence(210, 160), min_rate=0.6).decision == "running"


def test_undecided_after_400_picks_is_held() -> None:
    verdict = decide(Evidence(201, 199))
    assert verdict.decision == "held"
    assert "400 decisive picks" in verdict.reason


@pytest.mark.parametrize(
    ("raters", "low", "decision"),
    [(1, None, "promote"), (3, 0.7, "running"), (5, 0.45, "running"), (5, 0.55, "promote"), (6, None, "running")],
)
def test_several_raters_must_agree_as_a_group(raters: int, low: float | None, decision: str) -> None:
    assert decide(Evidence(50, 14, raters=raters, clustered_low=low)).decision == decision


def test_an_item_of_the_support_api_is_read() -> None:
    item = {"wins": 30, "losses": 10, "k": 2, "raters": 6, "clustered_interval": [0.6, 0.9], "state": "running"}
    assert read_evidence(item) == Evidence(30, 10, 2, 6, 0.6)
    assert read_evidence({"wins": 1, "losses": 0, "raters": 0, "clustered_interval": None}) == Evidence(
        1, 0, 1, 0, None
    )
