"""In: nothing. Out: the rows of the tables that the steps make, one class a table, its fields the table's columns.

This is the one list of columns: the Arrow types (`processor.tables.arrow`), what a query that gives such rows selects
(`processor.tables.selecting`), what is published and what is compared follow from it, and a test compares it with the
SQL that makes the tables. The order of fields is the order in which a row is written down; a field's type says what
its column holds and whether it may be absent. Each class names the function that makes its rows.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

# Sixteen bytes: a key of a foreign id, a digest or a hash.
Uuid = Annotated[bytes, "uuid"]
# Text as the log holds it, in UTF-8.
Utf8 = Annotated[bytes, "text"]
# Microseconds since 1970, UTC.
Time = Annotated[int, "time"]
Long = Annotated[int, "long"]
Texts = Annotated[list[str], "texts"]

# new_row(PairRow, (...)) is PairRow(...) without the named tuple's own constructor, a Python function: with five rows
# an event that took an eighth of the steps' time.
new_row = tuple.__new__


class EventRow(NamedTuple):
    """An event that counts; made by `steps.fold.event_row`."""

    project: str
    interaction_key: Uuid
    event_key: Uuid
    event_id: str
    interaction_id: str
    conversation_id: str | None
    type: str
    actor_id: str
    actor_kind: str
    source: str | None
    labels: Texts | None
    occurred_at: Time
    received_at: Time
    key_id: str
    via: str
    verified: bool
    body: Utf8
    digest: Uuid
    topic: str
    partition: int


class InteractionRow(NamedTuple):
    """An interaction as the description that counts tells it; made by `steps.describe.interaction_row`."""

    project: str
    interaction_key: Uuid
    interaction_id: str
    conversation_id: str | None
    surface: str | None
    source: str | None
    labels: Texts | None
    messages: str | None
    prompt_text: str | None
    prompt_hash: Uuid | None
    described_by: str | None
    via: str | None
    trusted: bool
    truncated: bool
    trial: str | None
    occurred_at: Time
    received_at: Time
    described: bool
    partition: int


class CandidateRow(NamedTuple):
    """A reply as it was shown; made by `steps.describe.candidate_rows`."""

    project: str
    interaction_key: Uuid
    interaction_id: str
    candidate_id: str
    position: int
    content: str | None
    model: str | None
    finish_reason: str | None
    sampling: str | None


class FeedbackRow(NamedTuple):
    """A feedback event with its state; made by `steps.votes.feedback_row`."""

    project: str
    interaction_key: Uuid
    event_key: Uuid
    event_id: str
    interaction_id: str
    type: str
    candidate_id: str | None
    value: str | None
    outcome: str | None
    chosen: str | None
    shown: Texts | None
    reasons: Texts | None
    comment: str | None
    text: str | None
    sent: bool | None
    dwell_ms: Long | None
    actor_id: str
    actor_kind: str
    via: str
    verified: bool
    occurred_at: Time
    received_at: Time
    state: str
    target: str | None
    described: bool
    campaign: str | None


class PairRow(NamedTuple):
    """One reply preferred to another; made by `steps.rows.Evidence`."""

    project: str
    pair_id: Uuid
    interaction_key: Uuid
    interaction_id: str
    event_key: Uuid
    event_id: str
    kind: str
    prompt_hash: Uuid | None
    chosen: str
    rejected: str
    chosen_candidate: str | None
    rejected_candidate: str
    chosen_model: str | None
    rejected_model: str | None
    weight_num: int
    weight_den: int
    truncated_chosen: bool
    truncated_rejected: bool
    actor_id: str
    trainable: bool
    why_not: str | None
    occurred_at: Time
    received_at: Time
    strength: int | None


class DemonstrationRow(NamedTuple):
    """A reply as a person wrote it; made by `steps.rows.Evidence`."""

    project: str
    demonstration_id: Uuid
    interaction_key: Uuid
    interaction_id: str
    event_key: Uuid
    event_id: str
    prompt_hash: Uuid | None
    text: str
    kind: str
    actor_id: str
    trainable: bool
    why_not: str | None
    occurred_at: Time
    received_at: Time


class UnpairedRow(NamedTuple):
    """A reply with a thumb; made by `steps.rows.Evidence`."""

    project: str
    unpaired_id: Uuid
    interaction_key: Uuid
    interaction_id: str
    event_key: Uuid
    event_id: str
    prompt_hash: Uuid | None
    candidate_id: str
    text: str
    label: bool
    model: str | None
    truncated: bool
    actor_id: str
    trainable: bool
    why_not: str | None
    occurred_at: Time
    received_at: Time


class AnswerRow(NamedTuple):
    """One answer of an annotation; made by `steps.answers.answer_rows`."""

    project: str
    interaction_key: Uuid
    interaction_id: str
    event_key: Uuid
    event_id: str
    answer_id: Uuid
    task_id: str | None
    task_version: int
    stage: int
    round: int
    slot: int
    unit: str
    label: str
    label_version: int
    value: str
    actor_id: str
    actor_kind: str
    via: str
    state: str
    suggestion_shown: str
    active_ms: Long | None
    occurred_at: Time
    received_at: Time


class ReviewRow(NamedTuple):
    """What a reviewer or adjudicator decided; made by `steps.answers.review_rows`."""

    project: str
    interaction_key: Uuid
    interaction_id: str
    event_key: Uuid
    event_id: str
    kind: str
    task_id: str
    stage: int
    round: int
    unit: str
    target: str | None
    verdict: str | None
    answers: str
    reasons: Texts | None
    return_to: str | None
    basis: Texts | None
    comment: str | None
    actor_id: str
    actor_kind: str
    via: str
    state: str
    occurred_at: Time
    received_at: Time


class ConflictRow(NamedTuple):
    """A description, or a content of an event, that does not count; made by `steps.derive.conflict_rows`."""

    project: str
    interaction_key: Uuid
    interaction_id: str
    kind: str
    event_id: str
    kept_event_id: str
    detail: str
    body: Utf8 | None


class OverLimitRow(NamedTuple):
    """A content of an event that does not count, since there are too many; made by `steps.limit.over_limit_rows`."""

    project: str
    interaction_key: Uuid
    event_key: Uuid
    event_id: str
    interaction_id: str
    type: str
    actor_id: str
    actor_kind: str
    via: str
    verified: bool
    occurred_at: Time
    received_at: Time
    standing: int
    why: str
    body: Utf8
    digest: Uuid
    partition: int


class RejectedRow(NamedTuple):
    """A record that cannot be interpreted; made by `steps.decode.refusal`, or of what the collector rejected."""

    project: str | None
    topic: str
    partition: int
    offset: Long
    received_at: Time | None
    key_id: str | None
    code: str
    message: str
    event_id: str | None
    raw: bytes | None
    length: Long
    digest: str


class FactRow(NamedTuple):
    """A fact, wish or definition; made by `steps.decode.fact_row`, redacted by `steps.forget.redacted`."""

    project: str
    event_key: Uuid
    event_id: str
    type: str
    subject: str | None
    occurred_at: Time
    received_at: Time
    body: str
    digest: Uuid
    partition: int
    offset: Long

    @property
    def rank(self) -> tuple[int, bytes, int]:
        """Order copies of one fact: received first, smallest digest, first position."""
        return self.received_at, self.digest, self.offset


class TaskItemRow(NamedTuple):
    """An item that entered a task; made by `steps.fold.task_item_rows` of a fact."""

    project: str
    event_key: Uuid
    task_id: str
    item_key: Uuid
    interaction_id: str
    unit: str
    position: int
    received_at: Time


class ForgottenRow(NamedTuple):
    """An event known to be forgotten; made by `steps.decode` from a tombstone, and by `steps.forget`."""

    project: str
    event_key: Uuid
    interaction_key: Uuid
    actor_digest: str
    described: bool


class ErasingRow(NamedTuple):
    """A stretch of the log that is to be erased; made by `processor.privacy.forgetting`, not by a step."""

    topic: str
    partition: int
    start: Long
    stop: Long


ROWS: dict[str, type[NamedTuple]] = {
    "events": EventRow, "interactions": InteractionRow, "candidates": CandidateRow, "feedback": FeedbackRow,
    "pairs": PairRow, "demonstrations": DemonstrationRow, "unpaired": UnpairedRow, "answers": AnswerRow,
    "reviews": ReviewRow, "conflicts": ConflictRow, "over_limit": OverLimitRow, "rejected": RejectedRow,
    "facts": FactRow, "task_items": TaskItemRow, "forgotten": ForgottenRow, "erasing": ErasingRow,
}  # fmt: skip
# Tables whose rows belong to an interaction, and so to its partition.
OF_INTERACTIONS = tuple(table for table, row in ROWS.items() if "interaction_key" in row._fields)
