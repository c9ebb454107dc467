"""In: wins and losses. Out: intervals of the support rate: of one rater at every look, for a size fixed beforehand.

The interval over several raters is `trials.evidence.Evidence.interval`.
"""

from __future__ import annotations

import math

from scipy.optimize import brentq
from scipy.special import ndtri

from trials.formulas import ALPHA

Interval = tuple[float, float]
_EDGE = 1e-12


def anytime_interval(wins: int, losses: int, alpha: float = ALPHA) -> Interval:
    """Return the support rates p with w! l! / ((n+1)! p^w (1-p)^l) < 1 / alpha.

    It holds at every look at once, and excludes 1/2 exactly when the e-value reaches 1 / alpha.
    """
    n = wins + losses
    if n == 0:
        return (0.0, 1.0)
    limit = -math.log(alpha)
    base = math.lgamma(wins + 1) + math.lgamma(losses + 1) - math.lgamma(n + 2)

    def excess(p: float) -> float:
        return base - wins * math.log(p) - losses * math.log1p(-p) - limit

    best = min(max(wins / n, _EDGE), 1 - _EDGE)
    low = 0.0 if wins == 0 else float(brentq(excess, _EDGE * _EDGE, best, xtol=1e-12))
    high = 1.0 if losses == 0 else float(brentq(excess, best, 1 - 1e-15, xtol=1e-12))
    return (low, high)


def wilson(wins: int, n: int, alpha: float = ALPHA) -> Interval:
    """Return Wilson's score interval for a share of a size fixed beforehand (Wilson 1927)."""
    if n == 0:
        return (0.0, 1.0)
    z = float(ndtri(1 - alpha / 2))
    p = wins / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (max(0.0, middle - half), min(1.0, middle + half))
