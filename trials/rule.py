"""In: the counts of a blind test. Out: its state (running, promote, reject, held) and band: the one promotion rule."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from trials.formulas import MAX_PICKS, MIN_PICKS, MIN_RATE, MIN_RATERS, NEEDED_E, log_e_value
from trials.intervals import anytime_interval, clustered_interval

State = Literal["running", "promote", "reject", "held"]


@dataclass(frozen=True)
class Rule:
    """What a promotion needs. `k`: this is the k-th challenger against the same champion."""

    k: int = 1
    min_picks: int = MIN_PICKS
    max_picks: int = MAX_PICKS
    min_rate: float = MIN_RATE
    min_raters: int = MIN_RATERS

    @property
    def needed_e(self) -> float:
        """Return 20 k^2: the sum of 1 / (20 k^2) over all challengers stays below 9 %."""
        return NEEDED_E * self.k**2


@dataclass
class Tally:
    """The counts of a test up to its decision, or up to now."""

    wins: int = 0
    losses: int = 0
    ties: int = 0
    none: int = 0
    by_rater: dict[str, tuple[int, int]] = field(default_factory=dict)
    state: State = "running"
    decided_at: int | None = None

    @property
    def n(self) -> int:
        """Return the decisive picks."""
        return self.wins + self.losses

    @property
    def rate(self) -> float | None:
        """Return the support rate, or None without a decisive pick."""
        return self.wins / self.n if self.n else None


def band(wins: int, losses: int, min_picks: int = MIN_PICKS) -> str:
    """Return the band of w / n: not_enough_data, no_progress, harmful, weak, success or large_gain."""
    n = wins + losses
    if n < min_picks:
        return "not_enough_data"
    low, high = anytime_interval(wins, losses)
    if low <= 0.5 <= high:
        return "no_progress"
    rate = wins / n
    if rate < 0.5:
        return "harmful"
    if rate < 0.7:
        return "weak"
    return "success" if rate <= 0.8 else "large_gain"


def decide(tally: Tally, rule: Rule) -> State:
    """Return what the counts decide, looked at after each vote; the caller keeps the first decision.

    Promote: E >= 20 k^2, w > l, n >= 40, w / n >= the minimal rate and, with several raters, at least five of them and
    their clustered interval above 1/2. Reject: E >= 20 k^2 and w < l. Held: undecided after 400 decisive picks.
    """
    if log_e_value(tally.wins, tally.losses) >= math.log(rule.needed_e):
        if tally.wins < tally.losses:
            return "reject"
        enough = tally.n >= rule.min_picks and tally.wins >= rule.min_rate * tally.n
        if enough and raters_agree(tally, rule):
            return "promote"
    return "held" if tally.n >= rule.max_picks else "running"


def raters_agree(tally: Tally, rule: Rule) -> bool:
    """Say whether these raters may carry the result: one alone, or five and more with an interval above 1/2."""
    if len(tally.by_rater) < 2:
        return True
    interval = clustered_interval(tally.by_rater)
    return len(tally.by_rater) >= rule.min_raters and interval is not None and interval[0] > 0.5
