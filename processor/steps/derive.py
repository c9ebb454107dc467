"""Fourth step. In: folded interactions. Out: the changes of all that is derived from their events.

Because rows are a pure function of the kept events, the order and the doubles of the log change nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from contract.events import STAMPED_FIELDS
from processor.rows import (
    AnswerRow,
    CandidateRow,
    ConflictRow,
    DemonstrationRow,
    FeedbackRow,
    InteractionRow,
    PairRow,
    ReviewRow,
    UnpairedRow,
    new_row,
)  # fmt: skip
from processor.steps.answers import labels_that_count, refused_in_review
from processor.steps.batch import Changes, Copy, Key, Known
from processor.steps.consensus import agree_on_pairs, agree_on_thumbs
from processor.steps.describe import candidate_rows, describe, interaction_row
from processor.steps.rows import Evidence
from processor.steps.votes import annotated, feedback_row, settle_votes


class Derived(NamedTuple):
    """The rows of one interaction, a field a table; made by the function in the comment."""

    interactions: Sequence[InteractionRow]  # describe.interaction_row
    candidates: Sequence[CandidateRow]  # describe.candidate_rows
    feedback: Sequence[FeedbackRow]  # votes.feedback_row
    pairs: Sequence[PairRow]  # rows.Evidence, consensus.agree_on_pairs
    demonstrations: Sequence[DemonstrationRow]  # rows.Evidence
    unpaired: Sequence[UnpairedRow]  # rows.Evidence, consensus.agree_on_thumbs
    answers: Sequence[AnswerRow]  # answers.answer_rows
    reviews: Sequence[ReviewRow]  # answers.review_rows
    conflicts: Sequence[ConflictRow]  # conflict_rows


_NONE = Derived([], [], [], [], [], [], [], [], [])


def derive(interactions: Mapping[Key, tuple[Known | None, Known]]) -> Changes:
    """Return the changes of every folded interaction, by table."""
    added: dict[str, list[Any]] = {table: [] for table in Derived._fields}
    gone: dict[str, list[Key]] = {table: [] for table in Derived._fields}
    whole = list(added.values())
    for interaction_key, (before, after) in interactions.items():
        if before is not None and _counting(before) == _counting(after):
            continue
        new = rows_of(after)
        if before is None:
            for found, rows in zip(whole, new, strict=True):
                if rows:
                    found.extend(rows)
            continue
        for table, rows, old in zip(Derived._fields, new, rows_of(before), strict=True):
            if rows != old:
                if old:
                    gone[table].append(interaction_key)
                added[table].extend(rows)
    return Changes(added, gone)


def _counting(known: Known) -> list[bytes]:
    """Return digests of all that rows follow from: equal ones make no other rows."""
    return [copy.digest for copy in (*known.kept, *known.lost)]


def rows_of(known: Known) -> Derived:
    """Return one interaction's rows; none when all of it is forgotten."""
    if not known.kept:
        return _NONE
    description, others = describe(known.kept)
    votes = settle_votes(known.kept, description)
    evidence = Evidence()
    answers, reviews = annotated(votes)
    if description is not None:
        counting, refused = (
            (labels_that_count(answers), refused_in_review(answers, reviews)) if answers else ({}, set())
        )
        for copy, state in votes:
            if state in ("vote", "untrusted"):
                evidence.read(copy, description, counting.get(copy.key, frozenset()), copy.key in refused)
    described = description is not None
    return new_row(Derived, (
        [interaction_row(known.kept, description)],
        candidate_rows(description) if description else [],
        [feedback_row(copy, state, described) for copy, state in votes],
        agree_on_pairs(evidence.pairs),
        evidence.demonstrations,
        agree_on_thumbs(evidence.unpaired),
        answers,
        reviews,
        conflict_rows(known, description.copy.event.event_id if description else "", others),
    ))  # fmt: skip


def conflict_rows(known: Known, described_by: str, others: list[Copy]) -> list[ConflictRow]:
    """Return the rows of `conflicts`: descriptions, and contents of an event, that do not count."""
    rows: list[ConflictRow] = []
    if not others and not known.lost:
        return rows
    for copy in sorted(others, key=lambda other: other.order):
        event: Any = copy.event
        detail = f"{event.type} via {event.via} described it too"
        rows.append(ConflictRow(
            event.project, copy.interaction_key, event.interaction_id, "description", event.event_id, described_by,
            detail, None,
        ))  # fmt: skip
    kept = {copy.key: copy for copy in known.kept}
    for copy in sorted(known.lost, key=lambda other: (other.key, other.rank)):
        event = copy.event
        rows.append(ConflictRow(
            event.project, copy.interaction_key, event.interaction_id, "event", event.event_id, event.event_id,
            f"differs in {', '.join(_differences(copy, kept[copy.key]))}", copy.body,
        ))  # fmt: skip
    return rows


def _differences(one: Copy, other: Copy) -> list[str]:
    left, right = msgspec.to_builtins(one.event), msgspec.to_builtins(other.event)
    names = sorted((left.keys() | right.keys()) - set(STAMPED_FIELDS))
    return [name for name in names if left.get(name) != right.get(name)]
