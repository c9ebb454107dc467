"""In: the answers of one label. Out: what is likely true of each item, and how often each person is right.

One coin (Zhang, Chen, Zhou, Jordan 2016, section 2, after Dawid and Skene 1979): person j is right with p_j, and errs
evenly over the other K - 1 values. EM: the chance of value v on item i is proportional to

    pi_v prod_j p_j^[x_ij = v] ((1 - p_j) / (K - 1))^[x_ij /= v]

then p_j is the mean chance of what j said, with 15 answers added that are right as often as the crowd's are on average,
and pi_v the mean chance of v, with one item added. It starts from the skills, and weighs copies once
(`processor.curation.measures.dependence`). The answers added keep somebody with three lucky ones from being believed
more than everybody else. The interval of p_j is that of Beta(m p_j, m (1 - p_j)), where m = 15 + n - sum r (1 - r) /
(p_j (1 - p_j)) over the n answers of j, r being the chance of what j said: as many answers with the truth known would
tell as much (Louis 1982, the others' accuracies taken as known).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv

from contract.errors import ThumbwheelError
from processor.curation.measures.answers import AnswerTable, Real, Value, summed
from processor.curation.measures.dependence import Dependence, DependentPair, dependence
from processor.curation.measures.estimates import ALPHA, Estimate

# How many answers, right as often as the crowd's, each person is taken to have given beforehand.
BEFORE = 15.0
MOST_JOINT = 1000
# A confusion matrix has K (K - 1) numbers to learn: below this many answers of a person they are noise.
LEAST_FOR_CONFUSION = 30
_ROUNDS, _STILL = 300, 1e-6
_SMOOTHING = 1.0


@dataclass(frozen=True, slots=True)
class Person:
    """How often a person is right, by what the others say; `accuracy.n` is the number of answers."""

    person: str
    accuracy: Estimate


@dataclass(frozen=True, eq=False)
class Consensus:
    """What is likely true: the chance of each value for each item, shape (items, values); each row sums to 1."""

    items: tuple[str, ...]
    values: tuple[Value, ...]
    chances: Real

    def best(self) -> dict[str, tuple[Value, float]]:
        """Return the likeliest value of each item with its chance; of equal ones the first of `values`."""
        at = self.chances.argmax(axis=1)
        top = self.chances[np.arange(len(at)), at].tolist()
        return {item: (self.values[v], p) for item, v, p in zip(self.items, at.tolist(), top, strict=True)}


@dataclass(frozen=True, eq=False)
class Reliability:
    """What a model of the crowd says: the consensus, each person by name, and the pairs whose answers count once.

    `rounds`: of EM, for one coin.
    """

    consensus: Consensus
    people: tuple[Person, ...]
    pairs: tuple[DependentPair, ...]
    rounds: int


def majority(table: AnswerTable) -> Consensus:
    """Return the share of the answers that each value has; nobody is believed more than others."""
    counts = table.counts()
    return Consensus(table.items, table.values, counts / np.maximum(1, counts.sum(axis=1, keepdims=True)))


@dataclass(frozen=True, eq=False)
class _Coins:
    """Where EM came to rest: the chances, shape (items, values), each accuracy, shape (people,), and the crowd's."""

    chances: Real
    accuracy: Real
    crowd: float
    rounds: int


def one_coin(table: AnswerTable) -> Reliability:
    """Return the one-coin estimate; raises `one_value` where the label has one value only."""
    _check(table)
    seen = dependence(table)
    coins = _coins(table, seen)
    return _reliability(table, coins.chances, seen, coins)


def dawid_skene(table: AnswerTable) -> Reliability:
    """Return the estimate with a confusion matrix a person (Dawid and Skene 1979), started from one coin.

    Each row of a matrix has K answers added that say what one coin says. Raises `too_few_answers` where somebody gave
    fewer than LEAST_FOR_CONFUSION, `one_value` as `one_coin` does.
    """
    _check(table)
    answers = np.bincount(table.person, minlength=len(table.people))
    if len(table) and answers.min() < LEAST_FOR_CONFUSION:
        few = table.people[int(answers.argmin())]
        raise ThumbwheelError(
            "too_few_answers", f"{few} gave {answers.min()} answers, of {LEAST_FOR_CONFUSION} needed.", "Use one coin."
        )
    seen = dependence(table)
    coins = _coins(table, seen)
    chances = coins.chances
    for _ in range(_ROUNDS):
        matrices = np.log(_confusion(table, chances, coins.accuracy))
        told = seen.weight[:, None] * matrices[table.person, :, table.value]
        logs = np.stack([summed(table.item, of_value, len(table.items)) for of_value in told.T], axis=1)
        new = _normalised(logs + np.log(_prior(chances)))
        moved = float(np.abs(new - chances).max(initial=0.0))
        chances = new
        if moved < _STILL:
            break
    return _reliability(table, chances, seen, coins)


