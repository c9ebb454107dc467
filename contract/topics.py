"""The three topics, and which events go to which."""

from __future__ import annotations

from zlib import crc32

EVENTS = "thumbwheel.events.v1"
REJECTED = "thumbwheel.rejected.v1"
RUNS = "thumbwheel.runs.v1"
TOPICS = (EVENTS, REJECTED, RUNS)

FEEDBACK_TYPES = frozenset({
    "thumb", "choice", "pick", "edit", "retract", "annotation", "judgement", "review", "adjudication", "note",
})  # fmt: skip
# An annotation under a public key is a user's: of no task, see collector.access.
PUBLIC_TYPES = frozenset({"thumb", "choice", "pick", "edit", "retract", "annotation"})
SECRET_TYPES = PUBLIC_TYPES | {"interaction"}

# 30 days: a rejected event is evidence for a person, not data.
REJECTED_RETENTION_MS = 30 * 24 * 3600 * 1000


def topic_for(event_type: str) -> str:
    """Return the topic an event of this type is kept in."""
    if event_type == "interaction" or event_type in FEEDBACK_TYPES:
        return EVENTS
    return RUNS


def partition_of(key: str, partitions: int) -> int:
    """Return the partition of a key; the same on every log, so that a copied log keeps its order."""
    return crc32(key.encode()) % partitions
