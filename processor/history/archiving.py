"""Moves old records of the log into the archive, without what was forgotten, and cuts the log up to there.

    archive_log(settings, log, Archive(settings.archive))

In this order: segments of the archive that hold somebody forgotten since are written anew; records older than
`archive_days` become new segments, read back before they count; the manifest names them; then the log is cut. A run
that was killed is repeated by the next one. Rejected events keep their own retention and are not archived.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from contract.errors import EventError, ThumbwheelError
from contract.events import decode_stored
from contract.facts import Forget
from contract.topics import EVENTS, RUNS
from eventlog.log import Erasable, Log, Record, StoredLog
from processor.history.archive import Archive, ArchivedLog, Manifest, archived
from processor.privacy.forgetting import Marks, overwritten
from processor.steps.batch import Forgets, microseconds
from runtime.settings import Settings

SEGMENT_RECORDS = 50_000
SEGMENT_BYTES = 64 * 1024 * 1024
DAY_MS = 24 * 3600 * 1000


@dataclass
class ArchiveReport:
    """What a run did: records moved and segments written, by topic; segments written anew for people forgotten."""

    moved: dict[str, int] = field(default_factory=lambda: {EVENTS: 0, RUNS: 0})
    segments: int = 0
    rewritten: int = 0


def archive_log(settings: Settings, log: StoredLog, archive: Archive, now_ms: int | None = None) -> ArchiveReport:
    """Archive what is older than `settings.archive_days`. Raises ThumbwheelError `archive_busy` beside another run."""
    limit_ms = (time.time_ns() // 1_000_000 if now_ms is None else now_ms) - int(settings.archive_days * DAY_MS)
    with _alone(settings):
        manifest = archive.manifest()
        forgets = _read_forgets(ArchivedLog(log, archive))
        marks: Marks = {(bytes.fromhex(key), digest) for key, digest in manifest.forgotten}
        report = ArchiveReport()
        digest = hashlib.sha256(repr(sorted(forgets.rows())).encode()).hexdigest()
        if digest != manifest.forgets:
            _rewrite(archive, manifest, forgets, marks, report)
        places = [(topic, partition) for topic in (EVENTS, RUNS) for partition in range(log.partitions(topic))]
        for place in places:
            for records in _old(log, place, _reached(log, manifest, place), limit_ms):
                manifest.segments.append(archive.write(_without(records, forgets, marks)))
                report.moved[place[0]] += len(records)
                report.segments += 1
        manifest.forgets = digest
        manifest.forgotten = sorted((key.hex(), actor) for key, actor in marks)
        archive.put_manifest(manifest)
        for place in places:
            log.cut(*place, _reached(log, manifest, place))
        if isinstance(log, Erasable):
            log.purge()
    return report


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    folder = settings.home / "run"
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / "archive.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise ThumbwheelError("archive_busy", "The log is being archived already.", "Wait for that run.") from error
    finally:
        os.close(lock)


def _read_forgets(log: Log) -> Forgets:
    forgets = Forgets()
    for records in _read(log, (RUNS, 0), log.start_offset(RUNS, 0), log.end_offset(RUNS, 0)):
        for record in records:
            try:
                fact = decode_stored(record.value)
            except EventError:
                continue
            if isinstance(fact, Forget) and fact.before.tzinfo is not None:
                forgets.add(str(fact.project), fact.actor_digest, microseconds(fact.before))
    return forgets


def _read(log: Log, place: tuple[str, int], start: int, stop: int) -> Iterator[list[Record]]:
    """Yield consecutive records of a partition, a segment's worth at a time."""
    reader = log.reader({place: start})
    held: list[Record] = []
    size = 0
    try:
        while start < stop:
            records = [record for record in reader.poll(1000, 5.0) if record.offset < stop]
            if not records:
                break  # What is left of the stretch holds no records of ours.
            start = records[-1].offset + 1
            held += records
            size += sum(len(record.value) for record in records)
            if len(held) >= SEGMENT_RECORDS or size >= SEGMENT_BYTES:
                yield held
                held, size = [], 0
        if held:
            yield held
    finally:
        reader.close()


def _old(log: Log, place: tuple[str, int], start: int, limit_ms: int) -> Iterator[list[Record]]:
    """Yield records up to the first one that is not old enough."""
    for records in _read(log, place, start, log.end_offset(*place)):
        young = next((at for at, record in enumerate(records) if record.timestamp_ms >= limit_ms), len(records))
        if young:
            yield records[:young]
        if young < len(records):
            return


def _reached(log: Log, manifest: Manifest, place: tuple[str, int]) -> int:
    """Return the offset up to which the archive holds a partition."""
    segments = archived(manifest).get(place)
    return segments[-1].stop if segments else log.start_offset(*place)


def _rewrite(archive: Archive, manifest: Manifest, forgets: Forgets, marks: Marks, report: ArchiveReport) -> None:
    """Write segments anew that hold somebody forgotten; first find all of their events, since copies may lie apart."""
    events = [segment for segment in manifest.segments if segment.topic == EVENTS]
    for segment in events:
        overwritten(archive.read(segment), forgets, marks)
    for at, segment in enumerate(manifest.segments):
        records = archive.read(segment)
        left = _without(records, forgets, marks)
        if left != records:
            manifest.segments[at] = archive.write(left)
            report.rewritten += 1


def _without(records: list[Record], forgets: Forgets, marks: Marks) -> list[Record]:
    overwritten(records, forgets, marks)
    found = overwritten(records, forgets, marks)
    return [
        record._replace(key=found[record.offset][0], value=found[record.offset][1])
        if record.offset in found else record for record in records
    ]  # fmt: skip
