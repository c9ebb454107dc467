"""Old records of a log as Parquet files in a folder or object storage, and a log that reads them first.

    archive = Archive("s3://bucket/thumbwheel")          # or a folder: any address fsspec knows
    log = with_archive(open_log(url), archive)

A segment is one file of consecutive records of a partition, named in `manifest.json` with its offsets and SHA-256; a
file the manifest does not name does not count. Who writes is `processor.history.archiving`, one at a time.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import fsspec
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from contract.errors import ThumbwheelError
from eventlog.log import Entry, Log, Position, Reader, Record, offset_not_in_log
from eventlog.membership import Member
from runtime.files import write_whole

MANIFEST = "manifest.json"
VERSION = 1
_SCHEMA = pa.schema([
    ("topic", pa.string()), ("partition", pa.int32()), ("offset", pa.int64()), ("key", pa.string()),
    ("timestamp", pa.timestamp("ms", "UTC")), ("value", pa.binary()),
])  # fmt: skip


class Segment(msgspec.Struct, frozen=True):
    """One file: the records of a partition from offset `start` up to, not including, `stop`."""

    name: str
    topic: str
    partition: int
    start: int
    stop: int
    sha256: str


class Manifest(msgspec.Struct):
    """What the archive holds. `forgets`: digest of who was forgotten when it was written; `forgotten`: their events,
    as (event key, actor digest), in hex.
    """

    version: int = VERSION
    segments: list[Segment] = []
    forgets: str = ""
    forgotten: list[tuple[str, str]] = []


@dataclass
class Archive:
    """The archive at an address."""

    url: str

    def __post_init__(self) -> None:
        try:
            self._files, self._root = fsspec.core.url_to_fs(self.url)
        except (ValueError, ImportError) as error:
            raise ThumbwheelError(
                "archive_address", f"THUMBWHEEL_ARCHIVE={self.url!r} cannot be used: {error}",
                "Name a folder, or an address fsspec knows, with its package installed.",
            ) from error  # fmt: skip

    def manifest(self) -> Manifest:
        """Return what the archive holds; nothing where there is none yet. Raises ThumbwheelError."""
        try:
            found = msgspec.json.decode(self._files.cat_file(self._path(MANIFEST)), type=Manifest)
        except FileNotFoundError:
            return Manifest()
        except (OSError, msgspec.MsgspecError) as error:
            raise self._damaged(MANIFEST, str(error)) from error
        if found.version != VERSION:
            raise ThumbwheelError("archive_newer", f"{self.url} was written by another release.", "Use that release.")
        return found

    def put_manifest(self, manifest: Manifest) -> None:
        """Write the manifest, then remove files it does not name."""
        manifest.segments.sort(key=lambda segment: (segment.topic, segment.partition, segment.start))
        self._put(MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=1))
        known = {self._path(segment.name) for segment in manifest.segments}
        for path in self._files.find(self._root):
            if path.endswith((".parquet", ".new")) and path not in known:
                self._files.rm_file(path)

    def read(self, segment: Segment) -> list[Record]:
        """Return the records of a segment; raises ThumbwheelError for a file that is gone or was changed."""
        try:
            raw = self._files.cat_file(self._path(segment.name))
        except OSError as error:
            raise self._damaged(segment.name, str(error) or "it is gone") from error
        if hashlib.sha256(raw).hexdigest() != segment.sha256:
            raise self._damaged(segment.name, "its bytes are not those that were written")
        table = pq.read_table(pa.BufferReader(raw))
        times = table["timestamp"].cast(pa.int64())
        columns = [table["offset"], table["key"], table["value"], times]
        rows = zip(*(column.to_pylist() for column in columns), strict=True)
        return [Record(segment.topic, segment.partition, *row) for row in rows]

    def write(self, records: Sequence[Record]) -> Segment:
        """Write consecutive records of one partition as a file, read it back, and return its segment."""
        first, last = records[0], records[-1]
        columns = [[record[at] for record in records] for at in (0, 1, 2, 3, 5, 4)]
        sink = pa.BufferOutputStream()
        arrays = [pa.array(values, kind) for values, kind in zip(columns, _SCHEMA.types, strict=True)]
        pq.write_table(pa.Table.from_arrays(arrays, schema=_SCHEMA), sink, compression="zstd")
        raw = sink.getvalue().to_pybytes()
        digest = hashlib.sha256(raw).hexdigest()
        name = f"{first.topic}/{first.partition:05d}/{first.offset:020d}-{digest[:12]}.parquet"
        segment = Segment(name, first.topic, first.partition, first.offset, last.offset + 1, digest)
        self._put(name, raw)
        if self.read(segment) != list(records):
            raise self._damaged(name, "it does not read back as written")
        return segment

    def _put(self, name: str, raw: bytes) -> None:
        path = self._path(name)
        if not isinstance(self._files, LocalFileSystem):
            self._files.pipe_file(path, raw)
            return
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write_whole(Path(path), raw, durable=True, mode=0o600)

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    def _damaged(self, name: str, why: str) -> ThumbwheelError:
        return ThumbwheelError(
            "archive_damaged", f"{name} in {self.url} cannot be used: {why}.", "Restore the archive from a copy."
        )


def archived(manifest: Manifest) -> dict[tuple[str, int], list[Segment]]:
    """Return the segments of each partition, in order."""
    found: dict[tuple[str, int], list[Segment]] = {}
    for segment in sorted(manifest.segments, key=lambda one: one.start):
        found.setdefault((segment.topic, segment.partition), []).append(segment)
    return found


class ArchivedLog:
    """A log whose readers begin in the archive where the log itself was cut."""

    def __init__(self, log: Log, archive: Archive) -> None:
        self._log = log
        self.archive = archive
        self.promise = log.promise
        self.keeps_all = log.keeps_all

    def append(self, entries: Sequence[Entry], timeout_s: float = 10.0) -> list[Position | None]:
        """Append to the log."""
        return self._log.append(entries, timeout_s)

    def partitions(self, topic: str) -> int:
        """Return how many partitions the topic has."""
        return self._log.partitions(topic)

    def start_offset(self, topic: str, partition: int) -> int:
        """Return the offset of the oldest record, in the archive or the log."""
        return self.start_offsets([(topic, partition)])[topic, partition]

    def start_offsets(self, places: Collection[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """Return the offsets of the oldest records, in the archive or the log."""
        segments, starts = archived(self.archive.manifest()), self._log.start_offsets(places)
        return {
            place: min(start, segments[place][0].start) if segments.get(place) else start
            for place, start in starts.items()
        }  # fmt: skip

    def end_offset(self, topic: str, partition: int) -> int:
        """Return the offset the next record will get."""
        return self._log.end_offset(topic, partition)

    def end_offsets(self, places: Collection[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """Return the offsets the next records will get."""
        return self._log.end_offsets(places)

    def reader(self, positions: Mapping[tuple[str, int], int]) -> Reader:
        """Return a reader that starts at the given next offsets, in the archive where the log begins later."""
        segments = archived(self.archive.manifest())
        wanted: deque[Segment] = deque()
        starts = self._log.start_offsets(positions)
        for place, offset in positions.items():
            start = starts[place]
            if offset >= start:
                continue
            needed = [segment for segment in segments.get(place, []) if segment.stop > offset and segment.start < start]
            if not needed or needed[0].start > offset:
                raise offset_not_in_log(f"{place[0]} {place[1]}: {offset}, neither in the archive")
            wanted.extend(needed)
        return ArchivedReader(self, wanted, positions) if wanted else self._log.reader(positions)

    def member(self, name: str, session_s: float) -> Member:
        """Take part in sharing the log's partitions."""
        return self._log.member(name, session_s)

    def check(self) -> None:
        """Raise LogUnavailable when the log cannot be reached."""
        self._log.check()

    def close(self, timeout_s: float = 5.0) -> None:
        """Flush and release the log."""
        self._log.close(timeout_s)


