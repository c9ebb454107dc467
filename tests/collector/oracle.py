"""What the collector owes a body, worked out the long way: each event alone, through the decoder every appender uses.

A `Door` sends bodies as a server does and compares what was answered and logged with that, so whatever is done to make
the collector fast has to give the same answers and the same stored bytes.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import msgspec

from collector.access import allowed_types, check_origin, find_key, key_text
from collector.app import create_app
from collector.body import Batch, event_id_of, parse
from collector.drops import report_entry
from collector.errors import REFUSALS, Refused, not_allowed_type
from collector.rejected import rejected_entry
from contract.curation.checks import check_page
from contract.errors import EventError
from contract.events import Event, decode_event, decode_stored, encode, named_candidates, stamp
from contract.signing import FindSigningKey, verify_candidate
from contract.topics import EVENTS, REJECTED
from control_store.control import Control, Key
from eventlog.log import Log, Record
from runtime.settings import Settings

DOCUMENTED = frozenset({202, 207} | {status for status, _, _ in REFUSALS} - {500})


@dataclass
class Owed:
    """What a body has to be answered and logged as; `accepted` and `refused` in the order of its events."""

    status: int
    answer: Any
    accepted: list[Event] = field(default_factory=list)
    refused: list[tuple[bytes, EventError]] = field(default_factory=list)
    report: bytes = b""
    sent_at: datetime | None = None


@dataclass
class Reply:
    """What came back for a body, and what its log got meanwhile."""

    body: bytes
    key: str
    origin: str | None
    status: int
    answer: Any
    since: datetime
    damaged: bool


class Door:
    """The events address, called as a server calls it."""

    def __init__(self, settings: Settings, log: Log, control: Control) -> None:
        self.control = control
        self._app = create_app(replace(settings, collector_rate=0.0), log, control).wsgi_app
        self._path = settings.collector_path
        topics = {(topic, number): 0 for topic in (EVENTS, REJECTED) for number in range(log.partitions(topic))}
        self._reader = log.reader(topics)

    def send(
        self, body: bytes, key: str, origin: str | None = None, *, wire: bytes | None = None, damaged: bool = False,
        **environ: Any,
    ) -> Reply:  # fmt: skip
        """Send a body; `environ` is WSGI's, over what a plain POST has.

        `wire` is what the body is on the wire; `damaged` says that it may be refused whatever the body says.
        """
        since = datetime.now(UTC)
        wire = body if wire is None else wire
        found: list[Any] = []
        given = {
            "REQUEST_METHOD": "POST", "PATH_INFO": self._path, "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(wire)), "HTTP_AUTHORIZATION": f"Bearer {key}", "wsgi.input": io.BytesIO(wire),
        } | environ  # fmt: skip
        if origin is not None:
            given["HTTP_ORIGIN"] = origin
        parts = self._app(given, lambda status, headers: found.extend((status, dict(headers))))
        answer = b"".join(parts)
        status, headers = found
        assert headers["Content-Type"] == "application/json"
        assert int(headers["Content-Length"]) == len(answer)
        return Reply(body, key, origin, int(status[:3]), json.loads(answer), since, damaged)

    def logged(self) -> list[Record]:
        """What the log got since the last call."""
        records: list[Record] = []
        while found := self._reader.poll(10_000, 0):
            records += found
        return records

    def check(self, *replies: Reply) -> None:
        """Assert that the replies since the last check, and what was logged for them, are what was owed."""
        records = self.logged()
        kept = {topic: iter([one for one in records if one.topic == topic]) for topic in (EVENTS, REJECTED)}
        for reply in replies:
            check_shape(reply)
            if reply.damaged and reply.status in (400, 413):
                continue
            owed = self.owed(reply)
            assert (reply.status, reply.answer) == (owed.status, owed.answer), reply.body
            key = self.control.find_key(reply.key)
            for event in owed.accepted:
                assert key is not None
                received = check_stored(next(kept[EVENTS]), event, key, self.control.signing_key, owed.sent_at)
                assert reply.since <= received <= datetime.now(UTC)
            for raw, error in owed.refused:
                assert key is not None
                record = next(kept[REJECTED])
                now = datetime.fromisoformat(json.loads(record.value)["received_at"])
                kept_as = rejected_entry(raw, key, error, now)
                assert (record.key, record.value) == (kept_as.key, kept_as.value)
            if owed.report:
                next(kept[REJECTED])
        assert [next(rest, None) for rest in kept.values()] == [None, None], "more was logged than was owed"

    def owed(self, reply: Reply) -> Owed:
        """Work out the answer: shape, then key, then origin, then each event alone."""
        try:
            batch = parse(reply.body)
            key = find_key(self.control, key_text(f"Bearer {reply.key}", batch.key))
            check_origin(key, reply.origin)
        except Refused as error:
            return Owed(error.status, error.as_dict())
        return judge(batch, key)

    def close(self) -> None:
        """Close the reader of the log."""
        self._reader.close()


def judge(batch: Batch, key: Key) -> Owed:
    """Decode each event alone; those of a type the key may not write are refused."""
    owed = Owed(202, {"results": []}, sent_at=moment(batch.sent_at))
    for raw in batch.events:
        result: dict[str, Any] = {"event_id": event_id_of(bytes(raw)), "status": "accepted"}
        try:
            event = decode_event(bytes(raw))
            if event.type not in allowed_types(key):
                raise not_allowed_type(event.type)
            if key.kind == "public":
                check_page(event)
            owed.accepted.append(event)
        except EventError as error:
            owed.refused.append((bytes(raw), error))
            owed.status = 207
            result |= {"status": "rejected"} | error.as_dict()
        owed.answer["results"].append(result)
    if report := bytes(batch.dropped):
        try:
            report_entry(report, key, datetime.now(UTC))
            owed.report = report
        except ValueError:
            pass
    return owed


def moment(text: str | None) -> datetime | None:
    """When the sender says it sent; None where that says no moment of the calendar."""
    try:
        given = msgspec.convert(text, datetime)
        return given.astimezone(UTC) if given.tzinfo else None
    except (msgspec.ValidationError, OverflowError):
        return None


def check_shape(reply: Reply) -> None:
    """A documented status, and one result per event or the one error shape: true whatever the oracle says."""
    assert reply.status in DOCUMENTED, (reply.status, reply.body)
    if reply.status not in (202, 207):
        assert set(reply.answer) == {"error"} and {"code", "message", "hint"} <= set(reply.answer["error"])
        return
    statuses = [one["status"] for one in reply.answer["results"]]
    assert (reply.status == 202) == (set(statuses) == {"accepted"})
    for one in reply.answer["results"]:
        assert set(one) == ({"event_id", "status"} if one["status"] == "accepted" else {"event_id", "status", "error"})


def check_stored(record: Record, event: Event, key: Key, find: FindSigningKey, sent_at: datetime | None) -> datetime:
    """The record is the event with its stamps, byte for byte, under its interaction; return when it was received."""
    stored: Any = decode_stored(record.value)
    own: Any = event
    names = named_candidates(event)
    verified = bool(names) and all(
        verify_candidate(find, key.project, own.interaction_id, name, own.actor.id) for name in names
    )
    wanted = encode(
        stamp(
            event, project=key.project, key_id=key.key_id, via=key.kind, received_at=stored.received_at,
            verified=verified, sent_at=sent_at,
        )
    )  # fmt: skip
    assert (record.key, record.value) == (own.interaction_id, wanted), f"{record.value!r} is not {wanted!r}"
    received: datetime = stored.received_at
    return received
