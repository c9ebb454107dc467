"""Sends records to Kafka at least once, bounded in bytes and in time.

Why not idempotent: with kafka-python 3.0.12 an idempotent producer that met a broker freeze longer than its delivery
time-out never recovered; the plain one recovers at once and doubles some records, which event ids make harmless.
The client bounds nothing itself, may wedge, and its `close` may raise and leave its thread running: this module
counts what is in flight, watches the oldest send and builds a new producer when that one is overdue.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from kafka import KafkaProducer
from kafka.errors import KafkaError

from contract.errors import LogUnavailable
from contract.topics import TOPICS
from eventlog.kafka_log.client import REQUEST_TIMEOUT_MS

log = logging.getLogger(__name__)

# Records sent and not yet answered for; past it send() refuses, so that memory stays bounded while brokers are away.
MAX_IN_FLIGHT_BYTES = 64 * 1024 * 1024
RECORD_OVERHEAD_BYTES = 200
DELIVERY_TIMEOUT_MS = 10_000
# The producer answers for every send within its delivery time-out; one that has not after this is wedged.
OVERDUE_SECONDS = 15.0
WATCH_SECONDS = 0.5
FORCED_CLOSE_SECONDS = 2.0
# How long a refused send speaks against the brokers while nobody tries another one.
FAILURE_SECONDS = 15.0

PRODUCER_SETTINGS: dict[str, Any] = {
    "acks": "all",
    "enable_idempotence": False,
    # One request at a time, or a retry could overtake its successor; while it is under way the next batch fills.
    "max_in_flight_requests_per_connection": 1,
    "batch_size": 256 * 1024,
    "linger_ms": 0,
    "max_request_size": 1024 * 1024,
    "max_block_ms": 5_000,
    "request_timeout_ms": REQUEST_TIMEOUT_MS,
    "delivery_timeout_ms": DELIVERY_TIMEOUT_MS,
    "allow_auto_create_topics": False,
    "metrics_enabled": False,
}


class Outgoing(NamedTuple):
    """A record to send."""

    topic: str
    partition: int
    key: bytes
    value: bytes


class _Send:
    """The records of one call, until the producer has answered for each."""

    __slots__ = ("futures", "size", "started")

    def __init__(self, size: int) -> None:
        self.started = time.monotonic()
        self.size = size
        # None until all are handed over: an unfinished hand-over is not answered for.
        self.futures: list[Any] | None = None

    def answered(self) -> bool:
        return self.futures is not None and all(future is None or future.is_done for future in self.futures)


class Sender:
    """A producer that is replaced when it wedges. Thread-safe; make it after a fork."""

    def __init__(self, connect: Callable[[], KafkaProducer]) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._sends: dict[int, _Send] = {}
        self._next_send = 0
        self._bytes = 0
        self._closing = threading.Event()
        self._failed_at = float("-inf")
        self.rebuilt = 0
        self._producer = self._ready_producer()
        self._watch = threading.Thread(target=self._watch_loop, name="log-watch", daemon=True)
        self._watch.start()

    def _ready_producer(self) -> KafkaProducer:
        producer = self._connect()
        for topic in TOPICS:
            # Otherwise the first send of each topic would wait for its metadata, holding up a request.
            producer.partitions_for(topic)
        return producer

    def in_flight_bytes(self) -> int:
        """Return how many bytes wait for an answer from the brokers."""
        return self._bytes

    def send(self, records: Sequence[Outgoing], timeout_s: float) -> list[int | None]:
        """Send and return each record's offset, None where the brokers did not acknowledge it in time."""
        deadline = time.monotonic() + timeout_s
        send = _Send(sum(len(record.key) + len(record.value) + RECORD_OVERHEAD_BYTES for record in records))
        with self._lock:
            if self._closing.is_set():
                raise LogUnavailable("The log is closed.")
            if self._bytes and self._bytes + send.size > MAX_IN_FLIGHT_BYTES:
                return [None] * len(records)
            self._bytes += send.size
            self._next_send = number = self._next_send + 1
            self._sends[number] = send
            producer = self._producer
        send.futures = [_hand_over(producer, record) for record in records]
        offsets = [_offset(future, deadline) for future in send.futures]
        sent = [offset for future, offset in zip(send.futures, offsets, strict=True) if future is not None]
        if sent:
            self._failed_at = time.monotonic() if None in sent else float("-inf")
        with self._lock:
            # What is not answered stays counted; the watch releases it once the producer gives it up.
            self._release_if_answered(number, send)
        return offsets

    def failing(self) -> bool:
        """Say whether the last send was not acknowledged, a moment ago."""
        return time.monotonic() - self._failed_at < FAILURE_SECONDS

    def _release_if_answered(self, number: int, send: _Send) -> None:
        if send.answered() and self._sends.pop(number, None) is not None:
            self._bytes -= send.size

    # -- watching

    def _watch_loop(self) -> None:
        while not self._closing.wait(WATCH_SECONDS):
            with self._lock:
                for number, send in list(self._sends.items()):
                    self._release_if_answered(number, send)
                oldest = next(iter(self._sends.values()), None)
            if oldest is not None and time.monotonic() - oldest.started > OVERDUE_SECONDS:
                self._rebuild(time.monotonic() - oldest.started)

    def _rebuild(self, age_s: float) -> None:
        """Replace the producer; what the old one has not sent is answered as not acknowledged."""
        log.warning("A send to Kafka is unanswered for %.0f s; connecting anew.", age_s)
        try:
            producer = self._ready_producer()
        except (KafkaError, LogUnavailable) as error:
            log.warning("Connecting anew failed: %s", error)
            return
        with self._lock:
            old, self._producer = self._producer, producer
            for send in self._sends.values():
                self._bytes -= send.size
            self._sends.clear()
        self.rebuilt += 1
        close_producer(old, 0.0)
        if self._closing.is_set():
            close_producer(producer, 0.0)

    def close(self, timeout_s: float) -> None:
        """Send what waits for up to `timeout_s` seconds; every caller of `send` is answered."""
        with self._lock:
            if self._closing.is_set():
                return
            self._closing.set()
        close_producer(self._producer, timeout_s)
        self._watch.join(FORCED_CLOSE_SECONDS)


def _hand_over(producer: KafkaProducer, record: Outgoing) -> Any:
    """Return the record's future, None when the producer does not take it."""
    try:
        return producer.send(record.topic, record.value, record.key, partition=record.partition)
    except (KafkaError, ValueError) as error:
        # ValueError: the partition is unknown because its leader is.
        log.warning("Kafka's producer did not take a record for %s: %s", record.topic, error)
        return None


def _offset(future: Any, deadline: float) -> int | None:
    if future is None:
        return None
    try:
        offset: int = future.get(timeout=max(0.0, deadline - time.monotonic())).offset
    except KafkaError:
        return None
    return offset if offset >= 0 else None


def close_producer(producer: KafkaProducer, timeout_s: float) -> None:
    """Close within about `timeout_s` seconds, failing what is not sent by then.

    `KafkaProducer.close` raises when it cannot flush in time, before it stops its thread (3.0.12): stop that here.
    """
    try:
        producer.close(timeout=timeout_s)
    except KafkaError as error:
        log.warning("Kafka's producer was closed with records unsent: %s", error)
        producer._sender.force_close()
        producer._sender.join(FORCED_CLOSE_SECONDS)
        producer._closed = True
