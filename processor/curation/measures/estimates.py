"""In: one figure an item, or the figures of samples drawn anew. Out: an estimate whose interval admits to few items.

Intervals are the middle 95 % of what comes when the items are drawn anew, with replacement (Efron 1979: the bootstrap,
percentiles). Items are drawn and not answers, since answers on one item are not independent. Drawn from items that all
say the same, every sample says the same too, and the interval would be a point, however few they are. Then the bound is
by Wilson (1927): of n items without an exception, the share of exceptions may be up to the upper end for 0 of n.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from processor.curation.measures.answers import Real
from trials.intervals import wilson

ALPHA = 0.05
SAMPLES = 1000
# Samples in which a figure is not defined say that it hangs on a few items; beyond this share there is no interval.
_MOST_UNDEFINED = 0.05


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure, the ends of its 95 % interval, and of how many items it is; None: not defined."""

    value: float | None
    low: float | None
    high: float | None
    n: int


def most_exceptions(n: int) -> float:
    """Return the share of exceptions there may be when none was seen among n (Wilson's upper end; 1 for n = 0)."""
    return wilson(0, n, ALPHA)[1]


def of_samples(value: float | None, samples: Real, n: int) -> Estimate:
    """Return the estimate with the percentiles of `samples`, shape (samples,); NaN: not defined in that sample."""
    defined = samples[np.isfinite(samples)]
    if value is None or len(defined) < (1 - _MOST_UNDEFINED) * len(samples) or not len(samples):
        return Estimate(value, None, None, n)
    low, high = np.quantile(defined, [ALPHA / 2, 1 - ALPHA / 2])
    return Estimate(value, min(float(low), value), max(float(high), value), n)


def of_items(figures: Real, lowest: float, highest: float, seed: int) -> Estimate:
    """Return the mean of one figure an item, shape (items,), each between `lowest` and `highest`."""
    n = len(figures)
    if n == 0:
        return Estimate(None, None, None, 0)
    mean = float(figures.mean())
    if figures.min() == figures.max():
        share = most_exceptions(n)
        return Estimate(mean, mean - share * (mean - lowest), mean + share * (highest - mean), n)
    distinct, times = np.unique(figures, return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(n, times / n, size=SAMPLES)
    return of_samples(mean, drawn @ distinct / n, n)
