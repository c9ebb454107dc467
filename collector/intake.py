"""From a request's body to the log: decode, judge each event alone, append all at once, answer in input order.

Knows no HTTP. In: a body, then the key it came under. Out: the JSON of one result per event, after durability. What
every request does is done once for a whole batch where it can be; a batch with anything unusual in it goes event by
event.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

import msgspec

from collector.access import allowed_types, plainly_allowed
from collector.body import Batch, event_id_of, parse
from collector.decode import TYPE_OF, Decoded, decode, decode_batch
from collector.drops import report_entry
from collector.errors import actor_too_fast, not_allowed_type
from collector.limits import Rates
from collector.metrics import count_events, count_given_up, count_held_back, count_rejected, observe_append
from collector.rejected import rejected_entry
from contract.curation.checks import check_page
from contract.errors import LogUnavailable, ThumbwheelError
from contract.events import Event, encode, named_candidates, stamp
from contract.signing import FindSigningKey, verify_candidate
from contract.topics import EVENTS
from control_store.control import Control, Key
from eventlog.log import Entry, Log

ACCEPTED, REJECTED, RETRY = "accepted", "rejected", "retry"
# Shorter than the SDKs wait for an answer, so that they hear `retry` and not silence.
APPEND_SECONDS = 8.0


class Judged(msgspec.Struct, frozen=True, gc=False):
    """One event of a batch: the entry to append, and why it was rejected (`code`), if it was.

    An `error` without a code is why it is to be sent again. `actor` is whom it is from, of a good event.

    Keeps what an error says, not the error: that holds the frames it went through, which hold the batch, which holds
    it; and what is kept out of Python's search for such circles (`gc=False`) would stay for ever.
    """

    event_id: str | None
    entry: Entry
    code: str | None = None
    error: dict[str, Any] | None = None
    actor: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A batch: what became of its events, what of it is to be appended, and how long which actors have to wait.

    It holds neither the body nor the decoded events: kept while the disk is waited for, those of all requests in flight
    push each other out of the processor's caches, which cost a tenth of the collector's time.
    """

    events: list[Judged]
    entries: list[Entry]
    waits: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Answer:
    """The results of a batch as JSON, which statuses are among them, and when to send again what is `retry`."""

    body: bytes
    statuses: frozenset[str]
    retry_after: int = 1


def read_batch(body: bytes) -> Decoded | Batch:
    """Return the batch, decoded in one go or event by event; raises 400 when it is none."""
    return decode_batch(body) or parse(body)


class Intake:
    """Takes batches; thread-safe."""

    def __init__(self, log: Log, control: Control, rates: Rates) -> None:
        self._log = log
        self._control = control
        self._rates = rates

    def judge(self, batch: Decoded | Batch, body: bytes, key: Key) -> Judgement:
        """Return what becomes of each event. `batch` is `read_batch(body)`.

        A report of what the sender gave up that cannot be read is counted and costs no event.
        """
        now = datetime.now(UTC)
        sent_at = _moment(batch.sent_at)
        allowed = allowed_types(key)
        find = cache(self._control.signing_key)
        if isinstance(batch, Decoded) and not {TYPE_OF[type(event)] for event in batch.events} <= plainly_allowed(key):
            batch = parse(body)
        if isinstance(batch, Decoded):
            judged = [_stamped(event, key, now, sent_at, find) for event in batch.events]
        else:
            judged = [_judge(bytes(raw), key, allowed, now, sent_at, find) for raw in batch.events]
        waits = self._hold_back(judged, key)
        entries = [one.entry for one in judged if one.actor not in waits]
        if report := bytes(batch.dropped):
            entries += _reported(report, key, now)
        return Judgement(judged, entries, waits)

    def append(self, judgement: Judgement) -> Answer:
        """Return `{"event_id", "status", "error"?}` per event, in order; `accepted` means durable."""
        positions = self._append(judgement.entries)
        if judgement.waits:
            return _answer_rest(judgement.events, positions, judgement.waits)
        return _answer(judgement.events, positions)

    def _hold_back(self, judged: list[Judged], key: Key) -> dict[str, float]:
        """Return the actors of pages who send too much, and their waits; a server answers for its own."""
        if key.kind != "public":
            return {}
        return self._rates.hold_back(key.project, Counter([one.actor for one in judged if one.code is None]))

    def _append(self, entries: list[Entry]) -> Sequence[object | None]:
        if not entries:
            return []
        started = time.perf_counter()
        try:
            positions = self._log.append(entries, APPEND_SECONDS)
        except LogUnavailable:
            return [None] * len(entries)
        observe_append(time.perf_counter() - started)
        return positions


