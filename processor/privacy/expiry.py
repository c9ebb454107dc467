"""Drops rejected events 30 days old: from the embedded log, and from the tables once their log no longer holds them.

Kafka's brokers drop them from the topic by themselves. A row of `rejected` goes with its record, on either log, so that
the tables stay those that a replay makes.
"""

from __future__ import annotations

import logging
import threading
import time

from contract.errors import ThumbwheelError
from contract.topics import REJECTED, REJECTED_RETENTION_MS
from eventlog.log import Expiring, Log
from processor.tables.store import Store

log_lines = logging.getLogger("processor.privacy.expiry")

EVERY_S = 3600.0
# Between two turns of the log's writers, so that appends hardly wait.
PAUSE_S = 0.05
_DELETE = 'DELETE FROM rejected WHERE topic = ? AND "partition" = ? AND "offset" < ?'


class Expiry:
    """Looks at the start and every hour, until `stop`."""

    def __init__(self, store: Store, log: Log) -> None:
        self._store = store
        self._log = log
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="processor-expire", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout_s: float = 1.0) -> None:
        """End after the turn in hand."""
        self._stopping.set()
        self._thread.join(timeout_s)

    def _follow(self) -> None:
        while not self._stopping.is_set():
            try:
                self.expire(time.time_ns() // 1_000_000)
            except ThumbwheelError as error:
                log_lines.warning("Rejected events are dropped later: %s", error.message)
            self._stopping.wait(EVERY_S)

    def expire(self, now_ms: int) -> int:
        """Drop what is too old at this Unix time, and return how many records left the embedded log."""
        dropped = 0
        for partition in range(self._log.partitions(REJECTED)):
            if isinstance(self._log, Expiring):
                while some := self._log.expire(REJECTED, partition, now_ms - REJECTED_RETENTION_MS):
                    dropped += some
                    if self._stopping.wait(PAUSE_S):
                        return dropped
            start = self._log.start_offset(REJECTED, partition)
            with self._store.transaction() as cursor:
                cursor.execute(_DELETE, [REJECTED, partition, start])
        return dropped
