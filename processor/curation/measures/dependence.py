"""In: the answers of one label. Out: who agrees with whom more often than their accuracies explain.

Two people who answer independently, are right with p_a and p_b, and err evenly over the other K - 1 values agree on

    A_ab = 1/K + (1 - 1/K) s_a s_b,    s = (p - 1/K) / (1 - 1/K)

of their shared items, whatever the share of each value: the table of agreements has rank one but for its diagonal
(Ghosh, Kale, McAfee 2011; Zhang, Chen, Zhou, Jordan 2016). The skills s are fitted to it by least squares, an entry
weighed by its shared items. A pair is then compared with what the skills say that each of the two showed with everybody
else, so that copying cannot explain itself; pairs found are left out and the skills fitted anew.

The majority, and any estimate that starts from it, believes two who copy each other: on an item with five answers they
need one more of three. No prior on accuracies mends that, which is why copies are looked for first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from processor.curation.measures.answers import AnswerPairs, AnswerTable, Real, Whole, summed

Flags = npt.NDArray[np.bool_]
# Fewer shared items than these show nothing.
LEAST_SHARED = 20
# How much more often than explained counts: honest people also agree a little more on easy items, and a little less on
# hard ones. And how unlikely it must be by chance, over all pairs compared (Bonferroni).
LEAST_EXCESS = 0.15
MOST_BY_CHANCE = 0.001
# Pairs of people read: of more, those with the most shared items.
MOST_PAIRS = 100_000
# What is known of a skill before anything is seen: the crowd's mean, give or take this.
_SPREAD = 0.2
_FITS, _ROUNDS, _STARTS, _STILL = 10, 30, 3, 1e-3


@dataclass(frozen=True, slots=True)
class DependentPair:
    """Two people who agreed on `agreed` of `shared` items, where their accuracies explain the share `explained`.

    `by_chance`: how likely so much agreement, or more, is for independent people, times the number of pairs compared.
    """

    first: str
    second: str
    shared: int
    agreed: int
    explained: float
    by_chance: float


@dataclass(frozen=True, eq=False)
class Dependence:
    """The pairs found; the skill of each person, shape (people,); and what each answer weighs, shape (answers,).

    An answer weighs 1 / (1 + m) where m people found to agree too much with its author answered the same item: together
    they say one thing.
    """

    pairs: tuple[DependentPair, ...]
    skill: Real
    weight: Real


@dataclass(frozen=True, eq=False)
class _Agreements:
    """The pairs of people who share items: who, on how many, and their agreement beyond chance; shape (pairs,)."""

    people: int
    first: Whole
    second: Whole
    shared: Real
    agreed: Real
    beyond: Real
    key: Whole


def dependence(table: AnswerTable) -> Dependence:
    """Return who depends on whom, the skills, and the weights that make copies count once."""
    values = max(2, len(table.values))
    rows = table.pairs()
    seen = _agreements(table, rows, values)
    apart = np.zeros(len(seen.key), dtype=bool)
    skill, found = _fitted(seen, apart, values), apart
    for _ in range(_FITS):
        excess, by_chance = _unexplained(seen, skill, apart, values)
        found = (excess >= LEAST_EXCESS) & (by_chance <= MOST_BY_CHANCE)
        if not (found & ~apart).any():
            break
        apart = apart | found
        skill = _fitted(seen, apart, values)
    excess, by_chance = _unexplained(seen, skill, apart, values)
    pairs = tuple(
        DependentPair(
            table.people[seen.first[at]], table.people[seen.second[at]], int(seen.shared[at]), int(seen.agreed[at]),
            float(seen.agreed[at] / seen.shared[at] - excess[at]), float(min(1.0, by_chance[at])),
        )
        for at in np.flatnonzero(apart)
    )  # fmt: skip
    return Dependence(pairs, skill, _weights(table, rows, seen.key[apart]))


def _agreements(table: AnswerTable, rows: AnswerPairs, values: int) -> _Agreements:
    people = len(table.people)
    keys, at = np.unique(table.person[rows.first] * people + table.person[rows.second], return_inverse=True)
    shared = summed(at, np.ones(len(at)), len(keys))
    agreed = summed(at, table.value[rows.first] == table.value[rows.second], len(keys))
    if len(keys) > MOST_PAIRS:
        most = np.sort(np.argsort(-shared, kind="stable")[:MOST_PAIRS])
        keys, shared, agreed = keys[most], shared[most], agreed[most]
    beyond = (agreed / shared - 1 / values) / (1 - 1 / values)
    return _Agreements(people, keys // people, keys % people, shared, agreed, beyond, keys)


def _spread(values: int) -> float:
    """Return the most that the agreement on one item, beyond chance, can vary."""
    return 0.25 / (1 - 1 / values) ** 2


def _prior(values: int) -> float:
    """Return how many times (shared items x skill^2) what is known beforehand is worth."""
    return _spread(values) / _SPREAD**2


def _sums(seen: _Agreements, skill: Real, shared: Real) -> tuple[Real, Real]:
    """Return sum n c s and sum n s^2 over the partners of each person, shape (people,), n being `shared`."""
    one, other = skill[seen.first], skill[seen.second]
    both = shared * seen.beyond
    up = summed(seen.first, both * other, seen.people) + summed(seen.second, both * one, seen.people)
    down = summed(seen.first, shared * other**2, seen.people)
    return up, down + summed(seen.second, shared * one**2, seen.people)


def _fitted(seen: _Agreements, apart: Flags, values: int) -> Real:
    """Return the skills that fit the agreements best, shape (people,), pairs `apart` left out.

    The loss of an entry is ln(1 + z^2), z being its distance in standard deviations (Cauchy): an entry that fits
    nothing does not bend the rest. Such a fit has more than one resting place, so it starts from all pairs and, one by
    one, from all pairs but each of the few that agree the most.
    """
    shared = np.where(apart, 0.0, seen.shared)
    surprise = np.where(shared >= LEAST_SHARED, seen.beyond * np.sqrt(shared), 0.0)
    starts = [shared]
    for at in np.argsort(-surprise, kind="stable")[:_STARTS]:
        if surprise[at] > 0:
            starts.append(np.where(np.arange(len(shared)) == at, 0.0, shared))
    mean = float((shared * seen.beyond).sum() / shared.sum()) if shared.any() else 0.25
    even = np.full(seen.people, np.sqrt(max(mean, 0.01)))
    spread = _spread(values)
    best, least = even, np.inf
    for start in starts:
        skill = _settled(seen, even, lambda _, start=start: start)  # type: ignore[misc]
        skill = _settled(seen, skill, lambda now: shared / (1 + _distance(seen, now, shared) / spread))
        loss = float(np.log1p(_distance(seen, skill, shared) / spread).sum())
        if loss < least - 1e-6:
            best, least = skill, loss
    return best


def _distance(seen: _Agreements, skill: Real, shared: Real) -> Real:
    """Return n (c - s s)^2 of each pair."""
    return shared * (seen.beyond - skill[seen.first] * skill[seen.second]) ** 2


def _settled(seen: _Agreements, skill: Real, weigh: Callable[[Real], Real]) -> Real:
    """Return the skills after least squares, weighed anew in each round, no longer move them."""
    middle = skill
    for _ in range(_ROUNDS):
        up, down = _sums(seen, skill, weigh(skill))
        new = np.clip((up + middle) / (down + 1.0), -1.0, 1.0)
        moved = float(np.abs(new - skill).max(initial=0.0))
        skill = (skill + new) / 2
        if moved < _STILL:
            break
    return skill


def _unexplained(seen: _Agreements, skill: Real, apart: Flags, values: int) -> tuple[Real, Real]:
    """Return by how much the agreement of each pair exceeds what is explained, and the chance of that; (pairs,).

    The skills used are those that each of the two shows with others; where there is less of that than of what was known
    beforehand, nothing can be said (0, 1).
    """
    own = np.where(apart, 0.0, seen.shared)
    own = own / (1 + _distance(seen, skill, own) / _spread(values))
    up, down = _sums(seen, skill, own)
    known, mean = _prior(values), float(skill.mean()) if len(skill) else 0.0
    of: list[tuple[Real, Real]] = []
    for me, partner in ((seen.first, seen.second), (seen.second, seen.first)):
        without = down[me] - own * skill[partner] ** 2
        skilled = np.clip((up[me] - own * seen.beyond * skill[partner] + known * mean) / (without + known), 0.0, 1.0)
        of.append((skilled, without))
    (one, known_one), (other, known_other) = of
    explained = 1 / values + (1 - 1 / values) * one * other
    unsure = _SPREAD**2 * known * (other**2 / (known_one + known) + one**2 / (known_other + known))
    spread = explained * (1 - explained) / seen.shared + (1 - 1 / values) ** 2 * unsure
    excess = seen.agreed / seen.shared - explained
    enough = (seen.shared >= LEAST_SHARED) & (np.minimum(known_one, known_other) >= known)
    by_chance = ndtr(-excess / np.sqrt(np.maximum(spread, 1e-12))) * max(1, int(enough.sum()))
    return np.where(enough, excess, 0.0), np.where(enough, by_chance, 1.0)


def _weights(table: AnswerTable, rows: AnswerPairs, keys: Whole) -> Real:
    people = len(table.people)
    linked = np.isin(table.person[rows.first] * people + table.person[rows.second], keys)
    others = np.bincount(rows.first[linked], minlength=len(table))
    return 1 / (1 + others + np.bincount(rows.second[linked], minlength=len(table)))
