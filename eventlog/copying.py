"""Copy a log into another: from the embedded one to Kafka, back, or to another number of partitions.

Records keep their bytes, and those of one key their order, so the tables made from the copy are those made from the
original. Run it with nothing appending to the source; what is appended later is not copied.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from contract.errors import LogUnavailable, ThumbwheelError
from contract.topics import TOPICS
from eventlog.log import Entry, Log

CHUNK = 1000
READ_SECONDS = 5.0
SILENT_READS = 6

Progress = Callable[[int, int], None]


@dataclass
class CopyReport:
    """Records copied, by topic."""

    copied: dict[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Return the records of all topics."""
        return sum(self.copied.values())


def copy_log(source: Log, target: Log, again: bool = False, progress: Progress | None = None) -> CopyReport:
    """Copy what the source holds now.

    Raises ThumbwheelError `not_empty` for a target that holds records, unless `again`: an interrupted copy may be run
    again, since events count once. Raises LogUnavailable when either side does not answer; nothing is lost by that.
    """
    if not again and any(_spans(target).values()):
        raise ThumbwheelError(
            "not_empty", "The target holds records already.", "Name an empty one, or add --again: events count once."
        )
    spans = _spans(source)
    report = CopyReport(dict.fromkeys(TOPICS, 0))
    total = sum(end - start for start, end in spans.values())
    ends = {place: end for place, (_, end) in spans.items()}
    reached = {place: start for place, (start, _) in spans.items()}
    reader = source.reader(dict(reached))
    silent = 0
    try:
        while any(reached[place] < ends[place] for place in ends):
            records = [r for r in reader.poll(CHUNK, READ_SECONDS) if r.offset < ends[r.topic, r.partition]]
            silent = 0 if records else silent + 1
            if silent >= SILENT_READS:
                raise LogUnavailable("The source gives no more records.", "Is it reachable? Run the copy again.")
            entries = [Entry(record.topic, record.key, record.value) for record in records]
            if entries and None in target.append(entries, 60.0):
                raise LogUnavailable("The target did not confirm the write.", "Run the copy again with --again.")
            for record in records:
                report.copied[record.topic] += 1
                reached[record.topic, record.partition] = record.offset + 1
            if progress is not None:
                progress(report.total, total)
    finally:
        reader.close()
    return report


def _spans(log: Log) -> dict[tuple[str, int], tuple[int, int]]:
    """Return (start, end) offsets of the partitions that hold records."""
    places = [(topic, partition) for topic in TOPICS for partition in range(log.partitions(topic))]
    starts, ends = log.start_offsets(places), log.end_offsets(places)
    return {place: (starts[place], ends[place]) for place in places if ends[place] > starts[place]}
