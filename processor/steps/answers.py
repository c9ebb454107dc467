"""In: the feedback of one interaction with its state. Out: the rows of `answers` and `reviews`.

An annotation holds many answers, and each is replaced alone: its identity is (person, task, stage, round, unit, label).
What is asked of every item stands beside the labels under a name that no label has: `@preference`, `@ranking`,
`@rating`, `@spans`, `@correction`, `@skipped`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from contract.curation.answers import Adjudication, Annotation, Review
from contract.ids import derived_bytes
from processor.rows import AnswerRow, ReviewRow, new_row
from processor.steps.batch import Copy

SKIPPED = "@skipped"
_json = msgspec.json.Encoder(order="sorted")


def values_of(event: Annotation) -> dict[str, Any]:
    """Return what an annotation says, by label path or the name of a question that is no label's."""
    said: dict[str, Any] = dict(event.answers)
    if event.preference is not None:
        said["@preference"] = event.preference
    if event.ranking:
        said["@ranking"] = event.ranking
    if event.rating is not None:
        said["@rating"] = event.rating
    if event.spans:
        said["@spans"] = event.spans
    if event.correction is not None:
        said["@correction"] = event.correction
    if event.skipped is not None:
        said[SKIPPED] = event.skipped
    return said


def unit_of(event: Annotation) -> str:
    """Return what of the interaction is meant; the releases before named a candidate only."""
    return event.unit or event.candidate_id or ""


def answer_voices(event: Annotation, who: str) -> list[tuple[Any, ...]]:
    """Return the identity of each answer; whoever answers has not skipped, so speaks for that too."""
    place = (who, event.type, event.task_id, event.stage, event.round, unit_of(event))
    return [(*place, label) for label in {**values_of(event), SKIPPED: None}]


def speaks_of(event: Annotation, there: Mapping[str, Any]) -> bool:
    """Say whether what an annotation names was shown."""
    unit = unit_of(event)
    if unit and unit not in there:
        ids = sorted(there)
        if not any(unit == f"{one}|{other}" for at, one in enumerate(ids) for other in ids[at + 1 :]):
            return False
    named = [one for group in event.ranking for one in ([group] if isinstance(group, str) else group)]
    named += [span.candidate_id for span in event.spans]
    if event.preference is not None and event.preference.chosen is not None:
        named.append(event.preference.chosen)
    return all(one in there for one in named)


def answer_rows(
    votes: Sequence[tuple[Copy, str]], latest: Mapping[tuple[Any, ...], Copy], who: Mapping[bytes, str]
) -> list[AnswerRow]:
    """Return a row for every answer; `latest` has the event that counts by identity, `who` the person by event."""
    rows: list[AnswerRow] = []
    for copy, state in votes:
        event = copy.event
        if not isinstance(event, Annotation):
            continue
        unit = unit_of(event)
        place = (who[copy.key], event.type, event.task_id, event.stage, event.round, unit)
        for label, value in values_of(event).items():
            standing = state
            if state not in ("retracted", "unmatched") and latest.get((*place, label)) is not copy:
                standing = "superseded"
            rows.append(new_row(AnswerRow, (
                event.project, copy.interaction_key, event.interaction_id, copy.key, event.event_id,
                derived_bytes(str(event.project), event.interaction_id, event.event_id, "answer", label),
                event.task_id, event.task_version, event.stage, event.round, event.slot, unit, label,
                event.label_versions.get(label, 0), _json.encode(value).decode(), event.actor.id, event.actor.kind,
                event.via, standing, event.suggestion_shown, event.active_ms, copy.occurred, copy.received,
            )))  # fmt: skip
    return rows


def review_rows(votes: Sequence[tuple[Copy, str]]) -> list[ReviewRow]:
    """Return the rows of `reviews`: verdicts of reviewers, and what was said where people disagreed."""
    rows: list[ReviewRow] = []
    for copy, state in votes:
        event = copy.event
        if isinstance(event, Review):
            own: tuple[Any, ...] = (
                event.target, event.verdict, event.reasons, event.return_to, None, event.comment,
            )  # fmt: skip
        elif isinstance(event, Adjudication):
            own = (None, None, None, None, event.basis, event.note)
        else:
            continue
        target, verdict, reasons, return_to, basis, comment = own
        rows.append(new_row(ReviewRow, (
            event.project, copy.interaction_key, event.interaction_id, copy.key, event.event_id, event.type,
            event.task_id, event.stage, event.round, event.unit, target, verdict,
            _json.encode(event.answers).decode(), reasons, return_to, basis, comment, event.actor.id,
            event.actor.kind, event.via, state, copy.occurred, copy.received,
        )))  # fmt: skip
    return rows


def labels_that_count(answers: Iterable[AnswerRow]) -> dict[bytes, set[str]]:
    """Return the labels whose answer counts, by event."""
    counting: defaultdict[bytes, set[str]] = defaultdict(set)
    for row in answers:
        if row.state in ("vote", "untrusted"):
            counting[row.event_key].add(row.label)
    return counting


def refused_in_review(answers: Iterable[AnswerRow], reviews: Iterable[ReviewRow]) -> set[bytes]:
    """Return the events that a reviewer rejected or mended: named as the target, or answers of the item and round."""
    against = [row for row in reviews if row.verdict in ("reject", "fix") and row.state in ("vote", "untrusted")]
    named = {row.target for row in against if row.target}
    places = {(row.task_id, row.stage, row.round, row.unit) for row in against if not row.target}
    return {
        row.event_key for row in answers
        if row.event_id in named or (row.task_id, row.stage, row.round, row.unit) in places
    }  # fmt: skip
