"""In: wins and losses of a blind test. Out: its e-value, and what one must reach. Standard library only."""

from __future__ import annotations

import math

ALPHA = 0.05
NEEDED_E = 1 / ALPHA
MIN_PICKS = 40
MAX_PICKS = 400
MIN_RATE = 0.55
MIN_RATERS = 5
# Median decisive picks until E reaches 20, by the true support rate (simulated; the test repeats it).
MEDIAN_PICKS = {0.8: 19, 0.7: 47, 0.6: 210}


def log_e_value(wins: int, losses: int) -> float:
    """Return the natural logarithm of `e_value`."""
    n = wins + losses
    return n * math.log(2) + math.lgamma(wins + 1) + math.lgamma(losses + 1) - math.lgamma(n + 2)


def e_value(wins: int, losses: int) -> float:
    """Return E = 2^n w! l! / (n+1)!: the Bayes factor of a uniform support rate against 1/2.

    Under 1/2 it is a test martingale (Ville's inequality), so E >= 20 happens in at most 5 % of tests, however often
    one looks. The logarithm is capped where a float ends.
    """
    return math.exp(min(log_e_value(wins, losses), 700.0))
