"""In: the answers of one label. Out: a table of whole numbers that the arithmetic of agreement and reliability reads.

Items, people and values are numbered in sorted order, and rows stand by item, then person: whatever the order in which
the log told the answers, every sum is made in the same order.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from contract.errors import ThumbwheelError

Value = str | int | float
Whole = npt.NDArray[np.int64]
Real = npt.NDArray[np.float64]
# On an item that hundreds answered, each answer is compared with those of the next so many people by name: all pairs
# of 60,000 votes on one item would be two thousand million.
MOST_COMPARED = 100


class Answer(NamedTuple):
    """What one person said of one item. `place`: where on the screen the chosen one stood, 0 first; None: no matter."""

    item: str
    person: str
    value: Value
    place: int | None = None


@dataclass(frozen=True, eq=False)
class AnswerPairs:
    """Two people's answers on one item, as rows of the table; `first` is the person earlier by name. Shape (pairs,)."""

    first: Whole
    second: Whole


@dataclass(frozen=True, eq=False)
class AnswerTable:
    """Answers as whole numbers: `item`, `person`, `value` and `place` (-1: none) of each, shape (answers,).

    `ordered`: the order of `values` was given, or is that of numbers.
    """

    items: tuple[str, ...]
    people: tuple[str, ...]
    values: tuple[Value, ...]
    item: Whole
    person: Whole
    value: Whole
    place: Whole
    ordered: bool

    def __len__(self) -> int:
        """Return the number of answers."""
        return len(self.item)

    def counts(self) -> Whole:
        """Return how often each value was given for each item, shape (items, values)."""
        shape = len(self.items), len(self.values)
        return np.bincount(self.item * shape[1] + self.value, minlength=shape[0] * shape[1]).reshape(shape)

    def pairs(self) -> AnswerPairs:
        """Return every two answers on one item, by different people."""
        first: list[Whole] = []
        second: list[Whole] = []
        for step in range(1, MOST_COMPARED + 1):
            same = np.flatnonzero(self.item[:-step] == self.item[step:])
            if not len(same):
                break
            first.append(same)
            second.append(same + step)
        none: Whole = np.zeros(0, dtype=np.int64)
        return AnswerPairs(np.concatenate([none, *first]), np.concatenate([none, *second]))


def tabulate(answers: Iterable[Answer], values: Sequence[Value] | None = None) -> AnswerTable:
    """Return the answers as a table; `values`: what could be answered, in order, if the label says so.

    Raises `answer_twice` where a person has two answers on one item, `unknown_value` for an answer not among `values`,
    `mixed_values` for text beside numbers, or a number that is none.
    """
    rows = sorted(answers, key=lambda one: (one.item, one.person))
    for before, after in pairwise(rows):
        if before.item == after.item and before.person == after.person:
            raise ThumbwheelError(
                "answer_twice", f"{after.person} has two answers on {after.item}.", "Give the one that counts."
            )
    listed = _values(rows, values)
    items, people = sorted({one.item for one in rows}), sorted({one.person for one in rows})
    return AnswerTable(
        items=tuple(items), people=tuple(people), values=listed,
        item=_numbered([one.item for one in rows], items), person=_numbered([one.person for one in rows], people),
        value=_numbered([one.value for one in rows], listed),
        place=np.array([-1 if one.place is None else one.place for one in rows], dtype=np.int64),
        ordered=values is not None or all(not isinstance(value, str) for value in listed),
    )  # fmt: skip


def _values(rows: Sequence[Answer], values: Sequence[Value] | None) -> tuple[Value, ...]:
    given = {one.value for one in rows}
    texts = sum(isinstance(value, str) for value in given)
    if texts not in (0, len(given)) or any(isinstance(value, float) and not math.isfinite(value) for value in given):
        raise ThumbwheelError(
            "mixed_values", "The answers are not all texts, or not all numbers.", "Compare answers of one label."
        )
    if values is None:
        numbers: list[Any] = list(given)
        return tuple(sorted(numbers))
    if strange := sorted(map(str, given.difference(values))):
        raise ThumbwheelError(
            "unknown_value",
            f"{strange[0]!r} is no answer to this label.",
            "Name every value it ever had.",
        )
    return tuple(values)


def _numbered(given: Sequence[Value], names: Sequence[Value]) -> Whole:
    number = {name: at for at, name in enumerate(names)}
    return np.fromiter((number[one] for one in given), dtype=np.int64, count=len(given))


def summed(at: Whole, figures: npt.ArrayLike, size: int) -> Real:
    """Return the sum of the figures at each of `size` numbers, shape (size,)."""
    return np.bincount(at, figures, size).astype(np.float64, copy=False)
