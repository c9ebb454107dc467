"""In: stretches of text that people marked. Out: how far they marked the same characters, from 0 to 1.

Character F1 = 2 |A n B| / (|A| + |B|), A and B being the code points marked by the one and the other under one label
path of one reply: the harmonic mean of precision and recall, whoever is taken for the truth (Dice 1945). Where neither
marked anything there is nothing to compare: counted as `empty`, since a label that is rarely there would else seem well
agreed on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from contract.curation.answers import Span
from contract.errors import ThumbwheelError
from processor.curation.measures.estimates import Estimate, of_items


@dataclass(frozen=True, slots=True)
class Marked:
    """All that one person marked in one item; nothing at all is an answer too."""

    item: str
    person: str
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class SpanAgreement:
    """The mean over items of F1 over every two people. `empty`: items in which no two had anything to compare."""

    f1: Estimate
    items: int
    compared: int
    empty: int


def character_f1(one: Sequence[Span], other: Sequence[Span]) -> float | None:
    """Return F1 of the characters marked; None where neither marked any. Stretches that overlap count once."""
    first, second = _stretches(one), _stretches(other)
    marked = sum(end - start for of in (first, second) for found in of.values() for start, end in found)
    if not marked:
        return None
    return 2 * sum(_shared(found, second.get(where, [])) for where, found in first.items()) / marked


def span_agreement(answers: Iterable[Marked], *, seed: int = 0) -> SpanAgreement:
    """Return how far people mark the same; raises `answer_twice` where a person marks an item twice."""
    by_item: dict[str, dict[str, tuple[Span, ...]]] = {}
    for one in answers:
        of_item = by_item.setdefault(one.item, {})
        if one.person in of_item:
            raise ThumbwheelError(
                "answer_twice", f"{one.person} has two answers on {one.item}.", "Give the one that counts."
            )
        of_item[one.person] = one.spans
    means, compared = [], 0
    for item in sorted(by_item):
        of_people = [by_item[item][person] for person in sorted(by_item[item])]
        compared += len(of_people) > 1
        shares = [share for a, b in combinations(of_people, 2) if (share := character_f1(a, b)) is not None]
        if shares:
            means.append(sum(shares) / len(shares))
    f1 = of_items(np.array(means, dtype=np.float64), 0.0, 1.0, seed)
    return SpanAgreement(f1, len(by_item), compared, compared - len(means))


def _stretches(spans: Iterable[Span]) -> dict[tuple[str, str], list[tuple[int, int]]]:
    """Return the stretches by label and reply, in order, those that touch or overlap joined."""
    found: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for span in sorted((span for span in spans if span.start < span.end), key=lambda span: span.start):
        of = found[span.path, span.candidate_id]
        if of and span.start <= of[-1][1]:
            of[-1] = (of[-1][0], max(of[-1][1], span.end))
        else:
            of.append((span.start, span.end))
    return found


def _shared(one: Sequence[tuple[int, int]], other: Sequence[tuple[int, int]]) -> int:
    """Return how many code points are in both; each list in order and without overlaps."""
    shared = a = b = 0
    while a < len(one) and b < len(other):
        shared += max(0, min(one[a][1], other[b][1]) - max(one[a][0], other[b][0]))
        if one[a][1] < other[b][1]:
            a += 1
        else:
            b += 1
    return shared