class ArchivedReader:
    """Reads segments, then the log."""

    def __init__(self, log: ArchivedLog, segments: deque[Segment], positions: Mapping[tuple[str, int], int]) -> None:
        self._log = log
        self._segments = segments
        self._next = dict(positions)
        self._waiting: deque[Record] = deque()
        self._reader: Reader | None = None

    def poll(self, max_records: int = 1000, wait_s: float = 1.0) -> list[Record]:
        """Return the next records; wait up to `wait_s` seconds for the first one."""
        while self._segments and not self._waiting:
            segment = self._segments.popleft()
            following = self._next[segment.topic, segment.partition]
            self._waiting.extend(record for record in self._log.archive.read(segment) if record.offset >= following)
        if self._waiting:
            taken = [self._waiting.popleft() for _ in range(min(max_records, len(self._waiting)))]
            self._next[taken[-1].topic, taken[-1].partition] = taken[-1].offset + 1
            return taken
        if self._reader is None:
            self._reader = self._log.reader(self._next)
        return self._reader.poll(max_records, wait_s)

    def wake(self) -> None:
        """Make a `poll` that waits in another thread return at once."""
        if self._reader is not None:
            self._reader.wake()

    def close(self) -> None:
        """Release what the reader holds."""
        if self._reader is not None:
            self._reader.close()


def with_archive(log: Log, url: str) -> Log:
    """Return the log as it is, or one that reads the archive at `url` first."""
    return ArchivedLog(log, Archive(url)) if url else log
