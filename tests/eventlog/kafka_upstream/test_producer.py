"""The faults of kafka-python's producer that `eventlog.kafka_log.sender` works around are still there.

Each test fails once upstream has mended the fault, and says which workaround can go then (decision 0010).
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from tests.eventlog.kafka_upstream.fake_broker import TOPIC, FakeBroker
from tests.kafka_broker import Broker, apache_kafka

DELIVERY_SECONDS = 3.0


def test_close_raises_and_leaves_its_thread_running(broker: FakeBroker) -> None:
    producer = KafkaProducer(bootstrap_servers=broker.address, enable_idempotence=False, retries=0)
    producer.send(TOPIC, b"never acknowledged", partition=0)
    still = "`close` closes what it cannot flush: sender.close_producer can be producer.close."
    try:
        with pytest.raises(KafkaError):
            producer.close(timeout=0.3)
        time.sleep(0.3)
        assert producer._sender.is_alive(), still
        assert not producer._closed, still
    finally:
        producer._sender.force_close()
        producer._sender.join(5)
        producer._closed = True


def test_nothing_bounds_the_memory_of_what_waits() -> None:
    bounds = {name for name in KafkaProducer.DEFAULT_CONFIG if "memory" in name}
    assert bounds == set(), f"A producer bounds its memory by {bounds}: Sender need not count what is in flight."


def test_nothing_wakes_a_waiting_poll() -> None:
    assert not hasattr(KafkaConsumer, "wakeup"), "A waiting poll can be woken: KafkaReader needs no thread for that."


def acknowledged(producer: KafkaProducer, seconds: float) -> bool:
    """Say whether one record sent now is acknowledged in time."""
    try:
        future: Any = producer.send(TOPIC, b"value", partition=0)
        future.get(timeout=seconds)
    except KafkaError:
        return False
    return True


@pytest.mark.kafka
@pytest.mark.slow
def test_an_idempotent_producer_does_not_outlive_a_freeze(tmp_path: Path) -> None:
    if not apache_kafka():
        pytest.skip("needs Apache Kafka in ../shared/kafka and Java 17")
    broker = Broker.apache(tmp_path / "node").start()
    made: list[KafkaProducer] = []
    try:
        admin = KafkaAdminClient(bootstrap_servers=broker.wait().address)
        admin.create_topics({TOPIC: {"num_partitions": 1, "replication_factor": 1}})
        admin.wait_for_topics([TOPIC])
        admin.close()
        for idempotent in (True, False):
            made.append(KafkaProducer(
                bootstrap_servers=broker.address, acks="all", enable_idempotence=idempotent, request_timeout_ms=1_000,
                delivery_timeout_ms=int(DELIVERY_SECONDS * 1000), max_in_flight_requests_per_connection=1,
            ))  # fmt: skip
            assert acknowledged(made[-1], 20)
        broker.freeze()
        assert not any(acknowledged(producer, 2 * DELIVERY_SECONDS) for producer in made)
        broker.thaw()
        recovered: list[bool] = []
        for producer in reversed(made):
            until = time.monotonic() + 20
            while not (well := acknowledged(producer, DELIVERY_SECONDS)) and time.monotonic() < until:
                time.sleep(0.1)
            recovered.append(well)
        assert recovered[0], "the plain one recovers"
        assert not recovered[1], "An idempotent producer outlives a freeze: PRODUCER_SETTINGS may ask for idempotence."
    finally:
        broker.thaw()
        for producer in made:
            producer._sender.force_close()
            producer._sender.join(5)
            producer._closed = True
        broker.kill()
