"""Rejected records: where one is, what is kept of it, and how it is tried again.

Two kinds: what the collector refused is kept in the rejected topic, base64 beside its reason; what the processor could
not interpret (poison) stays where it was in the log. Both become rows of `rejected`. A retry appends a copy; the
original stays, so nothing is lost when the copy is refused again, and the event's id makes a second retry harmless.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import NamedTuple

import msgspec

from contract.curation.checks import check_page
from contract.errors import EventError, LogUnavailable, ThumbwheelError
from contract.events import STAMPED_FIELDS, Event, decode_event, decode_stored, named_candidates, stamp
from contract.signing import FindSigningKey, verify_candidate
from contract.topics import PUBLIC_TYPES, REJECTED, SECRET_TYPES, TOPICS
from control_store.keys import Key
from eventlog.log import Log, Record

READ_SECONDS = 10.0
POLL_RECORDS = 1000
# To read past so many records takes about as long as another reader on Kafka does to begin.
GAP_RECORDS = 10_000
# The code of a report of what a client gave up, kept beside the rejected events.
CLIENT_DROPPED = "client_dropped"
# Before the code of requests that were refused whole, counted by origin: no event of theirs is kept.
REFUSED_CODE = "refused."

FindKey = Callable[[str], Key | None]


_SHORT = {topic.split(".")[1]: topic for topic in TOPICS}


class Place(NamedTuple):
    """Where a record is; written TOPIC/PARTITION/OFFSET, such as rejected/0/17."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic.split('.')[1]}/{self.partition}/{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Place:
        """Read TOPIC/PARTITION/OFFSET, the topic's name short or whole; raises ThumbwheelError."""
        name, _, rest = text.partition("/")
        topic = _SHORT.get(name, name)
        partition, _, offset = rest.partition("/")
        if topic not in TOPICS or not all(part.isascii() and part.isdigit() for part in (partition, offset)):
            raise ThumbwheelError(
                "bad_position",
                f"{text!r} is no position.",
                "It looks like rejected/0/17: see `thumbwheel rejected list`.",
            )
        return cls(topic, int(partition), int(offset))


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """A rejected event as the collector keeps it; `raw` is base64, its first 256 KiB."""

    project: str | None
    key_id: str
    received_at: datetime
    code: str
    message: str
    field: str | None = None
    event_id: str | None = None
    length: int
    digest: str
    raw: str

    def body(self) -> bytes:
        """Return what was sent, as far as it is kept."""
        try:
            return base64.b64decode(self.raw, validate=True)
        except (binascii.Error, ValueError) as error:
            raise not_retryable("Its bytes are not kept") from error

    def whole(self) -> bytes:
        """Return what was sent; raises ThumbwheelError when only a part is kept."""
        body = self.body()
        if len(body) != self.length or hashlib.sha256(body).hexdigest() != self.digest:
            raise not_retryable(f"Only {len(body)} of its {self.length} bytes are kept")
        return body


def read_record(log: Log, place: Place) -> Record:
    """Return the record at a place; raises ThumbwheelError `not_there` when the log holds none there."""
    record = read_records(log, [place])[place]
    if record is None:
        raise not_there(place)
    return record


def not_there(place: Place) -> ThumbwheelError:
    """Return the error for a place at which the log holds nothing."""
    return ThumbwheelError("not_there", f"The log holds nothing at {place}.", "It was never there, or has expired.")


def read_records(log: Log, places: Iterable[Place]) -> dict[Place, Record | None]:
    """Return the record at each place, None where the log holds none; places near each other are read in one go.

    Raises LogUnavailable.
    """
    found: dict[Place, Record | None] = dict.fromkeys(places)
    partitions: dict[tuple[str, int], list[int]] = {}
    for place in sorted(found):
        partitions.setdefault((place.topic, place.partition), []).append(place.offset)
    for (topic, partition), offsets in partitions.items():
        if partition >= log.partitions(topic):
            continue
        start, end = log.start_offset(topic, partition), log.end_offset(topic, partition)
        for stretch in _stretches([offset for offset in offsets if start <= offset < end]):
            found |= {Place(*record[:3]): record for record in _read_stretch(log, (topic, partition), stretch)}
    return found


def _stretches(offsets: list[int]) -> list[list[int]]:
    """Return sorted offsets in groups without a wide gap inside."""
    groups: list[list[int]] = []
    for offset in offsets:
        if groups and offset - groups[-1][-1] <= GAP_RECORDS:
            groups[-1].append(offset)
        else:
            groups.append([offset])
    return groups


def _read_stretch(log: Log, where: tuple[str, int], offsets: list[int]) -> list[Record]:
    wanted, found, reached = set(offsets), [], offsets[0]
    reader = log.reader({where: reached})
    try:
        while reached <= offsets[-1]:
            records = reader.poll(POLL_RECORDS, READ_SECONDS)
            if not records:
                raise LogUnavailable(
                    f"The log gives no record of {where[0]} {where[1]} from {reached} on.", "Try again."
                )
            reached = records[-1].offset + 1
            found += [record for record in records if record.offset in wanted]
    finally:
        reader.close()
    return found


def read_rejected(record: Record) -> Rejected | None:
    """Return what the collector wrote about an event it refused; None for a record it did not write."""
    if record.topic != REJECTED:
        return None
    try:
        return msgspec.json.decode(record.value, type=Rejected)
    except (msgspec.MsgspecError, UnicodeError):
        return None


def revive(record: Record, find_key: FindKey, find_signing_key: FindSigningKey) -> Event:
    """Return the event of a rejected record, ready to be appended; raises ThumbwheelError that says why it cannot.

    It is judged by today's rules: what is still wrong is refused with the reason. `find_key(key_id)` returns the key
    it came under, a revoked one too.
    """
    if record.topic != REJECTED:
        return _of_poison(record)
    kept = read_rejected(record)
    if kept is None:
        raise not_retryable("The collector did not write it")
    if kept.code == CLIENT_DROPPED:
        raise not_retryable("It reports what a client gave up; no event is in it")
    if kept.project is None or kept.code.startswith(REFUSED_CODE):
        raise not_retryable("It counts requests that were refused; no event is in it")
    key = find_key(kept.key_id)
    if key is None:
        raise not_retryable(f"Its key {kept.key_id} is unknown")
    event = decode_event(kept.whole())
    if event.type not in (SECRET_TYPES if key.kind == "secret" else PUBLIC_TYPES):
        raise not_retryable(f"Its key may not write {event.type!r} events")
    if key.kind == "public":
        check_page(event)
    interaction_id: str = event.interaction_id  # type: ignore[union-attr]
    named = named_candidates(event)
    verified = [verify_candidate(find_signing_key, kept.project, interaction_id, c, event.actor.id) for c in named]
    return stamp(
        event, project=kept.project, key_id=kept.key_id, via="secret" if key.kind == "secret" else "public",
        received_at=kept.received_at, verified=bool(named) and all(verified),
    )  # fmt: skip


def _of_poison(record: Record) -> Event:
    event = decode_stored(record.value)
    for name in STAMPED_FIELDS[:4]:
        if getattr(event, name) is msgspec.UNSET:
            raise EventError("not_stamped", f"The record has no {name}.", "Append through eventlog only.", name)
    if event.type.startswith("request."):
        raise not_retryable("It is a wish, and its moment has passed; make it again")
    return event


def not_retryable(why: str) -> ThumbwheelError:
    """Return the error for a record that no retry can bring in."""
    return ThumbwheelError("not_retryable", f"{why}.", "It stays among the rejected events.")
