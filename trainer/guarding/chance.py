"""In: shares and gains measured on a few rows. Out: what chance alone would show, so that no guard blames luck."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import mannwhitneyu, norm

from trials.intervals import wilson


@dataclass(frozen=True)
class Accuracy:
    """How often the adapter's implicit reward orders held-out rows as people did; `rate` is None without rows.

    `right` of `total` comparisons; `rows` of them are independent of each other. `p_below` is how likely so few right
    ones, or fewer, are for an adapter that learnt nothing: comparisons that share a row are counted as one statistic.
    """

    right: float
    total: int
    rows: int = 0
    p_below: float = 1.0

    @property
    def rate(self) -> float | None:
        """Return right / total."""
        return self.right / self.total if self.total else None


def of_pairs(gains: Sequence[tuple[float, float]], groups: Sequence[str]) -> Accuracy:
    """Return the accuracy of pairs, given each one's gain on the chosen and on the rejected side, and its prompt group.

    One statistic a group: the mean of right - 1/2 over its pairs. Under chance it is symmetric about 0, so that their
    sum over the root of the sum of their squares is about standard normal.
    """
    scores = [0.5 if chosen == rejected else float(chosen > rejected) for chosen, rejected in gains]
    by_group: dict[str, list[float]] = defaultdict(list)
    for group, score in zip(groups, scores, strict=True):
        by_group[group].append(score - 0.5)
    means = [sum(found) / len(found) for found in by_group.values()]
    length = math.sqrt(sum(one * one for one in means))
    p_below = float(norm.cdf(sum(means) / length)) if length else 1.0
    return Accuracy(sum(scores), len(scores), len(means), p_below)


def of_thumbs(up: Sequence[float], down: Sequence[float]) -> Accuracy:
    """Return the accuracy of thumbs, given the gains of replies with a thumb up and of those with a thumb down.

    Every up is compared with every down; how far below chance that is, is Mann and Whitney's test (1947), which counts
    rows and not comparisons.
    """
    total = len(up) * len(down)
    if not total:
        return Accuracy(0, 0)
    found = mannwhitneyu(up, down, alternative="less")
    return Accuracy(float(found.statistic), total, len(up) + len(down), float(found.pvalue))


def highest_gain(share: float, base: float, count: int) -> float:
    """Return the upper end of the 95 % interval of share - base, both measured on `count` replies.

    Newcombe 1998, method 10: from Wilson's intervals of the two.
    """
    if not count:
        return 1.0
    upper = wilson(round(share * count), count)[1]
    lower = wilson(round(base * count), count)[0]
    return share - base + math.hypot(upper - share, base - lower)
