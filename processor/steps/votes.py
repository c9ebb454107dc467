"""In: the events of one interaction and its description. Out: the state of each piece of feedback, and its row.

Which counts: one vote per person and kind, the latest wins, a retracted latest leaves no vote.

Latest means by min(occurred_at, received_at), then occurred_at, then event id: decided by the events themselves,
never by their order in the log. Where nobody knows when a vote was given (an import), the time it was received counts.
Rows of an import that name no annotator are each a voice of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from contract.curation.answers import Adjudication, Annotation, Note, Review
from contract.events import Choice, Edit, Interaction, Judgement, Pick, Retract, Thumb
from processor.rows import AnswerRow, FeedbackRow, ReviewRow, new_row
from processor.steps.answers import answer_rows, answer_voices, review_rows, speaks_of
from processor.steps.batch import Copy
from processor.steps.describe import Description

# Who an imported row is by that names nobody, and when it was given, which nobody knows: 1970 (processor.importers).
ANONYMOUS = "import"
UNKNOWN = 0
# Written out where they are asked for, each union would be made anew for every event.
_ON_ONE = (Thumb, Edit)
_PICKS = (Choice, Pick)
_AMONG = (Choice, Pick, Judgement)
_DECISIONS = (Review, Adjudication)
_ANNOTATING = (Annotation, Review, Adjudication)


def settle_votes(kept: Sequence[Copy], description: Description | None) -> list[tuple[Copy, str]]:
    """Return every feedback event of one interaction with its state."""
    feedback = [copy for copy in kept if not isinstance(copy.event, Interaction)]
    taken_back = any([isinstance(copy.event, Retract) for copy in feedback])
    if len(feedback) < 2 and not taken_back:
        return [(copy, _standing(copy.event, description)) for copy in feedback]
    retracted, applied = _retractions(feedback) if taken_back else (set(), set())
    latest = _latest(feedback)
    winners = {copy.key for copy in latest.values()}
    settled = []
    for copy in feedback:
        if isinstance(copy.event, Retract):
            state = "applied" if copy.key in applied else "unmatched"
        elif copy.key in retracted:
            state = "retracted"
        elif copy.key not in winners:
            state = "superseded"
        else:
            state = _standing(copy.event, description)
        settled.append((copy, state))
    return settled


def _latest(feedback: Sequence[Copy]) -> dict[tuple[Any, ...], Copy]:
    """Return the vote that counts by identity; an annotation has several."""
    latest: dict[tuple[Any, ...], Copy] = {}
    for copy in feedback:
        event: Any = copy.event
        if isinstance(event, Retract):
            continue
        for voice in answer_voices(event, person(event)) if isinstance(event, Annotation) else (_voice(event),):
            held = latest.get(voice)
            if held is None or moment(copy) > moment(held):
                latest[voice] = copy
    return latest


def annotated(votes: Sequence[tuple[Copy, str]]) -> tuple[list[AnswerRow], list[ReviewRow]]:
    """Return the rows of `answers` and `reviews` that settled votes make; of most interactions none."""
    if not any([isinstance(copy.event, _ANNOTATING) for copy, _ in votes]):
        return [], []
    own = [copy for copy, _ in votes if isinstance(copy.event, Annotation)]
    return answer_rows(votes, _latest(own), {copy.key: person(copy.event) for copy in own}), review_rows(votes)


def _retractions(feedback: Sequence[Copy]) -> tuple[set[bytes], set[bytes]]:
    """Return the keys of retracted events, and of the retractions that count: the actor's own, or a reviewer's."""
    by_id = {copy.event.event_id: copy for copy in feedback if not isinstance(copy.event, Retract)}
    retracted, applied = set(), set()
    for copy in feedback:
        if isinstance(copy.event, Retract):
            target = by_id.get(copy.event.target.lower())
            if target and (target.event.actor.id == copy.event.actor.id or copy.event.via == "console"):
                retracted.add(target.key)
                applied.add(copy.key)
    return retracted, applied


def person(event: Any) -> str:
    """Return whose vote it is: the actor's; of an imported row that names nobody, nobody else's."""
    who: str = event.event_id if event.actor.id == ANONYMOUS and event.via == "import" else event.actor.id
    return who


def _voice(event: Any) -> tuple[Any, ...]:
    """Return what two votes must share for the later one to replace the earlier."""
    voice = (person(event), event.type)
    if isinstance(event, _ON_ONE):
        return (*voice, event.candidate_id)
    if isinstance(event, _DECISIONS):
        return (*voice, event.task_id, event.stage, event.round, event.unit, getattr(event, "target", None))
    if isinstance(event, Note):
        return (*voice, event.event_id)
    if isinstance(event, Judgement):
        return (*voice, event.judge, tuple(event.shown))
    return voice


def moment(copy: Copy) -> tuple[int, int, str]:
    """Order votes: the latest comes last."""
    given = copy.occurred if copy.occurred != UNKNOWN else copy.received
    return min(given, copy.received), copy.occurred, copy.event.event_id


def _standing(event: Any, description: Description | None) -> str:
    """Return the state of a vote nothing took away: does it speak of what was shown, and may it count?"""
    if description is None:
        return "vote"
    there = description.candidates
    if isinstance(event, _ON_ONE):
        matched = event.candidate_id in there
    elif isinstance(event, _AMONG):
        matched = event.chosen in there if event.chosen else any(shown in there for shown in event.shown)
    elif isinstance(event, Annotation):
        matched = speaks_of(event, there)
    else:
        matched = True
    if not matched:
        return "unmatched"
    return "vote" if description.trusted else "untrusted"


def feedback_row(copy: Copy, state: str, described: bool) -> FeedbackRow:
    """Return the row of `feedback`."""
    event: Any = copy.event
    value: str | None = None
    text, comment, outcome, chosen, shown = None, None, None, None, None
    candidate_id, reasons, sent, dwell_ms, target = None, None, None, None, None
    if isinstance(event, Thumb):
        candidate_id, value, reasons, comment = event.candidate_id, event.value, event.reasons, event.comment
    elif isinstance(event, _PICKS):
        outcome, chosen, shown, comment = event.outcome, event.chosen, event.shown, event.comment
        if isinstance(event, Pick):
            text, sent, dwell_ms = event.edited_text, event.sent, event.dwell_ms
    elif isinstance(event, Edit):
        candidate_id, text = event.candidate_id, event.text
    elif isinstance(event, Retract):
        target = event.target.lower()
    elif isinstance(event, Judgement):
        outcome, chosen, shown, value = event.outcome, event.chosen, event.shown, event.judge
    elif isinstance(event, Annotation):
        candidate_id, value = event.candidate_id, None if event.rating is None else repr(event.rating)
        text, comment, dwell_ms, shown = event.correction, event.comment, event.active_ms, event.shown or None
        if event.preference is not None:
            outcome, chosen = event.preference.outcome, event.preference.chosen
    elif isinstance(event, Review):
        value, comment, reasons, target = event.verdict, event.comment, event.reasons, event.target
    elif isinstance(event, Adjudication):
        comment = event.note
    elif isinstance(event, Note):
        comment, target, value = event.text, event.parent, "resolved" if event.resolved else None
    return new_row(FeedbackRow, (
        event.project, copy.interaction_key, copy.key, event.event_id, event.interaction_id, event.type, candidate_id,
        value, outcome, chosen, shown, reasons, comment, text, sent, dwell_ms, event.actor.id, event.actor.kind,
        event.via, event.verified, copy.occurred, copy.received, state, target, described, event.campaign,
    ))  # fmt: skip
