"""In: decisive picks by rater. Out: E+ and E- over raters, the weighted rate, its anytime interval. Standard library.

The hypothesis is about people, not picks: "the raters, each weighed by at most ten picks, prefer the challenger in half
of all cases or fewer" (E+ speaks against it), "... in half or more" (E- does). Raters with fewer than ten decisive
picks form one stratum, every other rater one of its own; stratum s weighs v_s = sum over its raters of min(n_r, 10),
scaled to 1.

    E+ = N / max { prod_s eta_s^w_s (1 - eta_s)^l_s : sum_s v_s eta_s <= 1/2 }      (E-: >= 1/2)
    N  = [B(W+1, L+1) + B(W_p+1, L_p+1) prod_{n_r > 10} B(w_r+1, l_r+1) / B(a_r+1, b_r+1)] / 2

W, L: all wins and losses; a_r, b_r: those among a rater's first ten; W_p, L_p: the sums of these over all raters. The
place of a pick in N is fixed when it arrives, so N is a predictive probability and E an e-value at each look
(universal inference: Wasserman, Ramdas, Balakrishnan 2020; pooled unequal raters: Hoeffding 1956). Under peeking it is
simulated, not proven: `python -m bench.gate`. For one rater with more wins than losses E+ is 2^n w! l! / (n+1)!.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from trials.formulas import LARGEST_LOG, NEEDED_E, e_value, log_beta

FIRST = 10
# Halvings of a bracket of at most 2^10: beyond the last digit of a double.
HALVINGS = 64


@dataclass
class Counts:
    """The picks of one rater that count. `first_wins`, `first_losses`: of the first ten decisive ones."""

    wins: int = 0
    losses: int = 0
    first_wins: int = 0
    first_losses: int = 0
    ties: int = 0
    none: int = 0
    # When the newest decisive pick arrived, in microseconds.
    latest: int | None = None

    @property
    def n(self) -> int:
        """Return the decisive picks."""
        return self.wins + self.losses

    @property
    def picks(self) -> int:
        """Return all picks, ties and "none" too."""
        return self.wins + self.losses + self.ties + self.none

    @property
    def rate(self) -> float | None:
        """Return wins / n, or None without a decisive pick."""
        return self.wins / self.n if self.n else None


@dataclass(frozen=True)
class Stratum:
    """Raters who are taken as one: a single rater with ten picks or more, or all those with fewer."""

    raters: tuple[str, ...]
    wins: int
    losses: int
    weight: float

    @property
    def rate(self) -> float:
        """Return the share of wins."""
        return self.wins / (self.wins + self.losses)


def strata_of(raters: Mapping[str, Counts]) -> tuple[Stratum, ...]:
    """Return the strata: the pooled one first, where there is one, then each rater with ten picks by name."""
    pooled: list[str] = []
    pooled_wins = pooled_losses = total = 0
    alone: list[tuple[str, int, int]] = []
    for name, counts in raters.items():
        n = counts.wins + counts.losses
        if n >= FIRST:
            alone.append((name, counts.wins, counts.losses))
            total += FIRST
        elif n:
            pooled.append(name)
            pooled_wins += counts.wins
            pooled_losses += counts.losses
            total += n
    found = [Stratum((name,), wins, losses, FIRST / total) for name, wins, losses in sorted(alone)]
    if pooled:
        weight = (pooled_wins + pooled_losses) / total
        found.insert(0, Stratum(tuple(sorted(pooled)), pooled_wins, pooled_losses, weight))
    return tuple(found)


def log_numerator(raters: Iterable[Counts]) -> float:
    """Return ln N."""
    wins = losses = first_wins = first_losses = 0
    own = 0.0
    for counts in raters:
        wins += counts.wins
        losses += counts.losses
        first_wins += counts.first_wins
        first_losses += counts.first_losses
        if counts.wins + counts.losses > FIRST:
            own += log_beta(counts.wins, counts.losses) - log_beta(counts.first_wins, counts.first_losses)
    one, other = log_beta(wins, losses), log_beta(first_wins, first_losses) + own
    most = max(one, other)
    return most + math.log((math.exp(one - most) + math.exp(other - most)) / 2)


@dataclass(frozen=True)
class Evidence:
    """What the picks say about these raters at one look."""

    strata: tuple[Stratum, ...]
    log_n: float

    @classmethod
    def of(cls, raters: Mapping[str, Counts]) -> Evidence:
        """Return the evidence of these raters' picks."""
        return cls(strata_of(raters), log_numerator(raters.values()))

    @property
    def rate(self) -> float | None:
        """Return the weighted rate sum v_s w_s / n_s, or None without a decisive pick."""
        return sum(s.weight * s.rate for s in self.strata) if self.strata else None

    @property
    def log_e_plus(self) -> float:
        """Return ln E+, against "half or fewer"."""
        return self.log_n - log_most(self.strata) if self.strata else 0.0

    @property
    def log_e_minus(self) -> float:
        """Return ln E-, against "half or more"."""
        return self.log_n - log_most(_swapped(self.strata)) if self.strata else 0.0

    def against_half_or_fewer(self, log_e: float) -> bool:
        """Say whether ln E+ is at least `log_e`."""
        return most_is_within(self.strata, self.log_n - log_e)

    def against_half_or_more(self, log_e: float) -> bool:
        """Say whether ln E- is at least `log_e`."""
        return most_is_within(_swapped(self.strata), self.log_n - log_e)

    @property
    def e_plus(self) -> float:
        """Return E+; with one stratum and more wins than losses correctly rounded."""
        return self._exactly(self.strata, self.log_e_plus)

    @property
    def e_minus(self) -> float:
        """Return E-; with one stratum and more losses than wins correctly rounded."""
        return self._exactly(_swapped(self.strata), self.log_e_minus)

    @staticmethod
    def _exactly(strata: tuple[Stratum, ...], log_e: float) -> float:
        if len(strata) == 1 and strata[0].wins >= strata[0].losses:
            return e_value(strata[0].wins, strata[0].losses)
        return math.exp(min(log_e, LARGEST_LOG))

    def interval(self, limit: float = NEEDED_E) -> tuple[float, float]:
        """Return {m : E(m) < limit}, E(m) being E with the hypothesis "the weighted mean is m"; (0, 1) without picks.

        It holds at every look at once, as far as E does.
        """
        if not self.strata:
            return (0.0, 1.0)
        least = self.log_n - math.log(limit)
        return (_low_end(self.strata, least), 1.0 - _low_end(_swapped(self.strata), least))


