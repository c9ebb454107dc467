"""Third step: of several copies of an event one counts, whatever order the log has them in.

The copy received first wins, then the smallest digest. A copy with the same content changes nothing else; a copy
with other content under the same id is kept beside it as a conflict.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter

import msgspec
from msgspec import UNSET

from contract.events import FeedbackEvent, Interaction, encode
from processor.steps.batch import Batch, Copy, Key, Known, Row
from processor.steps.decode import fact_rank

_key = attrgetter("key")


def fold(batch: Batch) -> Batch:
    """Merge what arrived with what the store holds; `batch.known` becomes what it should hold afterwards."""
    merged: dict[Key, tuple[Known | None, Known]] = {}
    for interaction_key, copies in batch.arrived.items():
        before = batch.known.get(interaction_key)
        merged[interaction_key] = before, _merge(before, copies)
    for before, after in merged.values():
        _write_events(batch, before, after)
    _fold_facts(batch)
    batch.folded = merged
    return batch


def _merge(before: Known | None, copies: list[Copy]) -> Known:
    after = Known()
    if before is None and len(copies) == 1:
        after.kept = [] if copies[0].forgotten else copies
        return after
    if before is None and len({copy.key for copy in copies}) == len(copies):
        after.kept = sorted([copy for copy in copies if not copy.forgotten], key=_key)
        return after
    by_key: dict[Key, list[Copy]] = {}
    for copy in (*before.kept, *before.lost, *copies) if before else copies:
        if not copy.forgotten:
            by_key.setdefault(copy.key, []).append(copy)
    for key in sorted(by_key):
        versions = by_key[key]
        if len(versions) == 1:
            after.kept.append(versions[0])
        else:
            kept, lost = _settle(versions)
            after.kept.append(kept)
            after.lost.extend(lost)
    return after


def _settle(versions: Iterable[Copy]) -> tuple[Copy, list[Copy]]:
    """Return the copy that counts, and the first copy of every other content."""
    first: dict[bytes, Copy] = {}
    for copy in versions:
        content = content_of(copy.event)
        held = first.get(content)
        if held is None or copy.rank < held.rank:
            first[content] = copy
    kept, *lost = sorted(first.values(), key=lambda copy: copy.rank)
    return kept, lost


def content_of(event: Interaction | FeedbackEvent) -> bytes:
    """Return what the sender said, without what the appender stamped on it."""
    bare = msgspec.structs.replace(
        event, received_at=UNSET, project=UNSET, key_id=UNSET, via=UNSET, verified=False, sent_at=UNSET
    )  # fmt: skip
    return encode(bare)


def _write_events(batch: Batch, before: Known | None, after: Known) -> None:
    added = batch.added["events"]
    if before is None:
        added.extend([event_row(copy) for copy in after.kept])
        return
    held = {copy.key: copy.digest for copy in before.kept}
    for copy in after.kept:
        digest = held.pop(copy.key, None)
        if digest is None:
            added.append(event_row(copy))
        elif digest != copy.digest:
            batch.gone["events"].append(copy.key)
            added.append(event_row(copy))
    batch.gone["events"].extend(held)


def event_row(copy: Copy) -> Row:
    """Return the row of `events`."""
    event = copy.event
    return (
        event.project, copy.interaction_key, copy.key, event.event_id, event.interaction_id, event.conversation_id,
        event.type, event.actor.id, event.actor.kind, event.source, event.labels, copy.occurred, copy.received,
        event.key_id, event.via, event.verified, copy.body, copy.digest, copy.topic, copy.partition,
    )  # fmt: skip


def _fold_facts(batch: Batch) -> None:
    for key, row in batch.facts.items():
        held = batch.known_facts.get(key)
        if held is None:
            batch.added["facts"].append(row)
        elif fact_rank(row) < fact_rank(held):
            batch.gone["facts"].append(key)
            batch.added["facts"].append(row)