def _coins(table: AnswerTable, seen: Dependence) -> _Coins:
    size, people = len(table.values), len(table.people)
    accuracy = np.clip(1 / size + (1 - 1 / size) * seen.skill, 0.05, 0.95)
    crowd = _of_crowd(table, accuracy)
    answers = summed(table.person, np.ones(len(table)), people)
    chances = _added(table, seen.weight)
    chances = chances / chances.sum(axis=1, keepdims=True)
    rounds, moved = 0, np.inf
    while rounds < _ROUNDS and moved >= _STILL:
        odds = np.log(accuracy * (size - 1) / (1 - accuracy))
        chances = _normalised(_added(table, seen.weight * odds[table.person]) + np.log(_prior(chances)))
        right = summed(table.person, chances[table.item, table.value], people)
        new = (right + BEFORE * crowd) / (answers + BEFORE)
        moved = float(np.abs(new - accuracy).max(initial=0.0))
        accuracy, rounds = new, rounds + 1
    return _Coins(chances, accuracy, crowd, rounds)


def _confusion(table: AnswerTable, chances: Real, accuracy: Real) -> Real:
    """Return how likely each person says each value where each is true, shape (people, true, said)."""
    size, people = len(table.values), len(table.people)
    said = table.person * size + table.value
    counts = np.stack([summed(said, chances[table.item, v], people * size) for v in range(size)])
    right, wrong = accuracy[:, None, None], ((1 - accuracy) / (size - 1))[:, None, None]
    before = size * np.where(np.eye(size, dtype=bool), right, wrong)
    matrices = counts.reshape(size, people, size).transpose(1, 0, 2) + before
    likely: Real = matrices / matrices.sum(axis=2, keepdims=True)
    return likely


def _reliability(table: AnswerTable, chances: Real, seen: Dependence, coins: _Coins) -> Reliability:
    people = _people(table, chances, seen.weight, coins.crowd)
    return Reliability(Consensus(table.items, table.values, chances), people, seen.pairs, coins.rounds)


def _check(table: AnswerTable) -> None:
    if len(table.values) < 2:
        raise ThumbwheelError(
            "one_value", "The answers hold no two values.", "Name the values that the label can have."
        )


def _of_crowd(table: AnswerTable, accuracy: Real) -> float:
    """Return the mean accuracy of the answers, at least a little better than chance."""
    worst = 1 / len(table.values) if table.values else 0.0
    mean = float(accuracy[table.person].mean()) if len(table) else worst
    return float(np.clip(mean, worst + 0.2 * (1 - worst), 0.95))


def _added(table: AnswerTable, figures: Real) -> Real:
    """Return the sum of one figure an answer by item and value, shape (items, values)."""
    shape = len(table.items), len(table.values)
    added: Real = summed(table.item * shape[1] + table.value, figures, shape[0] * shape[1]).reshape(shape)
    return added


def _normalised(logs: Real) -> Real:
    chances = np.exp(logs - logs.max(axis=1, keepdims=True))
    normalised: Real = chances / chances.sum(axis=1, keepdims=True)
    return normalised


def _prior(chances: Real) -> Real:
    items, values = chances.shape
    prior: Real = (chances.sum(axis=0) + _SMOOTHING / values) / (items + _SMOOTHING)
    return prior


def _people(table: AnswerTable, chances: Real, weight: Real, crowd: float) -> tuple[Person, ...]:
    """Return accuracy with its interval, each person by name."""
    people = len(table.people)
    r = chances[table.item, table.value]
    n = summed(table.person, np.ones(len(table)), people)
    p = (summed(table.person, r, people) + BEFORE * crowd) / (n + BEFORE)
    lost = summed(table.person, weight * r * (1 - r), people) / (p * (1 - p))
    left = BEFORE + np.maximum(0.0, summed(table.person, weight, people) - lost)
    ends = [betaincinv(left * p, left * (1 - p), at) for at in (ALPHA / 2, 1 - ALPHA / 2)]
    return tuple(
        Person(name, Estimate(float(value), float(low), float(high), int(count)))
        for name, value, low, high, count in zip(table.people, p, *ends, n, strict=True)
    )
