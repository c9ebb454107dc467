"""In: how many raters there are. Out: how many decisive picks a decision takes. Says nothing about wins and losses.

`PICKS_NEEDED` is made by simulation: `python -m bench.gate --picks` prints it anew (4,000 tests a cell).
"""

from __future__ import annotations

import math

from trials.formulas import MAX_PICKS, MIN_PICKS, NEEDED_E, needed_e

# Median decisive picks until promotion, by raters (equal shares, their rates 10 points apart in standard deviation) and
# true support rate; None: most tests end undecided after 400 picks.
PICKS_NEEDED: dict[int, dict[float, int | None]] = {
    1: {0.6: 217, 0.7: 53, 0.8: 40},
    2: {0.6: 342, 0.7: 65, 0.8: 45},
    3: {0.6: None, 0.7: 72, 0.8: 40},
    5: {0.6: None, 0.7: 81, 0.8: 40},
    10: {0.6: None, 0.7: 53, 0.8: 40},
    20: {0.6: None, 0.7: 53, 0.8: 40},
    50: {0.6: 226, 0.7: 50, 0.8: 40},
    150: {0.6: 212, 0.7: 53, 0.8: 40},
}


def picks_needed(raters: int, rate: float = 0.7, k: int = 1) -> int | None:
    """Return the decisive picks that a decision takes in the median at a true support rate of 60, 70 or 80 %, or None.

    None: most tests end undecided. Between two numbers of raters in the table: the larger of its values. A later
    challenger needs ln(E / 20) more evidence, at ln 2 + p ln p + (1 - p) ln(1 - p) a pick. Raises ValueError for no
    rater and for another rate.
    """
    if raters < 1 or rate not in PICKS_NEEDED[1]:
        raise ValueError(f"no figure for {raters} raters at a rate of {rate}")
    known = sorted(PICKS_NEEDED)
    below = max(number for number in known if number <= raters)
    above = min((number for number in known if number >= raters), default=below)
    found = [value for number in (below, above) if (value := PICKS_NEEDED[number][rate]) is not None]
    if len(found) < 2:
        return None
    each = math.log(2) + rate * math.log(rate) + (1 - rate) * math.log(1 - rate)
    later = math.ceil(math.log(needed_e(k) / NEEDED_E) / each)
    total = max(found) + later
    return max(MIN_PICKS, total) if total <= MAX_PICKS else None
