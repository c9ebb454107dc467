"""In: a batch of settled items and how many of them a person checks. Out: the risk of that plan, the draw, the verdict.

Of N items D are faulty; n are drawn without replacement, and the batch is rejected when more than c of them are faulty.
It is accepted with the chance P(X <= c), X hypergeometric (N, D, n): the operating curve (Dodge and Romig 1929). Where
N is large, that is nearly the binomial: n = 50, c = 2 lets a batch with 8 % faults pass 23 % of the time; of 400 items
it is 21 %.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

from contract.errors import ThumbwheelError
from processor.curation.measures.answers import Real
from processor.curation.measures.estimates import ALPHA

Outcome = Literal["accept", "reject", "open"]


@dataclass(frozen=True, slots=True)
class Plan:
    """Check `sample` of `population` items, and reject the batch when more than `reject_above` are faulty."""

    population: int
    sample: int
    reject_above: int

    def __post_init__(self) -> None:
        """Refuse a plan that can only accept, or that draws more than there is."""
        if not 0 < self.sample <= self.population:
            raise ThumbwheelError(
                "bad_plan",
                f"{self.sample} items cannot be drawn of {self.population}.",
                "Draw at least 1, at most all.",
            )
        if not 0 <= self.reject_above < self.sample:
            raise ThumbwheelError(
                "bad_plan", f"More than {self.reject_above} faults of {self.sample} cannot be found.",
                "Reject above a number between 0 and the sample less 1.",
            )  # fmt: skip


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """How often a batch with `faults` faulty items, a share of all, is accepted."""

    faults: int
    share: float
    accepted: float


@dataclass(frozen=True, slots=True)
class Draw:
    """Which items are checked, in the order of the draw; the digest of the population says of what they were drawn."""

    plan: Plan
    seed: str
    population_digest: str
    sample: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check found. `low`, `high`: how many faulty items the whole population may hold (95 %, exact).

    `open` until the verdict can no longer change, whatever the rest of the sample holds.
    """

    outcome: Outcome
    checked: int
    faults: int
    low: int
    high: int


def chance_accepted(plan: Plan, faults: int) -> float:
    """Return how often a batch with so many faulty items is accepted; raises `bad_plan` where there are fewer items."""
    if not 0 <= faults <= plan.population:
        raise ThumbwheelError("bad_plan", f"{faults} of {plan.population} cannot be faulty.", "Count faulty items.")
    return _accepted(plan.population, faults, plan.sample, plan.reject_above)


def operating_curve(plan: Plan, points: int = 50) -> tuple[CurvePoint, ...]:
    """Return the curve from no faults on, about evenly, up to where a batch is accepted one time in a thousand."""
    lowest = _first(plan.population, lambda faults: chance_accepted(plan, faults) <= 0.001)
    steps = np.unique(np.linspace(0, lowest, min(points, lowest + 1)).round().astype(int)).tolist()
    return tuple(CurvePoint(at, at / plan.population, chance_accepted(plan, at)) for at in steps)