def log_most(strata: tuple[Stratum, ...], mean: float = 0.5) -> float:
    """Return the largest log likelihood of rates eta_s with sum v_s eta_s <= mean.

    It is concave, so one multiplier decides: eta_s(m) solves w/eta - l/(1 - eta) = m v, and falls as m rises.
    """
    here, best = _at(strata, 0.0)
    if here <= mean:
        return best
    if len(strata) == 1:
        return _log_likelihood(strata[0].wins, strata[0].losses, mean)
    # eta_s <= w_s / (m v_s), so the mean is at most W / m.
    high = sum(s.wins for s in strata) / mean
    multiplier = _halve(lambda m: _at(strata, m)[0] > mean, high)
    return _at(strata, multiplier)[1]


def most_is_within(strata: tuple[Stratum, ...], limit: float, mean: float = 0.5) -> bool:
    """Say whether `log_most` is at most `limit`, without halving to the last digit where bounds already tell.

    Every multiplier bounds it from above (the Lagrangian), and those that meet the condition from below.
    """
    here, best = _at(strata, 0.0)
    if here <= mean:
        return best <= limit
    low, high = 0.0, sum(s.wins for s in strata) / mean
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        here, found = _at(strata, middle)
        if found - middle * (here - mean) <= limit:
            return True
        if here > mean:
            low = middle
            continue
        if found > limit:
            return False
        high = middle
    return log_most(strata, mean) <= limit


def _swapped(strata: tuple[Stratum, ...]) -> tuple[Stratum, ...]:
    return tuple(Stratum(s.raters, s.losses, s.wins, s.weight) for s in strata)


def _low_end(strata: tuple[Stratum, ...], least: float) -> float:
    """Return the smallest mean whose largest log likelihood is above `least`."""
    if not any(s.wins for s in strata):
        return 0.0
    high = 1.0
    while _at(strata, high)[1] > least:
        high *= 2
    return _at(strata, _halve(lambda m: _at(strata, m)[1] > least, high))[0]


def _halve(below: Callable[[float], bool], high: float) -> float:
    """Return where `below` stops being true, between 0 and high."""
    low = 0.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if below(middle):
            low = middle
        else:
            high = middle
    return high


def _at(strata: tuple[Stratum, ...], multiplier: float) -> tuple[float, float]:
    """Return (sum v_s eta_s, log likelihood) of the rates that belong to a multiplier of at least 0."""
    mean = total = 0.0
    for s in strata:
        n, pull = s.wins + s.losses, multiplier * s.weight
        # The smaller root of pull eta^2 - (n + pull) eta + w = 0, in the form that loses no digits.
        eta = 2 * s.wins / (n + pull + math.sqrt((n - pull) ** 2 + 4 * pull * s.losses))
        mean += s.weight * eta
        total += _log_likelihood(s.wins, s.losses, eta)
    return mean, total


def _log_likelihood(wins: int, losses: int, rate: float) -> float:
    found = wins * math.log(rate) if wins else 0.0
    return found + losses * math.log1p(-rate) if losses else found
