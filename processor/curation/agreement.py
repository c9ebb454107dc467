"""In: the answers of one label. Out: how far people agree beyond chance, over all of them and two by two.

Krippendorff's alpha (Krippendorff 2011, "Computing Krippendorff's alpha-reliability"): 1 - D_o / D_e. With c_uv how
often item u got value v, n_u = sum_v c_uv >= 2, n = sum_u n_u and n_v = sum_u c_uv,

    D_o = 1/n sum_u 1/(n_u - 1) sum_vw c_uv c_uw d(v, w)        D_e = 1/(n (n - 1)) sum_vw n_v n_w d(v, w)

and d = [v != w] (nominal), (v - w)^2 (interval), or (r_v - r_w)^2 (ordinal), r_v being the mean rank of v among all
answers: Krippendorff's sum of n_g over the ranks between v and w, less half of both ends, is their difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from contract.errors import ThumbwheelError
from processor.curation.measures.answers import AnswerTable, Real, Value, Whole
from processor.curation.measures.estimates import SAMPLES, Estimate, most_exceptions, of_samples

Metric = Literal["nominal", "ordinal", "interval"]
MOST_VALUES = 200
# Numbers held at once while samples are drawn: 32 MB.
_AT_ONCE = 4_000_000


@dataclass(frozen=True, slots=True)
class Coverage:
    """Of how many items something can be said: those with two answers or more (`compared`), of all (`items`)."""

    items: int
    compared: int
    answers: int
    compared_answers: int

    @property
    def share(self) -> float:
        """Return compared / items; 0 without items."""
        return self.compared / self.items if self.items else 0.0


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far the people of one label agree.

    `alpha` is None as value where nobody ever said anything else. `share`: of two answers on one item, how often they
    are equal, items weighed by their answers as alpha weighs them. `marginals`: how often each value was given on the
    items compared, those never given left out.
    """

    metric: Metric
    alpha: Estimate
    share: Estimate
    marginals: tuple[tuple[Value, int], ...]
    coverage: Coverage


def coverage_of(table: AnswerTable) -> Coverage:
    """Return of how many items there are two answers or more."""
    each = np.bincount(table.item, minlength=len(table.items))
    several = each[each > 1]
    return Coverage(len(table.items), len(several), len(table), int(several.sum()))


def agreement(table: AnswerTable, metric: Metric = "nominal", *, seed: int = 0, samples: int = SAMPLES) -> Agreement:
    """Return alpha, the raw share, the marginals and the coverage; missing answers are simply not there.

    The same seed gives the same interval. Raises `not_ordered` for texts whose order nobody gave, `not_numbers` where
    `interval` meets texts, `too_many_values` where a label has more values than a choice can have.
    """
    _check(table, metric)
    coverage = coverage_of(table)
    compared = _compared(table)
    kept = np.bincount(table.value[compared[table.item]], minlength=len(table.values))
    marginals = tuple((value, int(n)) for value, n in zip(table.values, kept, strict=True) if n)
    if not coverage.compared:
        nothing = Estimate(None, None, None, 0)
        return Agreement(metric, nothing, nothing, marginals, coverage)
    kinds, kind, counted = np.unique(
        _features(table, metric)[compared], axis=0, return_inverse=True, return_counts=True
    )
    times = counted.astype(np.float64)
    shares, alphas, worst = _figures(kinds, times[None, :], metric)
    share, alpha = float(shares[0]), float(alphas[0]) if len(marginals) > 1 else None
    n = coverage.compared
    if share == 1.0:
        may_be = most_exceptions(n)
        low = None if alpha is None else max(-1.0, 1 - may_be * float(worst[0]))
        whole = Estimate(alpha, low, alpha, n)
        return Agreement(metric, whole, Estimate(share, 1 - may_be, 1.0, n), marginals, coverage)
    drawn_shares, drawn_alphas = _drawn(kinds, kind, metric, np.random.default_rng(seed), samples)
    return Agreement(
        metric, of_samples(alpha, drawn_alphas, n), of_samples(share, drawn_shares, n), marginals, coverage
    )


def _check(table: AnswerTable, metric: Metric) -> None:
    texts = any(isinstance(value, str) for value in table.values)
    if metric == "interval" and texts:
        raise ThumbwheelError("not_numbers", "Distances need numbers.", "Use nominal, or ordinal with an order.")
    if metric == "ordinal" and not table.ordered:
        raise ThumbwheelError("not_ordered", "The order of these values is unknown.", "Give the values in their order.")
    if metric != "interval" and len(table.values) > MOST_VALUES:
        raise ThumbwheelError(
            "too_many_values",
            f"The label has {len(table.values)} values.",
            "Compare numbers by their distance: interval.",
        )