def choose_plan(
    population: int, *, good_share: float, producer_risk: float, bad_share: float, consumer_risk: float
) -> Plan:
    """Return the smallest sample that keeps both promises.

    A batch with at most `good_share` of faults is rejected at most `producer_risk` of the time, one with `bad_share` or
    more accepted at most `consumer_risk` of the time. Raises `bad_plan` where good and bad are equally many items.
    """
    good = int(round(population * good_share, 6) // 1)
    bad = -int(-round(population * bad_share, 6) // 1)
    risks = 0 < producer_risk < 1 and 0 < consumer_risk < 1
    if not (0 <= good < bad <= population and risks):
        raise ThumbwheelError(
            "bad_plan", f"{good} faults are to be good and {bad} to be bad, of {population} items.",
            "Set the two shares further apart, below 1, and the risks between 0 and 1.",
        )  # fmt: skip
    for most in range(good + 1):
        sample = _first(population, lambda n: n > most and _accepted(population, bad, n, most) <= consumer_risk)  # noqa: B023
        if _accepted(population, good, sample, most) >= 1 - producer_risk:
            break
    return Plan(population, sample, most)


def draw(population: Iterable[str], plan: Plan, seed: str) -> Draw:
    """Return the sample: the first items by the SHA-256 of ["seed","digest of the population","id"] in JSON.

    The digest is the SHA-256 of all ids, sorted, as a JSON list without spaces. A larger plan only draws on.
    Whoever knows these draws the same, in any language, in whatever order the items are told; another seed, or one item
    more, draws anew. Raises `bad_population` where items are named twice or are not as many as the plan says.
    """
    items = sorted(population)
    if len(set(items)) != len(items) or len(items) != plan.population:
        raise ThumbwheelError(
            "bad_population", f"{len(set(items))} items are there, the plan is for {plan.population}.",
            "Name each item once, and make the plan for that many.",
        )  # fmt: skip
    digest = hashlib.sha256(_bytes(items)).hexdigest()
    before = hashlib.sha256(_bytes([seed, digest])[:-1] + b",")
    order = sorted((_continued(before, item), item) for item in items)
    return Draw(plan, seed, digest, tuple(item for _, item in order[: plan.sample]))


def verdict(drawn: Draw, faulty: Mapping[str, bool]) -> Verdict:
    """Return the verdict on a batch of whose sample `faulty` says what was found, item by item.

    Raises `not_in_sample` for an item that was not drawn: what somebody happened to look at proves nothing.
    """
    if strange := sorted(faulty.keys() - set(drawn.sample)):
        raise ThumbwheelError("not_in_sample", f"{strange[0]} was not drawn.", "Judge the items of the sample.")
    plan, faults, checked = drawn.plan, sum(faulty.values()), len(faulty)
    if faults > plan.reject_above:
        outcome: Outcome = "reject"
    else:
        outcome = "accept" if faults + plan.sample - checked <= plan.reject_above else "open"
    low, high = faults_within(plan.population, checked, faults)
    return Verdict(outcome, checked, faults, low, high)


def faults_within(population: int, checked: int, faults: int) -> tuple[int, int]:
    """Return the fewest and the most faulty items there may be (95 %; hypergeometric tails: Buonaccorsi 1987)."""
    least, most = faults, population - checked + faults
    low = _first(most, lambda n: n >= least and _accepted(population, n, checked, faults - 1) < 1 - ALPHA / 2)
    gone = _first(most + 1, lambda n: n > most or _accepted(population, n, checked, faults) <= ALPHA / 2)
    return low, max(low, gone - 1)


def _accepted(population: int, faults: int, sample: int, most: int) -> float:
    """Return P(X <= most); a sum of at most `most` + 1 terms, each by logarithms of factorials."""
    found = np.arange(max(0, sample - (population - faults)), min(most, faults, sample) + 1)
    if not len(found):
        return 0.0
    if most >= min(faults, sample):
        return 1.0
    logs = _ways(faults, found) + _ways(population - faults, sample - found) - _ways(population, sample)
    return min(1.0, float(np.exp(logs).sum()))


def _ways(n: int, k: npt.ArrayLike) -> Real:
    """Return ln of n over k."""
    of = np.asarray(k, dtype=np.float64)
    ways: Real = gammaln(n + 1.0) - gammaln(of + 1) - gammaln(n - of + 1)
    return ways


def _first(last: int, holds: Callable[[int], bool]) -> int:
    """Return the first number from 0 on for which it holds, `last` if for none before; once it holds, it stays so."""
    low, high = 0, last
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low


def _continued(before: hashlib._Hash, item: str) -> bytes:
    """Return the digest of the JSON list that `before` began, with the item as its last element."""
    whole = before.copy()
    whole.update(json.dumps(item).encode() + b"]")
    return whole.digest()


def _bytes(value: list[str]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
