"""A collector whose log on Kafka sends with confluent-kafka: python -m bench.confluent_sender

For `bench.kafka_clients` only, to tell what the client costs a collector. It sends, waits and answers as
`eventlog.kafka_log.sender` does, and has gone through none of that one's faults.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import eventlog.kafka_log.log
from eventlog.kafka_log.sender import PRODUCER_SETTINGS, Outgoing
from runtime.settings import load_settings

POLL_SECONDS = 0.1


def make_producer(address: str) -> Any:
    """Return a producer with the log's own promises: acks=all, one request a broker at a time, no idempotence."""
    from confluent_kafka import Producer

    return Producer({
        "bootstrap.servers": address, "acks": "all", "enable.idempotence": False,
        "linger.ms": PRODUCER_SETTINGS["linger_ms"], "batch.size": PRODUCER_SETTINGS["batch_size"],
        "max.in.flight.requests.per.connection": PRODUCER_SETTINGS["max_in_flight_requests_per_connection"],
        "delivery.timeout.ms": PRODUCER_SETTINGS["delivery_timeout_ms"],
    })  # fmt: skip


class ConfluentSender:
    """As `eventlog.kafka_log.sender.Sender` to its callers."""

    def __init__(self, connect: Any) -> None:
        self._producer = make_producer(urlsplit(load_settings().log_url).netloc)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._answer, daemon=True)
        self._thread.start()

    def _answer(self) -> None:
        while not self._closing.is_set():
            self._producer.poll(POLL_SECONDS)

    def send(self, records: Sequence[Outgoing], timeout_s: float) -> list[int | None]:
        """Send and return each record's offset, None where the brokers did not acknowledge it in time."""
        offsets: list[int | None] = [None] * len(records)
        left = len(records)
        done = threading.Lock()
        done.acquire()

        def answered(index: int, error: Any, message: Any) -> None:
            nonlocal left
            if error is None:
                offsets[index] = message.offset()
            left -= 1
            if left == 0:
                done.release()

        for index, one in enumerate(records):
            self._producer.produce(
                one.topic, one.value, one.key, one.partition, on_delivery=partial(answered, index)
            )  # fmt: skip
        done.acquire(timeout=timeout_s)
        return offsets

    def in_flight_bytes(self) -> int:
        """Return 0: not counted here."""
        return 0

    def failing(self) -> bool:
        """Return False: not watched here."""
        return False

    def close(self, timeout_s: float) -> None:
        """Send what waits."""
        self._producer.flush(timeout_s)
        self._closing.set()
        self._thread.join(2 * POLL_SECONDS)


def main() -> int:
    """Serve as `python -m collector` does."""
    from collector.__main__ import main as serve_collector

    eventlog.kafka_log.log.Sender = ConfluentSender  # type: ignore[assignment,misc]
    return serve_collector()


if __name__ == "__main__":
    raise SystemExit(main())
