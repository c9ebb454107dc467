"""Second step: what is forgotten leaves. An event of a forgotten actor goes when any copy of it is from before.

Which events those were is kept as keys (`forgotten`), so that a copy that comes later, or is read again in a replay,
goes too: order and doubles change nothing. From before means by min(occurred_at, received_at), as votes are ordered.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Any

import msgspec

from contract.forgetting import Tombstone, actor_digest, bury, names_anyone, redact
from contract.ids import digest128
from contract.topics import RUNS
from processor.steps.batch import Batch, Copy, Forgets, Key, Row, microseconds
from processor.steps.decode import fact_rank


def forget(batch: Batch) -> Batch:
    """Mark copies that leave, redact facts, drop refused events that name the actor; note what the log must lose."""
    if batch.forgets:
        buried = {(row[1], row[3]) for row in batch.known_forgotten | batch.forgotten}
        for interaction_key, copies in batch.arrived.items():
            known = batch.known.get(interaction_key)
            _forget_copies(batch, [*copies, *known.kept, *known.lost] if known else copies, buried)
        _forget_facts(batch)
        batch.added["rejected"] = [row for row in batch.added["rejected"] if not _forget_refusal(batch, row)]
    batch.added["forgotten"].extend(sorted(batch.forgotten - batch.known_forgotten))
    return batch


def _forget_copies(batch: Batch, copies: list[Copy], buried: set[tuple[Key, str]]) -> None:
    by_event: defaultdict[tuple[Key, str], list[Copy]] = defaultdict(list)
    leaving: set[tuple[Key, str]] = set()
    for copy in copies:
        event: Any = copy.event
        before = batch.forgets.before(event.project, event.actor.id)
        if before is not None:
            mark = copy.key, actor_digest(event.project, event.actor.id)
            by_event[mark].append(copy)
            if mark in buried or min(copy.occurred, copy.received) < before:
                leaving.add(mark)
    for mark in leaving:
        for copy in by_event[mark]:
            copy.forgotten = True
            described = bool(getattr(copy.event, "messages", None))
            row = (str(copy.event.project), copy.key, copy.interaction_key, mark[1], described)
            batch.forgotten.add(row)
            if copy.offset >= 0:
                stone = Tombstone(row[0], mark[1], copy.key.hex(), copy.interaction_key.hex(), described)
                batch.erased[copy.topic, copy.partition, copy.offset] = bury(stone, copy.body)


def _forget_refusal(batch: Batch, row: Row) -> bool:
    forgotten = refusal_is_forgotten(row, batch.forgets)
    if forgotten:
        batch.erased[row[1], row[2], row[3]] = b""
    return forgotten


def _forget_facts(batch: Batch) -> None:
    for key, row in batch.facts.items():
        made = redacted(row, batch.forgets)
        if made is not row:
            batch.erased[RUNS, row[9], row[10]] = made[7].encode()
        held = batch.known_facts.get(key)
        if held is not None:
            was = redacted(held, batch.forgets)
            if was is not held:
                batch.gone["facts"].append(key)
                del batch.known_facts[key]
                made = min(was, made, key=fact_rank)
        batch.facts[key] = made


def redacted(row: Row, forgets: Forgets) -> Row:
    """Return a fact's row without who said it where that actor is forgotten; else the row itself."""
    actor = msgspec.json.decode(row[7], type=_Said).actor.id
    before = forgets.before(row[0], actor)
    if before is None or min(row[5], row[6]) >= before:
        return row
    raw = redact(row[7].encode())
    return (*row[:7], raw.decode(), digest128(raw), *row[9:])


def refusal_is_forgotten(row: Row, forgets: Forgets) -> bool:
    """Say whether a row of `rejected` names a forgotten actor and is from before; of no project: any project's."""
    project, received, raw = row[0], row[4], row[9]
    projects = [project] if project is not None else list(forgets.by_project)
    moment = min(received, _occurred(raw, received))

    def asked(text: str) -> bool:
        return any((before := forgets.before(name, text)) is not None and moment < before for name in projects)

    return any(forgets.by_project.get(name) for name in projects) and names_anyone(raw, asked)


class _Id(msgspec.Struct):
    id: str = ""


class _Said(msgspec.Struct):
    actor: _Id


class _Timed(msgspec.Struct):
    occurred_at: msgspec.Raw = msgspec.Raw(b"null")


def _occurred(raw: bytes, otherwise: int) -> int:
    try:
        moment = msgspec.json.decode(msgspec.json.decode(raw, type=_Timed).occurred_at, type=datetime)
        return microseconds(moment) if moment.tzinfo else otherwise
    except (msgspec.MsgspecError, UnicodeError, RecursionError, OverflowError):
        return otherwise
