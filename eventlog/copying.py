"""Copy a log into another: from the embedded one to Kafka, back, or to another number of partitions.

Records keep their bytes, and those of one key their order, so the tables made from the copy are those made from the
original. Run it with nothing appending to the source; what is appended later is not copied.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from contract.errors import LogUnavailable, ThumbwheelError
from contract.topics import TOPICS
from eventlog.held import read_held, spans_held
from eventlog.log import Entry, Log

CHUNK = 1000

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
    if not again and spans_held(target, TOPICS):
        raise ThumbwheelError(
            "not_empty", "The target holds records already.", "Name an empty one, or add --again: events count once."
        )
    spans = spans_held(source, TOPICS)
    report = CopyReport(dict.fromkeys(TOPICS, 0))
    total = sum(end - start for start, end in spans.values())
    silence = LogUnavailable("The source gives no more records.", "Is it reachable? Run the copy again.")
    for records in read_held(source, spans, records=CHUNK, silence=silence):
        entries = [Entry(record.topic, record.key, record.value) for record in records]
        if entries and None in target.append(entries, 60.0):
            raise LogUnavailable("The target did not confirm the write.", "Run the copy again with --again.")
        for record in records:
            report.copied[record.topic] += 1
        if progress is not None:
            progress(report.total, total)
    return report