def _moment(text: str | None) -> datetime | None:
    """Return when the sender says it sent the batch; None where that is absent or unreadable, which refuses nothing."""
    try:
        sent_at = msgspec.convert(text, datetime)
        return sent_at.astimezone(UTC) if sent_at.tzinfo else None
    except (msgspec.ValidationError, OverflowError):
        return None


def _judge(
    raw: bytes, key: Key, allowed: frozenset[str], now: datetime, sent_at: datetime | None, find: FindSigningKey
) -> Judged:
    try:
        event = decode(raw)
        if event.type not in allowed:
            raise not_allowed_type(event.type)
        if key.kind == "public":
            check_page(event)
    except ThumbwheelError as error:
        return Judged(event_id_of(raw), rejected_entry(raw, key, error, now), error.code, error.as_dict())
    return _stamped(event, key, now, sent_at, find)


def _stamped(event: Event, key: Key, now: datetime, sent_at: datetime | None, find: FindSigningKey) -> Judged:
    """Return the event as it goes to the log: all that a key may write belongs to an interaction."""
    interaction_id: str = event.interaction_id  # type: ignore[union-attr]
    named = named_candidates(event)
    # Whether every candidate the feedback names was signed for its interaction, and none for another actor.
    actor = event.actor.id
    verified = bool(named) and all([verify_candidate(find, key.project, interaction_id, n, actor) for n in named])
    stamped = stamp(
        event, project=key.project, key_id=key.key_id, via="secret" if key.kind == "secret" else "public",
        received_at=now, verified=verified, sent_at=sent_at,
    )  # fmt: skip
    return Judged(event.event_id, Entry(EVENTS, interaction_id, encode(stamped)), actor=actor)


def _reported(report: bytes, key: Key, now: datetime) -> list[Entry]:
    try:
        entry, given_up = report_entry(report, key, now)
    except ValueError:
        count_rejected("bad_report", kept=False)
        return []
    count_given_up(given_up)
    return [entry]


def _answer_rest(judged: list[Judged], positions: Sequence[object | None], waits: Mapping[str, float]) -> Answer:
    """Return the answers where the events of some actors were not appended: those are to be sent again, later."""
    appended, held = iter(positions), actor_too_fast().as_dict()
    marked = [msgspec.structs.replace(one, error=held) if one.actor in waits else one for one in judged]
    answer = _answer(marked, [None if one.actor in waits else next(appended) for one in judged])
    count_held_back(sum(one.actor in waits for one in judged))
    return replace(answer, retry_after=max(1, math.ceil(max(waits.values()))))


def _answer(judged: list[Judged], positions: Sequence[object | None]) -> Answer:
    """Return the answers in input order; a rejected event is rejected even while the log is away."""
    statuses = [
        REJECTED if one.code else RETRY if position is None else ACCEPTED
        for one, position in zip(judged, positions, strict=False)
    ]
    given = Counter(statuses)
    count_events(given)
    if len(given) == 1 and not any([one.error for one in judged]):
        return Answer(_alike(judged, statuses[0]), frozenset(given))
    results = []
    for one, position, status in zip(judged, positions, statuses, strict=False):
        result: dict[str, Any] = {"event_id": one.event_id, "status": status}
        if one.code:
            count_rejected(one.code, position is not None)
        if one.error:
            result |= one.error
        results.append(result)
    return Answer(msgspec.json.encode({"results": results}), frozenset(given))


def _alike(judged: list[Judged], status: str) -> bytes:
    """Return the answers of good events with one status as JSON; their ids are UUIDs, which need no escapes."""
    between = f'","status":"{status}"}},{{"event_id":"'
    ids = between.join([one.event_id for one in judged])  # type: ignore[misc]
    return f'{{"results":[{{"event_id":"{ids}","status":"{status}"}}]}}'.encode()
