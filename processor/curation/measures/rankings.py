"""In: rankings of replies, ties allowed. Out: how far people rank alike, from -1 (reversed) to 1.

Kendall's tau-b (Kendall 1945): over all pairs of replies that both ranked, (C - D) / sqrt((N - T) (N - U)), with C
pairs in the same order, D in reverse order, N all pairs, T and U those tied in the one and in the other ranking.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from contract.errors import ThumbwheelError
from processor.curation.measures.estimates import Estimate, of_items

# Places from the best to the worst; replies that share one are tied, and stand in a list. As an annotation holds it.
Ranking = Sequence[str | Sequence[str]]


@dataclass(frozen=True, slots=True)
class Ranked:
    """One person's ranking of the replies of one item."""

    item: str
    person: str
    ranking: Ranking


@dataclass(frozen=True, slots=True)
class RankAgreement:
    """The mean over items of tau-b over every two people. `tau.n`: how many items it is of.

    `undefined`: items that two or more ranked, but no two of them with an order that can be compared (all tied).
    """

    tau: Estimate
    items: int
    compared: int
    undefined: int


def places(ranking: Ranking) -> dict[str, int]:
    """Return the place of each reply, 0 for the best; raises `ranked_twice` where a reply stands on two."""
    found: dict[str, int] = {}
    for at, tied in enumerate(ranking):
        for candidate in [tied] if isinstance(tied, str) else tied:
            if candidate in found:
                raise ThumbwheelError("ranked_twice", f"{candidate} is ranked twice.", "Name each reply once.")
            found[candidate] = at
    return found


def tau_b(one: Ranking, other: Ranking) -> float | None:
    """Return tau-b over the replies that both rank; None where either has all of them tied, or fewer than two."""
    first, second = places(one), places(other)
    signs = [
        (_sign(first[a] - first[b]), _sign(second[a] - second[b]))
        for a, b in combinations(sorted(first.keys() & second.keys()), 2)
    ]
    untied = sum(a != 0 for a, _ in signs) * sum(b != 0 for _, b in signs)
    return sum(a * b for a, b in signs) / math.sqrt(untied) if untied else None


def rank_agreement(rankings: Iterable[Ranked], *, seed: int = 0) -> RankAgreement:
    """Return how far people rank alike; raises `answer_twice` where a person ranks an item twice."""
    by_item: dict[str, dict[str, Ranking]] = {}
    for one in rankings:
        of_item = by_item.setdefault(one.item, {})
        if one.person in of_item:
            raise ThumbwheelError(
                "answer_twice", f"{one.person} has two answers on {one.item}.", "Give the one that counts."
            )
        of_item[one.person] = one.ranking
    means, compared = [], 0
    for item in sorted(by_item):
        of_people = [by_item[item][person] for person in sorted(by_item[item])]
        compared += len(of_people) > 1
        taus = [tau for one, other in combinations(of_people, 2) if (tau := tau_b(one, other)) is not None]
        if taus:
            means.append(sum(taus) / len(taus))
    figures = np.array(means, dtype=np.float64)
    return RankAgreement(of_items(figures, -1.0, 1.0, seed), len(by_item), compared, compared - len(means))


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)
