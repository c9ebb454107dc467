"""In: the answers of one label. Out: what is likely true of each item, and how often each person is right.

One coin (Zhang, Chen, Zhou, Jordan 2016, section 2, after Dawid and Skene 1979): person j is right with p_j, and errs
evenly over the other K - 1 values. EM: the chance of value v on item i is proportional to

    pi_v prod_j p_j^[x_ij = v] ((1 - p_j) / (K - 1))^[x_ij /= v]

then p_j is the mean chance of what j said, with 7 right and 3 wrong answers added, and pi_v the mean chance of v with one
item added. It starts from the skills and weighs copies once (`processor.curation.dependence`). The 10 answers added keep
somebody with three lucky answers from being believed more than everybody else. The interval of p_j is that of
Beta(7 + m p_j, 3 + m (1 - p_j)) with m = n - sum r (1 - r) / (p_j (1 - p_j)), r the chance of what j said: the answers
that the missing truth leaves (Louis 1982, for one person at a time).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv

from contract.errors import ThumbwheelError
from processor.curation.answers import AnswerTable, Real, Value
from processor.curation.dependence import DependentPair, dependence
from processor.curation.estimates import ALPHA, Estimate

RIGHT_BEFORE, WRONG_BEFORE = 7.0, 3.0
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
    """What a model of the crowd says: the consensus, each person by name, and the pairs whose answers count once."""

    consensus: Consensus
    people: tuple[Person, ...]
    pairs: tuple[DependentPair, ...]
    rounds: int


def majority(table: AnswerTable) -> Consensus:
    """Return the share of the answers that each value has; nobody is believed more than others."""
    counts = table.counts()
    return Consensus(table.items, table.values, counts / np.maximum(1, counts.sum(axis=1, keepdims=True)))


def one_coin(table: AnswerTable) -> Reliability:
    """Return the one-coin estimate; raises `one_value` where the label has one value only."""
    _check(table)
    seen = dependence(table)
    size = len(table.values)
    accuracy = np.clip(1 / size + (1 - 1 / size) * seen.skill, 0.05, 0.95)
    chances, answers, rounds = _shares(table, seen.weight), np.bincount(table.person, minlength=len(table.people)), 0
    prior = _prior(chances)
    for rounds in range(1, _ROUNDS + 1):  # noqa: B007
        odds = np.log(accuracy * (size - 1) / (1 - accuracy))
        chances = _normalised(_added(table, seen.weight * odds[table.person]) + np.log(prior))
        right = np.bincount(table.person, chances[table.item, table.value], len(table.people))
        new = (right + RIGHT_BEFORE) / (answers + RIGHT_BEFORE + WRONG_BEFORE)
        moved = float(np.abs(new - accuracy).max(initial=0.0))
        accuracy, prior = new, _prior(chances)
        if moved < _STILL:
            break
    consensus = Consensus(table.items, table.values, chances)
    return Reliability(consensus, _people(table, chances, seen.weight), seen.pairs, rounds)


def dawid_skene(table: AnswerTable) -> Reliability:
    """Return the estimate with a confusion matrix a person (Dawid and Skene 1979), started from one coin.

    A person's row of the matrix for truth v is smoothed by what one coin says of them, worth K answers. `accuracy` is the
    mean of the diagonal under the share of each value. Raises `too_few_answers` where somebody gave fewer than
    LEAST_FOR_CONFUSION, `one_value` as `one_coin` does.
    """
    _check(table)
    answers = np.bincount(table.person, minlength=len(table.people))
    if len(table) and answers.min() < LEAST_FOR_CONFUSION:
        few = table.people[int(answers.argmin())]
        raise ThumbwheelError(
            "too_few_answers", f"{few} gave {answers.min()} answers, of {LEAST_FOR_CONFUSION} needed.", "Use one coin."
        )
    started = one_coin(table)
    weight = dependence(table).weight
    size, people, items = len(table.values), len(table.people), len(table.items)
    coins = np.array([one.accuracy.value for one in started.people], dtype=np.float64)
    before = np.where(np.eye(size, dtype=bool), coins[:, None, None], ((1 - coins) / (size - 1))[:, None, None]) * size
    said, chances, rounds = table.person * size + table.value, started.consensus.chances, 0
    for rounds in range(1, _ROUNDS + 1):  # noqa: B007
        counts = np.stack([np.bincount(said, chances[table.item, v], people * size) for v in range(size)])
        confusion = counts.reshape(size, people, size).transpose(1, 0, 2) + before
        log = np.log(confusion / confusion.sum(axis=2, keepdims=True))
        of_answer = weight[:, None] * log[table.person, :, table.value]
        added = np.stack([np.bincount(table.item, of_answer[:, v], items) for v in range(size)], axis=1)
        new = _normalised(added + np.log(_prior(chances)))
        moved = float(np.abs(new - chances).max(initial=0.0))
        chances = new
        if moved < _STILL:
            break
    consensus = Consensus(table.items, table.values, chances)
    return Reliability(consensus, _people(table, chances, weight), started.pairs, rounds)


def _check(table: AnswerTable) -> None:
    if len(table) and len(table.values) < 2:
        raise ThumbwheelError("one_value", "Nobody said anything else.", "Name the values that the label can have.")


def _shares(table: AnswerTable, weight: Real) -> Real:
    counts = _added(table, weight)
    return counts / counts.sum(axis=1, keepdims=True)


def _added(table: AnswerTable, figures: Real) -> Real:
    """Return the sum of one figure an answer by item and value, shape (items, values)."""
    shape = len(table.items), len(table.values)
    return np.bincount(table.item * shape[1] + table.value, figures, shape[0] * shape[1]).reshape(shape)


def _normalised(logs: Real) -> Real:
    chances = np.exp(logs - logs.max(axis=1, keepdims=True))
    normalised: Real = chances / chances.sum(axis=1, keepdims=True)
    return normalised


def _prior(chances: Real) -> Real:
    items, values = chances.shape
    prior: Real = (chances.sum(axis=0) + _SMOOTHING / values) / (items + _SMOOTHING)
    return prior


def _people(table: AnswerTable, chances: Real, weight: Real) -> tuple[Person, ...]:
    """Return accuracy with its interval, each person by name."""
    people = len(table.people)
    r = chances[table.item, table.value]
    n, right = np.bincount(table.person, minlength=people), np.bincount(table.person, r, people)
    p = (right + RIGHT_BEFORE) / (n + RIGHT_BEFORE + WRONG_BEFORE)
    lost = np.bincount(table.person, weight * r * (1 - r), people) / (p * (1 - p))
    left = np.maximum(0.0, np.bincount(table.person, weight, people) - lost)
    ends = [betaincinv(RIGHT_BEFORE + left * p, WRONG_BEFORE + left * (1 - p), at) for at in (ALPHA / 2, 1 - ALPHA / 2)]
    return tuple(
        Person(name, Estimate(float(value), float(low), float(high), int(count)))
        for name, value, low, high, count in zip(table.people, p, *ends, n, strict=True)
    )
