"""In: how many raters there are. Out: how many decisive picks a decision takes. Says nothing about wins and losses.

`PICKS_NEEDED` is made by simulation: `python -m bench.gate --picks` prints it anew (20,000 tests a cell).
"""

from __future__ import annotations

import math

from trials.formulas import MIN_PICKS, NEEDED_E, needed_e

# Median decisive picks until promotion, by raters (equal shares, their rates 10 points apart in standard deviation) and
# true support rate; None: most tests end undecided after 400 picks.
PICKS_NEEDED: dict[int, dict[float, int | None]] = {
    1: {0.6: 212, 0.7: 49, 0.8: 40},
}


def picks_needed(raters: int, rate: float = 0.7, k: int = 1) -> int:
    """Return the decisive picks that a decision takes in the median at a true support rate of 60, 70 or 80 %.

    Between two numbers of raters in the table: the larger of its values. A later challenger needs ln(E / 20) more
    evidence, at ln 2 + p ln p + (1 - p) ln(1 - p) a pick. Raises ValueError for no rater and for another rate.
    """
    if raters < 1 or rate not in PICKS_NEEDED[1]:
        raise ValueError(f"no figure for {raters} raters at a rate of {rate}")
    known = sorted(PICKS_NEEDED)
    below = max(number for number in known if number <= raters)
    above = min((number for number in known if number >= raters), default=below)
    found = [PICKS_NEEDED[number][rate] for number in (below, above)]
    each = math.log(2) + rate * math.log(rate) + (1 - rate) * math.log(1 - rate)
    later = math.ceil(math.log(needed_e(k) / NEEDED_E) / each)
    return max(MIN_PICKS, max(value for value in found if value is not None) + later)
