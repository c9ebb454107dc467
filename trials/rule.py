"""In: the picks of a blind test by rater, and the time. Out: a Decision (running, promote, reject, held): the one rule.

Pure. `look` says what the picks say at one moment; `trials.trial` looks after every pick and keeps the first decision.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from trials.evidence import Counts, Evidence, Stratum, log_numerator, strata_of
from trials.formulas import (
    MAX_PICKS,
    MIN_OTHERS,
    MIN_PICKS,
    MIN_RATE,
    NEEDED_E,
    RATER_WAIT_DAYS,
    TRIAL_DAYS,
    needed_e,
)
from trials.picks import picks_needed

State = Literal["running", "promote", "reject", "held"]
Side = Literal["promote", "reject"]
ReasonKey = Literal[
    "won", "lost", "too_few_picks", "undecided", "gain_too_small", "waiting_for_others", "won_for_one_rater",
    "lost_for_one_rater", "picks_used_up", "time_used_up",
]  # fmt: skip
# 1 counted picks and asked for five raters; raised with every change that could change a decision.
RULE_VERSION = 2
DAY_US = 86_400_000_000
# All candidates were issued for nobody: one rater. A space keeps the name apart from every actor's id.
UNNAMED = "unnamed rater"
# A rate that equals the least one must not fail by a rounding.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Rule:
    """What a decision needs. `k`: this is the k-th challenger against the same champion that got a counted pick."""

    k: int = 1
    min_picks: int = MIN_PICKS
    max_picks: int = MAX_PICKS
    min_rate: float = MIN_RATE
    min_others: int = MIN_OTHERS
    rater_wait_days: float = RATER_WAIT_DAYS
    trial_days: float = TRIAL_DAYS

    @property
    def needed_e(self) -> float:
        """Return 20 for the first challenger, 10 k (k + 1) for the k-th."""
        return needed_e(self.k)


@dataclass
class Tally:
    """The picks that count, by rater, and how many others there are by reason."""

    raters: Mapping[str, Counts] = field(default_factory=dict)
    excluded: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of_one_rater(cls, wins: int, losses: int, name: str = UNNAMED) -> Tally:
        """Return the tally of somebody who decides alone (whose first ten picks then do not matter)."""
        first_wins = min(wins, 10)
        return cls({name: Counts(wins, losses, first_wins, min(losses, 10 - first_wins))} if wins + losses else {})

    @property
    def wins(self) -> int:
        """Return the interactions whose outcome is the challenger."""
        return sum(counts.wins for counts in self.raters.values())

    @property
    def losses(self) -> int:
        """Return the interactions whose outcome is the baseline."""
        return sum(counts.losses for counts in self.raters.values())

    @property
    def ties(self) -> int:
        """Return the interactions without a winner."""
        return sum(counts.ties for counts in self.raters.values())

    @property
    def none(self) -> int:
        """Return the interactions of which no reply was good enough."""
        return sum(counts.none for counts in self.raters.values())

    @property
    def n(self) -> int:
        """Return the decisive picks."""
        return sum(counts.wins + counts.losses for counts in self.raters.values())

    @property
    def rate(self) -> float | None:
        """Return wins / n without weights, or None; what is shown and decided on is the weighted rate."""
        return self.wins / self.n if self.n else None

    @property
    def by_rater(self) -> dict[str, tuple[int, int]]:
        """Return (wins, losses) of each rater with a decisive pick."""
        return {name: (counts.wins, counts.losses) for name, counts in sorted(self.raters.items()) if counts.n}

    @property
    def busiest(self) -> str | None:
        """Return the rater with the most decisive picks (of equals the first by name), or None."""
        return min(self.by_rater, key=lambda name: (-self.raters[name].n, name), default=None)

    @property
    def others(self) -> int:
        """Return the decisive picks of all raters but the busiest."""
        return self.n - self.raters[self.busiest].n if self.busiest is not None else 0

    @property
    def latest_of_others(self) -> int | None:
        """Return when the newest decisive pick of another than the busiest arrived, or None."""
        moments = [c.latest for name, c in self.raters.items() if name != self.busiest and c.latest is not None]
        return max(moments, default=None)


@dataclass(frozen=True)
class Reason:
    """Why, as a key for the pages to word in their language, with the numbers the wording names."""

    key: ReasonKey
    numbers: dict[str, float]


@dataclass(frozen=True)
class Decision:
    """What a blind test says at one moment, and everything it was decided on. Times are microseconds."""

    state: State
    reason: Reason
    wins: int
    losses: int
    ties: int
    none: int
    e_plus: float
    e_minus: float
    needed_e: float
    weighted_rate: float | None
    interval: tuple[float, float]
    by_rater: dict[str, tuple[int, int]]
    strata: tuple[Stratum, ...]
    others: int
    # Decisive picks in all at a true 70 %, for as many raters as there are (`picks_needed`); says nothing of wins.
    picks_needed: int | None
    excluded: dict[str, int]
    decided_at: int | None = None
    rule_version: int = RULE_VERSION

    @property
    def n(self) -> int:
        """Return the decisive picks."""
        return self.wins + self.losses

    @property
    def raters(self) -> int:
        """Return for how many people the result holds."""
        return len(self.by_rater)

    @property
    def more_picks(self) -> int | None:
        """Return how many more picks are needed about; None where a usual test would have ended by now."""
        return self.picks_needed - self.n if self.picks_needed and self.n < self.picks_needed else None

    @property
    def band(self) -> str:
        """Return the band of the weighted rate."""
        return band(self.weighted_rate, self.interval, self.n)


@dataclass(frozen=True)
class Look:
    """What the picks alone say at one moment: which side has won, whether its raters may decide it, and why not."""

    side: Side | None
    settled: bool
    why: ReasonKey


def band(rate: float | None, interval: tuple[float, float], n: int, min_picks: int = MIN_PICKS) -> str:
    """Return the band of a rate: not_enough_data, no_progress, harmful, weak, success or large_gain."""
    if rate is None or n < min_picks:
        return "not_enough_data"
    if interval[0] <= 0.5 <= interval[1]:
        return "no_progress"
    if rate < 0.5:
        return "harmful"
    if rate < 0.7:
        return "weak"
    return "success" if rate <= 0.8 else "large_gain"


def look(tally: Tally, rule: Rule) -> Look:
    """Return what the picks say now.

    A side has won with E (E+ to promote, E- to reject) of at least `needed_e`, 40 decisive picks and, to promote, a
    weighted rate of 55 %. It is settled where only one rater was seen, or with 20 picks of others than the busiest.
    """
    if (n := tally.n) < rule.min_picks:
        return Look(None, False, "too_few_picks")
    needed = math.log(rule.needed_e)
    log_n = log_numerator(tally.raters.values())
    # "Everybody at 1/2" is part of both hypotheses: neither E+ nor E- is above N 2^n.
    if log_n + n * math.log(2) < needed:
        return Look(None, False, "undecided")
    evidence = Evidence(strata_of(tally.raters), log_n)
    side: Side
    if evidence.against_half_or_fewer(needed):
        if (evidence.rate or 0.0) < rule.min_rate - _ROUNDING:
            return Look(None, False, "gain_too_small")
        side = "promote"
    elif evidence.against_half_or_more(needed):
        side = "reject"
    else:
        return Look(None, False, "undecided")
    if 0 < tally.others < rule.min_others:
        return Look(side, False, "waiting_for_others")
    return Look(side, True, "won" if side == "promote" else "lost")


def decide(tally: Tally, rule: Rule) -> Decision:
    """Return what the picks decide, looked at once and without a clock; the caller keeps the first decision."""
    seen = look(tally, rule)
    if seen.settled and seen.side:
        return decision(tally, rule, seen.side, seen.why)
    if tally.n >= rule.max_picks:
        return decision(tally, rule, "held", used_up(seen, "picks_used_up"))
    return decision(tally, rule, "running", seen.why)


def used_up(seen: Look, what: ReasonKey) -> ReasonKey:
    """Return why a test is held when its picks or its time are used up: where one rater has won it, that."""
    if seen.side is None:
        return what
    return "won_for_one_rater" if seen.side == "promote" else "lost_for_one_rater"


def decision(
    tally: Tally, rule: Rule, state: State, why: ReasonKey, decided_at: int | None = None, until: int | None = None
) -> Decision:  # fmt: skip
    """Return the decision with its figures. `until`: when waiting for other raters ends, in microseconds."""
    evidence = Evidence.of(tally.raters)
    numbers: dict[str, float] = {
        "wins": tally.wins, "losses": tally.losses, "n": tally.n, "raters": len(tally.by_rater),
        "e_plus": evidence.e_plus, "e_minus": evidence.e_minus, "needed_e": rule.needed_e,
        "min_picks": rule.min_picks, "max_picks": rule.max_picks, "min_rate": rule.min_rate,
        "others": tally.others, "min_others": rule.min_others, "trial_days": rule.trial_days,
        "rater_wait_days": rule.rater_wait_days,
    }  # fmt: skip
    if (rate := evidence.rate) is not None:
        numbers["rate"] = rate
    if until is not None:
        numbers["until"] = until
    return Decision(
        state=state, reason=Reason(why, numbers), wins=tally.wins, losses=tally.losses, ties=tally.ties,
        none=tally.none, e_plus=evidence.e_plus, e_minus=evidence.e_minus, needed_e=rule.needed_e,
        weighted_rate=rate, interval=evidence.interval(NEEDED_E), by_rater=tally.by_rater, strata=evidence.strata,
        others=tally.others, picks_needed=picks_needed(max(1, len(tally.by_rater)), k=rule.k),
        excluded=dict(sorted(tally.excluded.items())), decided_at=decided_at,
    )  # fmt: skip
