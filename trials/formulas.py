"""In: wins and losses of a blind test. Out: e-values of one rater, and what one must reach. Standard library only."""

from __future__ import annotations

import math

ALPHA = 0.05
NEEDED_E = 1 / ALPHA
MIN_PICKS = 40
MAX_PICKS = 400
MIN_RATE = 0.55
MIN_OTHERS = 20
RATER_WAIT_DAYS = 3.0
TRIAL_DAYS = 14.0
# exp() ends at 709.
LARGEST_LOG = 700.0
# Median decisive picks of one rater until E reaches 20, by the true support rate (simulated; the test repeats it).
MEDIAN_PICKS = {0.8: 19, 0.7: 47, 0.6: 210}


def needed_e(k: int) -> float:
    """Return what E must reach for the k-th challenger against the same champion: 10 k (k + 1), 20 for the first.

    1 / needed_e summed over all k is 1/10: by Ville's inequality alone a champion is replaced by chance in at most a
    tenth of all cases, however many challengers come; `python -m bench.gate` prints how often ten of them do it.
    """
    if k < 1:
        raise ValueError(f"the first challenger has k = 1, not {k}")
    return NEEDED_E * k * (k + 1) / 2


def log_beta(wins: int, losses: int) -> float:
    """Return ln B(wins + 1, losses + 1) = ln(w! l! / (n + 1)!)."""
    return math.lgamma(wins + 1) + math.lgamma(losses + 1) - math.lgamma(wins + losses + 2)


def log_e_value(wins: int, losses: int) -> float:
    """Return the natural logarithm of `e_value`, without its end."""
    return (wins + losses) * math.log(2) + log_beta(wins, losses)


def e_value(wins: int, losses: int) -> float:
    """Return E = 2^n w! l! / (n+1)!, correctly rounded: the Bayes factor of a uniform support rate against 1/2.

    Under 1/2 it is a test martingale (Ville's inequality), so E >= 20 happens in at most 5 % of tests, however often
    one looks. It is capped where a float ends.
    """
    n = wins + losses
    try:
        return min((1 << n) / ((n + 1) * math.comb(n, wins)), math.exp(LARGEST_LOG))
    except OverflowError:
        return math.exp(min(log_e_value(wins, losses), LARGEST_LOG))
