"""In: the events of one interaction. Out: which of them count, when there are more than an interaction can have.

All of up to CONTENTS. Of more, the votes of PEOPLE people, of each the first and the latest; DESCRIPTIONS descriptions,
and the one that wins; and one other content of each of these events. The rest is kept apart, in `over_limit`.

Whose votes count: those under a secret key, or of our own console, importer and gateway; then those under a public key
about signed candidates; then the others; among equals who was received first. So who came later, or made people up,
pushes nobody out who is known better. This asks of the events alone, never of their order in the log; and since each
choice is of the first so many in one order, what counts of old and new together follows from what counted of the old
and the new: what is over the limit need not be read again, unless something leaves (`processor.ingest.over_limit`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from contract.events import Interaction
from processor.rows import OverLimitRow, new_row
from processor.steps.batch import Changes, Copy, Key, Known
from processor.steps.describe import describes, description_rank
from processor.steps.votes import moment, person

# Each batch that brings a vote on an interaction derives all that counts of it anew, at some 50 microseconds an event:
# so many cost as much as a batch of usual size, and are more than people have on one reply.
CONTENTS = 500
PEOPLE = 500
# As many as there are types of feedback, and one more.
EACH = 8
DESCRIPTIONS = 8


def keep_within(known: Known) -> None:
    """Move what does not count from `kept` and `lost` to `over`."""
    if not known.more and len(known.kept) + len(known.lost) <= CONTENTS:
        return
    counted = _counted(known.kept)
    other: dict[Key, Copy] = {}
    for copy in known.lost:
        if copy.key in counted and (copy.key not in other or copy.rank < other[copy.key].rank):
            other[copy.key] = copy
    known.over = [copy for copy in known.kept if copy.key not in counted]
    known.over += [copy for copy in known.lost if other.get(copy.key) is not copy]
    known.kept = [copy for copy in known.kept if copy.key in counted]
    known.lost = list(other.values())


def _counted(events: Sequence[Copy]) -> set[Key]:
    """Return the keys of the events that count."""
    told = sorted(filter(_is_interaction, events), key=description_rank)[:DESCRIPTIONS]
    told += sorted(filter(describes, events), key=description_rank)[:1]
    people: defaultdict[str, list[Copy]] = defaultdict(list)
    for copy in events:
        if not _is_interaction(copy):
            people[person(copy.event)].append(copy)
    counted = {copy.key for copy in told}
    # No two have the same rank: it ends in the event's id.
    for rank, own in sorted((min(map(_rank, own)), own) for own in people.values())[:PEOPLE]:
        if len(own) >= EACH:
            own = sorted(own, key=moment)[1 - EACH :] + [copy for copy in own if _rank(copy) == rank]
        counted.update(copy.key for copy in own)
    return counted


def _is_interaction(copy: Copy) -> bool:
    return isinstance(copy.event, Interaction)


def standing(copy: Copy) -> int:
    """Return how well it is known who says this: the lower, the better."""
    event: Any = copy.event
    return 0 if event.via != "public" else 1 if event.verified else 2


def _rank(copy: Copy) -> tuple[int, int, str]:
    return standing(copy), *copy.order


def over_limit_changes(interactions: Iterable[tuple[Known | None, Known]]) -> Changes:
    """Return the changes of `over_limit`."""
    added: list[OverLimitRow] = []
    gone: list[Key] = []
    for before, after in interactions:
        if after.over or (before and before.over):
            held, rows = over_limit_rows(before) if before else {}, over_limit_rows(after)
            gone += [digest for digest, row in held.items() if rows.get(digest) != row]
            added += [row for digest, row in rows.items() if held.get(digest) != row]
    return Changes({"over_limit": added}, {"over_limit": gone})


def over_limit_rows(known: Known) -> dict[Key, OverLimitRow]:
    """Return the rows of `over_limit` by digest."""
    first = {copy.key: copy for copy in known.kept}
    for copy in known.over:
        if copy.key not in first or copy.rank < first[copy.key].rank:
            first[copy.key] = copy
    return {copy.digest: _row(copy, first[copy.key] is copy) for copy in known.over}


def _row(copy: Copy, counts: bool) -> OverLimitRow:
    event: Any = copy.event
    why = "contents" if not counts else "descriptions" if _is_interaction(copy) else "votes"
    return new_row(OverLimitRow, (
        event.project, copy.interaction_key, copy.key, event.event_id, event.interaction_id, event.type, event.actor.id,
        event.actor.kind, event.via, event.verified, copy.occurred, copy.received, standing(copy), why, copy.body,
        copy.digest, copy.partition,
    ))  # fmt: skip
