"""Fourth step: everything that follows from the events of one interaction, derived anew whenever they change.

Because rows are a pure function of the kept events, the order and the doubles of the log change nothing.
"""

from __future__ import annotations

import msgspec

from contract.events import STAMPED_FIELDS
from processor.steps.batch import Batch, Copy, Known, Row
from processor.steps.describe import candidate_rows, describe, interaction_row
from processor.steps.rows import Evidence
from processor.steps.votes import feedback_row, settle_votes

DERIVED = ("interactions", "candidates", "feedback", "pairs", "demonstrations", "unpaired", "conflicts")


def derive(batch: Batch) -> Batch:
    """Write the rows of every touched interaction that changed."""
    added = [batch.added[table] for table in DERIVED]
    for interaction_key, (before, after) in batch.folded.items():
        new = rows_of(after)
        if before is None:
            for whole, rows in zip(added, new, strict=True):
                if rows:
                    whole.extend(rows)
            continue
        for table, rows, old in zip(DERIVED, new, rows_of(before), strict=True):
            if rows != old:
                if old:
                    batch.gone[table].append(interaction_key)
                batch.added[table].extend(rows)
    return batch


def rows_of(known: Known) -> tuple[list[Row], ...]:
    """Return one interaction's rows, by table in the order of DERIVED; none when all of it is forgotten."""
    if not known.kept:
        return tuple([] for _ in DERIVED)
    description, others = describe(known.kept)
    votes = settle_votes(known.kept, description)
    evidence = Evidence()
    if description is not None:
        for copy, state in votes:
            if state in ("vote", "untrusted"):
                evidence.read(copy, description)
    described = description is not None
    return (
        [interaction_row(known.kept, description)],
        candidate_rows(description) if description else [],
        [feedback_row(copy, state, described) for copy, state in votes],
        evidence.pairs,
        evidence.demonstrations,
        evidence.unpaired,
        _conflicts(known, description.copy.event.event_id if description else "", others),
    )


def _conflicts(known: Known, described_by: str, others: list[Copy]) -> list[Row]:
    rows: list[Row] = []
    if not others and not known.lost:
        return rows
    for copy in sorted(others, key=lambda other: other.order):
        event = copy.event
        detail = f"{event.type} via {event.via} described it too"
        rows.append((
            event.project, copy.interaction_key, event.interaction_id, "description", event.event_id, described_by,
            detail, None,
        ))  # fmt: skip
    kept = {copy.key: copy for copy in known.kept}
    for copy in sorted(known.lost, key=lambda other: (other.key, other.rank)):
        event = copy.event
        rows.append((
            event.project, copy.interaction_key, event.interaction_id, "event", event.event_id, event.event_id,
            f"differs in {', '.join(_differences(copy, kept[copy.key]))}", copy.body,
        ))  # fmt: skip
    return rows


def _differences(one: Copy, other: Copy) -> list[str]:
    left, right = msgspec.to_builtins(one.event), msgspec.to_builtins(other.event)
    names = sorted((left.keys() | right.keys()) - set(STAMPED_FIELDS))
    return [name for name in names if left.get(name) != right.get(name)]
