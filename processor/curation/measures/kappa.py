"""In: the answers of one label. Out: for every two people who share items, how far they agree beyond chance.

Cohen's kappa (Cohen 1960; weighted: Cohen 1968): with p_vw the share of their shared items on which one said v and the
other w, and a_vw how much v and w agree, kappa = (sum p_vw a_vw - e) / (1 - e), e = sum p_v. p_.w a_vw. a_vw is [v = w]
(nominal), 1 - d (linear) or 1 - d^2 (quadratic), d = |v - w| / (V - 1) between their places among the label's V values.
Its standard error is that of Fleiss, Cohen and Everitt (1969), for many items: below about 30 shared ones the interval
is too narrow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import ndtri

from contract.errors import ThumbwheelError
from processor.curation.measures.answers import AnswerTable, Real
from processor.curation.measures.estimates import ALPHA, Estimate, most_exceptions

Weights = Literal["nominal", "linear", "quadratic"]


@dataclass(frozen=True, slots=True)
class PairAgreement:
    """How two people agree on the items that both answered. `share`: on how many of them they said the same.

    `kappa.value` is None where both always gave one and the same answer.
    """

    first: str
    second: str
    shared: int
    share: float
    kappa: Estimate


def kappa_by_pair(
    table: AnswerTable, weights: Weights = "nominal", *, least_shared: int = 1
) -> tuple[PairAgreement, ...]:
    """Return kappa of every two people with at least `least_shared` items in common, by name.

    Raises `not_ordered` where weights need an order of the values and nobody gave it.
    """
    if weights != "nominal" and not table.ordered:
        raise ThumbwheelError("not_ordered", "The order of these values is unknown.", "Give the values in their order.")
    pairs = table.pairs()
    if not len(pairs.first):
        return ()
    people, size = len(table.people), len(table.values)
    who = table.person[pairs.first] * people + table.person[pairs.second]
    said = table.value[pairs.first] * size + table.value[pairs.second]
    order = np.argsort(who, kind="stable")
    names, starts = np.unique(who[order], return_index=True)
    agree = _agreeing(size, weights)
    found = []
    for name, cells in zip(names.tolist(), np.split(said[order], starts[1:]), strict=True):
        if len(cells) >= least_shared:
            joint = np.bincount(cells, minlength=size * size).reshape(size, size) / len(cells)
            first, second = table.people[name // people], table.people[name % people]
            kappa = _kappa(joint, agree, len(cells))
            found.append(PairAgreement(first, second, len(cells), float(np.trace(joint)), kappa))
    return tuple(found)


def _agreeing(size: int, weights: Weights) -> Real:
    """Return a_vw, shape (size, size)."""
    if weights == "nominal" or size < 2:
        return np.eye(size)
    places = np.arange(size)
    apart = np.abs(places[:, None] - places[None, :]) / (size - 1)
    agree: Real = 1 - (apart if weights == "linear" else apart**2)
    return agree


def _kappa(joint: Real, agree: Real, n: int) -> Estimate:
    """Return kappa of a table of shares with its interval; `joint` and `agree` of shape (values, values)."""
    rows, columns = joint.sum(axis=1), joint.sum(axis=0)
    expected = float(rows @ agree @ columns)
    if math.isclose(expected, 1.0, abs_tol=1e-12):
        return Estimate(None, None, None, n)
    observed = float((joint * agree).sum())
    kappa = (observed - expected) / (1 - expected)
    if np.trace(joint) > 1 - 1e-12:
        return Estimate(1.0, max(-1.0, 1 - most_exceptions(n) / (1 - expected)), 1.0, n)
    by_row, by_column = agree @ columns, rows @ agree
    inner = agree - (by_row[:, None] + by_column[None, :]) * (1 - kappa)
    variance = float((joint * inner**2).sum()) - (kappa - expected * (1 - kappa)) ** 2
    half = float(ndtri(1 - ALPHA / 2)) * math.sqrt(max(0.0, variance) / n) / (1 - expected)
    return Estimate(kappa, max(-1.0, kappa - half), min(1.0, kappa + half), n)
