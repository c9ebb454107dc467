"""What the reproductions share: a broker that answers as told, and a static member of a group there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kafka import ConsumerRebalanceListener, KafkaConsumer

from tests.eventlog.kafka_upstream.fake_broker import TOPIC, FakeBroker
from tests.waiting import eventually

# Quick, so that a session is over within a second; each can be another.
QUICK: dict[str, Any] = {
    "group_id": "group", "group_instance_id": "static", "session_timeout_ms": 900, "heartbeat_interval_ms": 100,
    "max_poll_interval_ms": 60_000, "enable_auto_commit": False, "retry_backoff_ms": 20, "request_timeout_ms": 5_000,
}  # fmt: skip


class Told(ConsumerRebalanceListener):  # type: ignore[misc]
    """Remembers what the consumer was told; reads nothing of what it is given."""

    def __init__(self) -> None:
        self.consumer: KafkaConsumer = None
        self.history: list[str] = []

    def on_partitions_revoked(self, revoked: Any) -> None:
        self.history.append("revoked")

    def on_partitions_assigned(self, assigned: Any) -> None:
        self.history.append("assigned")
        for place in assigned:
            self.consumer.pause(place)
            self.consumer.seek(place, 0)

    def on_partitions_lost(self, lost: Any) -> None:
        self.history.append("lost")


@pytest.fixture
def broker() -> Iterator[FakeBroker]:
    fake = FakeBroker()
    yield fake
    fake.close()


@pytest.fixture
def join(broker: FakeBroker) -> Iterator[Callable[..., tuple[KafkaConsumer, Told]]]:
    """Makes members of a group, subscribed and not yet joined."""
    made: list[KafkaConsumer] = []

    def make(**settings: Any) -> tuple[KafkaConsumer, Told]:
        told = Told()
        told.consumer = KafkaConsumer(bootstrap_servers=broker.address, **(QUICK | settings))
        made.append(told.consumer)
        told.consumer.subscribe([TOPIC], listener=told)
        # A join that overtakes them leads to another one, and may come to nothing (see test_group.py).
        eventually(lambda: told.consumer._coordinator._metadata_snapshot.get(TOPIC))
        return told.consumer, told

    yield make
    for consumer in made:
        consumer.close(autocommit=False, timeout_ms=200)
