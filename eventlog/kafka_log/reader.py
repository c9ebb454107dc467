"""Reads Kafka partitions from given offsets: `assign` and `seek`, no consumer group.

A thread of its own keeps fetching while a batch is processed, up to a bound, and lets `poll` wait on a condition that
`wake` can end, which KafkaConsumer's own poll cannot.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, LogTruncationError, OffsetOutOfRangeError

from contract.errors import LogUnavailable
from contract.topics import REJECTED
from eventlog.kafka_log.records import yield_records
from eventlog.log import Record, offset_not_in_log

log = logging.getLogger(__name__)

# Fetched and not yet polled; past it fetching pauses.
MAX_WAITING_BYTES = 16 * 1024 * 1024
FETCH_RECORDS = 2000
FETCH_SECONDS = 0.5
RETRY_SECONDS = 0.5
CLOSE_SECONDS = 5.0

CONSUMER_SETTINGS: dict[str, Any] = {
    "group_id": None,
    "enable_auto_commit": False,
    # An offset that is not there is an error to report, never a place to jump from.
    "auto_offset_reset": "none",
    "fetch_max_wait_ms": int(FETCH_SECONDS * 1000),
    "fetch_max_bytes": 8 * 1024 * 1024,
    "max_partition_fetch_bytes": 1024 * 1024,
    "metrics_enabled": False,
}


class KafkaReader:
    """Reads on from given offsets. `poll` and `wake` may be called from different threads."""

    def __init__(self, connect: Callable[[], KafkaConsumer], positions: Mapping[tuple[str, int], int]) -> None:
        self._consumer = connect()
        yield_records(self._consumer)
        self._consumer.assign([TopicPartition(*place) for place in positions])
        for place, offset in positions.items():
            self._consumer.seek(TopicPartition(*place), offset)
        self._changed = threading.Condition()
        # As they were fetched, with their size.
        self._chunks: deque[tuple[list[Record], int]] = deque()
        self._waiting_bytes = 0
        self._error: LogUnavailable | None = None
        self._woken = False
        self._closing = False
        self._fetcher = threading.Thread(target=self._fetch_loop, name="log-fetch", daemon=True)
        self._fetcher.start()

    def poll(self, max_records: int = 1000, wait_s: float = 1.0) -> list[Record]:
        """Return the next records; wait up to `wait_s` seconds for the first one.

        Raises LogUnavailable when the next offset is not in the log any more, or not yet.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._chunks or self._woken or self._error or self._closing, wait_s)
            if not self._chunks:
                self._woken = False
                if self._error is not None:
                    raise self._error
                return []
            taken: list[Record] = []
            while self._chunks and len(taken) < max_records:
                chunk, size = self._chunks.popleft()
                left = chunk[max_records - len(taken) :]
                if left:
                    left_size = _size(left)
                    self._chunks.appendleft((left, left_size))
                    chunk, size = chunk[: -len(left)], size - left_size
                taken += chunk
                self._waiting_bytes -= size
            self._changed.notify_all()
            return taken

    def _fetch_loop(self) -> None:
        try:
            while self._wait_for_room():
                try:
                    self._fetch()
                except (OffsetOutOfRangeError, LogTruncationError) as error:
                    if not self._skip_expired(error):
                        return
                except KafkaError as error:
                    log.warning("Reading from Kafka failed, trying again: %s", error)
                    time.sleep(RETRY_SECONDS)
        except Exception as error:  # A fault in the client must reach `poll`, or reading stops unseen.
            log.exception("Reading from Kafka ended")
            why = f"{type(error).__name__}: {error}"
            self._end(LogUnavailable(f"Reading from Kafka ended: {why}", "Restart this process."))
        finally:
            self._consumer.close(autocommit=False, timeout_ms=1000)

    def _wait_for_room(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._closing or self._waiting_bytes < MAX_WAITING_BYTES)
            return not self._closing

    def _fetch(self) -> None:
        fetched = self._consumer.poll(timeout_ms=int(FETCH_SECONDS * 1000), max_records=FETCH_RECORDS)
        records = [record for found in fetched.values() for record in found]
        if not records:
            return
        size = _size(records)
        with self._changed:
            self._chunks.append((records, size))
            self._waiting_bytes += size
            self._changed.notify_all()

    def _skip_expired(self, error: Exception) -> bool:
        """Seek on where expired records are expected; keep any other error for `poll` and return False."""
        lost = list(error.args[0]) if error.args and isinstance(error.args[0], dict) else []
        if lost and all(place.topic == REJECTED for place in lost) and isinstance(error, OffsetOutOfRangeError):
            starts = self._consumer.beginning_offsets(lost)
            if all(starts[place] > error.args[0][place] for place in lost):
                for place in lost:
                    log.warning("%s %d: reading on at offset %d.", place.topic, place.partition, starts[place])
                    self._consumer.seek(place, starts[place])
                return True
        where = ", ".join(f"{place.topic} {place.partition}" for place in lost) or str(error)
        self._end(offset_not_in_log(where))
        return False

    def _end(self, error: LogUnavailable) -> None:
        with self._changed:
            self._error = error
            self._changed.notify_all()

    def wake(self) -> None:
        """Make a `poll` that waits in another thread return at once."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def close(self) -> None:
        """Stop fetching and release the connection."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._fetcher.join(CLOSE_SECONDS)


def _size(records: list[Record]) -> int:
    return sum([len(record.value) + len(record.key) + 100 for record in records])