def _compared(table: AnswerTable) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.bincount(table.item, minlength=len(table.items)) > 1


def _features(table: AnswerTable, metric: Metric) -> Real:
    """Return a row an item: n_u, sum_v c_uv^2, then c_uv (nominal, ordinal), or the sums of values and of squares."""
    items = len(table.items)
    cells, times = np.unique(table.item * len(table.values) + table.value, return_counts=True)
    owner = cells // max(1, len(table.values))
    n, equal = np.bincount(owner, times, items), np.bincount(owner, times.astype(np.float64) ** 2, items)
    if metric != "interval":
        return np.column_stack([n, equal, table.counts()])
    numbers = np.array(table.values, dtype=np.float64)
    numbers = numbers - numbers[table.value].mean() if len(table) else numbers
    of_cell = numbers[cells % max(1, len(table.values))]
    return np.column_stack([
        n, equal, np.bincount(owner, times * of_cell, items), np.bincount(owner, times * of_cell**2, items)
    ])  # fmt: skip


def _figures(kinds: Real, times: Real, metric: Metric) -> tuple[Real, Real, Real]:
    """Return raw share, alpha, and the largest d there is as a share of D_e, for each sample of `times`.

    Shapes: `kinds` (kinds, features), `times` (samples, kinds); results (samples,), NaN where D_e is 0.
    """
    n, equal = kinds[:, 0], kinds[:, 1]
    total = times @ n
    differing = times @ ((n * n - equal) / (n - 1))
    if metric == "interval":
        first, second = kinds[:, 2], kinds[:, 3]
        observed = times @ (2 * (n * second - first * first) / (n - 1))
        of_all = 2 * (total * (times @ second) - (times @ first) ** 2)
        means = first / n
        largest = (means.max() - means.min()) ** 2 * np.ones(len(total))
    else:
        observed, of_all, largest = _of_choices(kinds[:, 2:], times, total, metric)
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = of_all / (total * (total - 1))
        expected[of_all <= 1e-9 * largest] = np.nan
        return 1 - differing / total, 1 - observed / total / expected, largest / expected


def _of_choices(counts: Real, times: Real, total: Real, metric: Metric) -> tuple[Real, Real, Real]:
    """Return n D_o, n (n - 1) D_e and the largest d of each sample, shape (samples,)."""
    n = counts.sum(axis=1)
    given = times @ counts
    if metric == "nominal":
        observed = times @ ((n * n - (counts**2).sum(axis=1)) / (n - 1))
        return observed, total * total - (given**2).sum(axis=1), np.ones(len(total))
    ranks = given.cumsum(axis=1) - given / 2
    sums, squares = ranks @ counts.T, (ranks * ranks) @ counts.T
    observed = (times * (2 * (n * squares - sums * sums) / (n - 1))).sum(axis=1)
    of_all = 2 * (total * (given * ranks**2).sum(axis=1) - (given * ranks).sum(axis=1) ** 2)
    there = np.where(given > 0, ranks, np.nan)
    return observed, of_all, (np.nanmax(there, axis=1) - np.nanmin(there, axis=1)) ** 2


def _drawn(kinds: Real, kind: Whole, metric: Metric, generator: np.random.Generator, samples: int) -> tuple[Real, Real]:
    """Return raw share and alpha of samples of items, drawn with replacement; shape (samples,) each.

    Items with equal answers are of one kind; `kind`: that of each item, shape (items,). Where there are few kinds, a
    sample is a draw from their multinomial, else items are drawn one by one, which is then faster.
    """
    items, size = len(kind), len(kinds)
    share = np.bincount(kind, minlength=size) / items
    step = max(1, _AT_ONCE // size)
    found = []
    for at in range(0, samples, step):
        count = min(step, samples - at)
        if size * 10 < items:
            times = generator.multinomial(items, share, size=count)
        else:
            drawn = (kind[generator.integers(items, size=items)] for _ in range(count))
            times = np.stack([np.bincount(one, minlength=size) for one in drawn])
        found.append(_figures(kinds, times.astype(np.float64), metric))
    return np.concatenate([one[0] for one in found]), np.concatenate([one[1] for one in found])
