"""In: the answers of one label and what one coin says of them. Out: what somebody should look at, with the evidence.

How long somebody takes is no evidence, and is not asked for: the careful are slow too. A flag blocks nobody; it says
what was seen, what would have been expected, and how likely that is by chance, over all people looked at (Bonferroni).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import bdtrc

from processor.curation.measures.answers import AnswerTable, Real, Whole
from processor.curation.reliability import Reliability

Kind = Literal["below_chance", "at_chance", "same_choice", "same_place", "copies"]
# Fewer answers than these show nothing of a habit, and of guessing.
LEAST_ANSWERS, LEAST_GUESSES = 20, 30
SAME = 0.9
MOST_BY_CHANCE = 0.001
# Below this, the whole crowd guesses, and nobody stands out for it.
_LEAST_SKILL = 0.1


@dataclass(frozen=True, slots=True)
class Flag:
    """Something seen in one person's answers, or in two people's (`copies`), with what speaks for it.

    | kind | `seen` | `expected` |
    |---|---|---|
    | below_chance | accuracy, all of its interval below chance | chance, 1 / K |
    | at_chance | accuracy, its interval holds chance and ends nearer to it than to the crowd | the crowd's median |
    | same_choice | share of the answers that are `what` | the share it has on these items |
    | same_place | share of the picks that stood at place `what` | the share of that place among the others' picks |
    | copies | share of the shared items on which both say the same | the share that their accuracies explain |

    `n`: answers, or shared items. `by_chance` is None where the interval of an accuracy is the evidence.
    """

    kind: Kind
    people: tuple[str, ...]
    seen: float
    expected: float
    n: int
    by_chance: float | None = None
    what: str | None = None


def conduct(table: AnswerTable, found: Reliability) -> tuple[Flag, ...]:
    """Return the flags, by kind and person."""
    flags = [*_guessing(table, found), *_same_choice(table, found), *_same_place(table)]
    flags += [
        Flag("copies", (p.first, p.second), p.agreed / p.shared, p.explained, p.shared, p.by_chance)
        for p in found.pairs
    ]  # fmt: skip
    return tuple(flags)


def _guessing(table: AnswerTable, found: Reliability) -> list[Flag]:
    """Return who is right less often than guessing would be, or no more often."""
    if not found.people:
        return []
    chance = 1 / len(table.values)
    median = float(np.median([one.accuracy.value or 0.0 for one in found.people]))
    flags, apart = [], _LEAST_SKILL / 2
    for one in found.people:
        value, low, high = one.accuracy.value, one.accuracy.low, one.accuracy.high
        if value is None or low is None or high is None:
            continue
        if high < chance and one.accuracy.n >= LEAST_ANSWERS:
            flags.append(Flag("below_chance", (one.person,), value, chance, one.accuracy.n))
        elif one.accuracy.n >= LEAST_GUESSES and low <= chance and high < (chance + median) / 2 <= median - apart:
            flags.append(Flag("at_chance", (one.person,), value, median, one.accuracy.n))
    return flags


def _same_choice(table: AnswerTable, found: Reliability) -> list[Flag]:
    """Return who gives one answer nearly always, where the items do not ask for it."""
    size, people = len(table.values), len(table.people)
    if not len(table):
        return []
    given = np.bincount(table.person * size + table.value, minlength=people * size).reshape(people, size)
    n, top = given.sum(axis=1), given.argmax(axis=1)
    accuracy = np.array([one.accuracy.value for one in found.people], dtype=np.float64)[table.person]
    true = found.consensus.chances[table.item, top[table.person]]
    likely = accuracy * true + (1 - accuracy) * (1 - true) / max(1, size - 1)
    expected = np.bincount(table.person, likely, people) / n
    seen = given[np.arange(people), top]
    return [
        Flag("same_choice", (table.people[at],), float(seen[at] / n[at]), float(expected[at]), int(n[at]), p,
             str(table.values[top[at]]))
        for at, p in _habits(seen, n, expected)
    ]  # fmt: skip


def _same_place(table: AnswerTable) -> list[Flag]:
    """Return who picks what stands at one place of the screen nearly always, where the others do not."""
    shown = table.place >= 0
    if not shown.any():
        return []
    people, places = len(table.people), int(table.place.max()) + 1
    where = table.person[shown] * places + table.place[shown]
    given = np.bincount(where, minlength=people * places).reshape(people, places)
    n, top = given.sum(axis=1), given.argmax(axis=1)
    others = given.sum(axis=0) - given
    # One more pick at every place keeps a lone person from being measured against nobody.
    expected = (others[np.arange(people), top] + 1) / (others.sum(axis=1) + places)
    seen = given[np.arange(people), top]
    return [
        Flag("same_place", (table.people[at],), float(seen[at] / n[at]), float(expected[at]), int(n[at]), p,
             str(top[at]))
        for at, p in _habits(seen, n, expected)
    ]  # fmt: skip


def _habits(seen: Whole, n: Whole, expected: Real) -> list[tuple[int, float]]:
    """Return who does one thing nearly always, with the chance of so many (binomial, times the number of people)."""
    asked = n >= LEAST_ANSWERS
    by_chance = bdtrc(seen - 1.0, np.maximum(n, 1), np.clip(expected, 0.0, 1.0)) * max(1, int(asked.sum()))
    found = np.flatnonzero(asked & (seen >= SAME * n) & (by_chance <= MOST_BY_CHANCE))
    return [(int(at), float(by_chance[at])) for at in found]
