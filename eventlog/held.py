"""In: a log. Out: the records it holds, up to its ends as they are when it is asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from contract.errors import LogUnavailable
from eventlog.log import Log, Record

READ_SECONDS = 5.0
SILENT_READS = 6

Spans = Mapping[tuple[str, int], tuple[int, int]]


def spans_held(log: Log, topics: Iterable[str]) -> dict[tuple[str, int], tuple[int, int]]:
    """Return (start, end) offsets of the partitions that hold records. Raises LogUnavailable."""
    places = [(topic, partition) for topic in topics for partition in range(log.partitions(topic))]
    starts, ends = log.start_offsets(places), log.end_offsets(places)
    return {place: (starts[place], ends[place]) for place in places if ends[place] > starts[place]}


def read_held(log: Log, spans: Spans, *, records: int, silence: LogUnavailable) -> Iterator[list[Record]]:
    """Yield the records of `spans`, in lists of at most so many; those of a partition in order.

    `silence` is raised when the log gives no more of them for half a minute.
    """
    if not spans:
        return
    ends = {place: end for place, (_, end) in spans.items()}
    reached = {place: start for place, (start, _) in spans.items()}
    reader = log.reader(dict(reached))
    silent = 0
    try:
        while any(reached[place] < ends[place] for place in ends):
            found = [r for r in reader.poll(records, READ_SECONDS) if r.offset < ends[r.topic, r.partition]]
            silent = 0 if found else silent + 1
            if silent >= SILENT_READS:
                raise silence
            for record in found:
                reached[record.topic, record.partition] = record.offset + 1
            yield found
    finally:
        reader.close()
