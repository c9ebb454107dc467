"""Second step. In: what was decoded and what is held of it. Out: what remains, once what is forgotten has left.

An event of a forgotten actor goes when any copy of it is from before.

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
from processor.rows import FactRow, ForgottenRow, RejectedRow
from processor.steps.batch import Copy, Decoded, Forgets, Held, Key, Remaining, microseconds
from processor.steps.decode import fact_rank


def forget(decoded: Decoded, held: Held) -> Remaining:
    """Find copies that leave, redact facts, drop refused events that name the actor; say what the log must lose."""
    remaining = Remaining(
        decoded.facts, held.facts, decoded.rejected, decoded.forgotten, sorted(decoded.forgotten - held.forgotten)
    )
    if held.forgets:
        remaining.facts, remaining.held_facts, remaining.rejected = {}, {}, []
        remaining.forgotten = set(decoded.forgotten)
        _forget_copies(remaining, decoded, held)
        _forget_facts(remaining, decoded, held)
        for row in decoded.rejected:
            if refusal_is_forgotten(row, held.forgets):
                remaining.erased[row.topic, row.partition, row.offset] = b""
            else:
                remaining.rejected.append(row)
        remaining.newly = sorted(remaining.forgotten - held.forgotten)
    return remaining


def _forget_copies(remaining: Remaining, decoded: Decoded, held: Held) -> None:
    buried = {(row.event_key, row.actor_digest) for row in held.forgotten | decoded.forgotten}
    for interaction_key, copies in decoded.arrived.items():
        known = held.known.get(interaction_key)
        whole = [*copies, *known.kept, *known.lost, *known.over] if known else copies
        for (_, digest), own in _leaving(whole, held.forgets, buried).items():
            for copy in own:
                _bury(remaining, copy, digest)


def _leaving(copies: list[Copy], forgets: Forgets, buried: set[tuple[Key, str]]) -> dict[tuple[Key, str], list[Copy]]:
    """Return the copies of one interaction that leave, by event key and whose they are."""
    by_event: defaultdict[tuple[Key, str], list[Copy]] = defaultdict(list)
    leaving: set[tuple[Key, str]] = set()
    for copy in copies:
        event: Any = copy.event
        before = forgets.before(event.project, event.actor.id)
        if before is not None:
            mark = copy.key, actor_digest(event.project, event.actor.id)
            by_event[mark].append(copy)
            if mark in buried or min(copy.occurred, copy.received) < before:
                leaving.add(mark)
    return {mark: own for mark, own in by_event.items() if mark in leaving}


def _bury(remaining: Remaining, copy: Copy, digest: str) -> None:
    project, described = str(copy.event.project), bool(getattr(copy.event, "messages", None))
    remaining.leaving.add(copy)
    remaining.forgotten.add(ForgottenRow(project, copy.key, copy.interaction_key, digest, described))
    if copy.offset >= 0:
        stone = Tombstone(project, digest, copy.key.hex(), copy.interaction_key.hex(), described)
        remaining.erased[copy.topic, copy.partition, copy.offset] = bury(stone, copy.body)


def _forget_facts(remaining: Remaining, decoded: Decoded, held: Held) -> None:
    for key, row in decoded.facts.items():
        made = redacted(row, held.forgets)
        if made is not row:
            remaining.erased[RUNS, row.partition, row.offset] = made.body.encode()
        stored = held.facts.get(key)
        if stored is not None:
            was = redacted(stored, held.forgets)
            if was is stored:
                remaining.held_facts[key] = stored
            else:
                remaining.stale_facts.append(key)
                made = min(was, made, key=fact_rank)
        remaining.facts[key] = made


def redacted(row: FactRow, forgets: Forgets) -> FactRow:
    """Return a fact's row without who said it, or of whom, where that person is forgotten; else the row itself."""
    said = msgspec.json.decode(row.body, type=_Said)
    moment = min(row.occurred_at, row.received_at)
    named = [said.actor.id] + ([said.member] if said.member else [])
    if not any((before := forgets.before(row.project, name)) is not None and moment < before for name in named):
        return row
    raw = redact(row.body.encode())
    return row._replace(body=raw.decode(), digest=digest128(raw))


def refusal_is_forgotten(row: RejectedRow, forgets: Forgets) -> bool:
    """Say whether a row of `rejected` names a forgotten actor and is from before; of no project: any project's."""
    project, received, raw = row.project, row.received_at or 0, row.raw or b""
    projects = [project] if project is not None else list(forgets.by_project)
    moment = min(received, _occurred(raw, received))

    def asked(text: str) -> bool:
        return any((before := forgets.before(name, text)) is not None and moment < before for name in projects)

    return any(forgets.by_project.get(name) for name in projects) and names_anyone(raw, asked)


class _Id(msgspec.Struct):
    id: str = ""


class _Said(msgspec.Struct):
    actor: _Id
    member: str = ""


class _Timed(msgspec.Struct):
    occurred_at: msgspec.Raw = msgspec.Raw(b"null")


def _occurred(raw: bytes, otherwise: int) -> int:
    try:
        moment = msgspec.json.decode(msgspec.json.decode(raw, type=_Timed).occurred_at, type=datetime)
        return microseconds(moment) if moment.tzinfo else otherwise
    except (msgspec.MsgspecError, UnicodeError, RecursionError, OverflowError):
        return otherwise
