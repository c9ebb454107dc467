"""In: the rows that the votes of one interaction make. Out: the same, of which one trains where several judge alike.

Who judges the same two replies, or the same one, says one thing about them: what most say trains once, and the share of
those who say it is asked of the rows (`processor.queries.pairs`). A tie trains nothing. Which of the rows trains is
decided by the events: the one received first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from processor.rows import PairRow, UnpairedRow

R = TypeVar("R", PairRow, UnpairedRow)
# Why a row does not train that is a judgement all the same.
OUTVOTED, AGREEING, TIED = "outvoted", "agreeing", "tied"


def agree_on_pairs(rows: Sequence[PairRow]) -> list[PairRow]:
    """Return the pairs; judgements of the same two replies are one. An edit is compared with nothing."""
    return _agreed(rows, _replies, lambda row: row.chosen_candidate)


def agree_on_thumbs(rows: Sequence[UnpairedRow]) -> list[UnpairedRow]:
    """Return the thumbs; judgements of the same reply are one."""
    return _agreed(rows, lambda row: row.candidate_id, lambda row: row.label)


def _replies(row: PairRow) -> tuple[str, ...] | None:
    if row.chosen_candidate is None:
        return None
    return tuple(sorted((row.chosen_candidate, row.rejected_candidate)))


def _agreed(rows: Sequence[R], about: Callable[[R], Any], said: Callable[[R], Any]) -> list[R]:
    # Rows of one event are about different replies: nearly always there is nothing to agree on.
    if len(rows) < 2 or all(row.event_id == rows[0].event_id for row in rows):
        return list(rows)
    groups: dict[Any, list[int]] = {}
    for at, row in enumerate(rows):
        if row.trainable and (subject := about(row)) is not None:
            groups.setdefault(subject, []).append(at)
    found = list(rows)
    for places in groups.values():
        if len(places) > 1:
            for at, why_not in _barred([rows[at] for at in places], places, said):
                found[at] = rows[at]._replace(trainable=False, why_not=rows[at].why_not or why_not)
    return found


def _barred(rows: Sequence[R], places: Sequence[int], said: Callable[[R], Any]) -> list[tuple[int, str]]:
    """Return which of the rows about one subject do not train, and why."""
    sides: dict[Any, list[int]] = {}
    for row, at in zip(rows, places, strict=True):
        sides.setdefault(said(row), []).append(at)
    most = max(len(side) for side in sides.values())
    if sum(len(side) == most for side in sides.values()) > 1:
        return [(at, TIED) for at in places]
    first = min(zip(rows, places, strict=True), key=lambda pair: (len(sides[said(pair[0])]) < most, _order(pair[0])))
    return [
        (at, AGREEING if len(sides[said(row)]) == most else OUTVOTED)
        for row, at in zip(rows, places, strict=True)
        if at != first[1]
    ]


def _order(row: R) -> tuple[int, str]:
    return row.received_at, row.event_id
