"""Third step. In: what arrived, what is held of it, what leaves. Out: what counts, and its changes of tables.

Of several copies of an event one counts, whatever order the log has them in.

The copy received first wins, then the smallest digest. A copy with the same content changes nothing else; a copy
with other content under the same id is kept beside it as a conflict. What an interaction has too much of does not
count (`limit`): it goes into `over_limit` instead of `events`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import UNSET

from contract.events import FeedbackEvent, Interaction, decode_stored, encode
from contract.ids import key_bytes
from processor.rows import EventRow, FactRow, TaskItemRow, new_row
from processor.steps.batch import Changes, Copy, Folded, Key, Known, Remaining
from processor.steps.decode import fact_rank
from processor.steps.limit import CONTENTS, keep_within, over_limit_changes

_key = attrgetter("key")


def fold(arrived: Mapping[Key, list[Copy]], known: Mapping[Key, Known], leaving: Set[Copy]) -> Folded:
    """Merge what arrived with what the store holds: before and after, by interaction key."""
    merged: dict[Key, tuple[Known | None, Known]] = {}
    for interaction_key, copies in arrived.items():
        before = known.get(interaction_key)
        merged[interaction_key] = before, _merge(before, copies, leaving)
    added: list[EventRow] = []
    gone: list[Key] = []
    for before, after in merged.values():
        _change_events(before, after, added, gone)
    over = over_limit_changes(merged.values())
    return Folded(merged, Changes({"events": added} | over.added, {"events": gone} | over.gone))


def _merge(before: Known | None, copies: list[Copy], leaving: Set[Copy]) -> Known:
    after = Known()
    _bring_together(after, before, copies, leaving)
    keep_within(after)
    return after


def _bring_together(after: Known, before: Known | None, copies: list[Copy], leaving: Set[Copy]) -> None:
    if leaving:
        copies = [copy for copy in copies if copy not in leaving]
    if before is None and len(copies) < 2:
        after.kept = copies
        return
    if before is None and len({copy.key for copy in copies}) == len(copies):
        after.kept = sorted(copies, key=_key)
        return
    if before is not None:
        after.more = before.more
        copies = [*before.kept, *before.lost, *before.over, *copies]
    by_key: dict[Key, list[Copy]] = {}
    for copy in copies:
        if copy not in leaving:
            by_key.setdefault(copy.key, []).append(copy)
    for key in sorted(by_key):
        versions = by_key[key]
        if len(versions) == 1:
            after.kept.append(versions[0])
        else:
            kept, lost = _settle(versions)
            after.kept.append(kept)
            after.lost.extend(lost)


def _settle(versions: Iterable[Copy]) -> tuple[Copy, list[Copy]]:
    """Return the copy that counts, and the first copy of every other content, as far as there are not too many."""
    first: dict[bytes, Copy] = {}
    for copy in versions:
        content = content_of(copy.event)
        held = first.get(content)
        if held is None or copy.rank < held.rank:
            first[content] = copy
    kept, *lost = sorted(first.values(), key=lambda copy: copy.rank)
    # Of more the log alone tells.
    return kept, lost[:CONTENTS]


def content_of(event: Interaction | FeedbackEvent) -> bytes:
    """Return what the sender said, without what the appender stamped on it."""
    bare = msgspec.structs.replace(
        event, received_at=UNSET, project=UNSET, key_id=UNSET, via=UNSET, verified=False, sent_at=UNSET
    )  # fmt: skip
    return encode(bare)


def _change_events(before: Known | None, after: Known, added: list[EventRow], gone: list[Key]) -> None:
    if before is None:
        added.extend([event_row(copy) for copy in after.kept])
        return
    held = {copy.key: copy.digest for copy in before.kept}
    for copy in after.kept:
        digest = held.pop(copy.key, None)
        if digest is None:
            added.append(event_row(copy))
        elif digest != copy.digest:
            gone.append(copy.key)
            added.append(event_row(copy))
    gone.extend(held)


def event_row(copy: Copy) -> EventRow:
    """Return the row of `events`."""
    event: Any = copy.event
    return new_row(EventRow, (
        event.project, copy.interaction_key, copy.key, event.event_id, event.interaction_id, event.conversation_id,
        event.type, event.actor.id, event.actor.kind, event.source, event.labels, copy.occurred, copy.received,
        event.key_id, event.via, event.verified, copy.body, copy.digest, copy.topic, copy.partition,
    ))  # fmt: skip


def fold_facts(remaining: Remaining) -> Changes:
    """Return the changes of `facts` and `task_items`: of several copies of a fact the first counts."""
    added: list[FactRow] = []
    gone = list(remaining.stale_facts)
    for key, row in remaining.facts.items():
        held = remaining.held_facts.get(key)
        if held is None:
            added.append(row)
        elif fact_rank(row) < fact_rank(held):
            gone.append(key)
            added.append(row)
    items = [item for row in added if row.type == "task.items" for item in task_item_rows(row)]
    return Changes({"facts": added, "task_items": items}, {"facts": gone, "task_items": gone})


def task_item_rows(row: FactRow) -> list[TaskItemRow]:
    """Return the items that a `task.items` fact brings into its task."""
    fact: Any = decode_stored(row.body.encode())
    return [
        TaskItemRow(
            row.project, row.event_key, fact.task_id, key_bytes(row.project, item.interaction_id),
            item.interaction_id, item.unit, position, row.received_at,
        )
        for position, item in enumerate(fact.items)
    ]  # fmt: skip
