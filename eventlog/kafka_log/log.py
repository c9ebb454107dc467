"""The log on Apache Kafka: at-least-once producer, `acks=all`, readers that keep their own offsets.

    open_log("kafka://h1:9092,h2:9092?security_protocol=SASL_SSL&sasl_mechanism=PLAIN&sasl_plain_username=...")

One record per entry, its partition chosen as the embedded log does. What is acknowledged is on all in-sync replicas.
A record reported as not acknowledged may be in the log, and a record may be in it twice; event ids make both harmless.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeVar

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import KafkaError

from contract.errors import LogUnavailable, SettingsError
from contract.topics import EVENTS, REJECTED, TOPICS, partition_of
from eventlog.kafka_log.client import Cluster, prepare_topics, promise_of
from eventlog.kafka_log.group import GroupMember
from eventlog.kafka_log.reader import CONSUMER_SETTINGS, KafkaReader
from eventlog.kafka_log.sender import PRODUCER_SETTINGS, Outgoing, Sender
from eventlog.log import Entry, Position, offset_not_in_log

ASK_SECONDS = 10.0
CHECK_SECONDS = 3.0
RETRY_SECONDS = 0.2

T = TypeVar("T")


class KafkaLog:
    """The `Log` on Kafka. One instance per process; open it after a fork."""

    def __init__(self, bootstrap: str, options: Mapping[str, str] | None = None, partitions: int | None = None) -> None:
        self._cluster = Cluster(bootstrap, options or {})
        self._pid = os.getpid()
        self._admin = self._cluster.admin()
        try:
            self._topics = self._ask(
                lambda: prepare_topics(self._admin, partitions, self._cluster.allow_unsafe), ASK_SECONDS
            )
            self.promise = promise_of(self._topics)
            self.keeps_all = not self._cluster.allow_unsafe
            self._sender = Sender(lambda: self._cluster.connect(KafkaProducer, **PRODUCER_SETTINGS))
        except BaseException:
            self._admin.close()
            raise

    def _ask(self, question: Callable[[], T], seconds: float) -> T:
        """Ask the cluster, again while a broker is being elected or restarted; raises LogUnavailable."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                return question()
            except KafkaError as error:
                if not error.retriable or time.monotonic() > deadline:
                    raise LogUnavailable(
                        f"Kafka at {self._cluster.servers} does not answer: {error or type(error).__name__}",
                        "Check that the brokers run and that the user may read and write the topics.",
                    ) from error
                time.sleep(RETRY_SECONDS)

    # -- writing

    def append(self, entries: Sequence[Entry], timeout_s: float = 10.0) -> list[Position | None]:
        """Append and return positions once all in-sync replicas have them; None where that is not known in time."""
        if os.getpid() != self._pid:
            raise LogUnavailable("This log was opened before a fork.", "Open it in the worker process.")
        outgoing = [self._outgoing(entry) for entry in entries]
        offsets = self._sender.send(outgoing, timeout_s)
        return [
            None if offset is None else Position(record.topic, record.partition, offset)
            for record, offset in zip(outgoing, offsets, strict=True)
        ]

    def _outgoing(self, entry: Entry) -> Outgoing:
        if entry.topic not in self._topics:
            raise SettingsError("log_topic", f"Unknown topic {entry.topic!r}.", f"Use one of {TOPICS}.")
        partition = partition_of(entry.key, self._topics[entry.topic].partitions)
        return Outgoing(entry.topic, partition, entry.key.encode(), entry.value)

    # -- reading

    def partitions(self, topic: str) -> int:
        """Return how many partitions the topic has."""
        return self._topics[topic].partitions

    def start_offset(self, topic: str, partition: int) -> int:
        """Return the offset of the oldest record still there; the end when there is none."""
        return self.start_offsets([(topic, partition)])[topic, partition]

    def end_offset(self, topic: str, partition: int) -> int:
        """Return the offset the next record will get."""
        return self.end_offsets([(topic, partition)])[topic, partition]

    def start_offsets(self, places: Collection[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """Return the offsets of the oldest records still there; the brokers are asked once."""
        return self._offsets(places, OffsetSpec.EARLIEST)

    def end_offsets(self, places: Collection[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """Return the offsets the next records will get; the brokers are asked once."""
        return self._offsets(places, OffsetSpec.LATEST)

    def _offsets(self, places: Collection[tuple[str, int]], which: OffsetSpec) -> dict[tuple[str, int], int]:
        wanted = {TopicPartition(*place): which for place in places}
        found = self._ask(lambda: self._admin.list_partition_offsets(wanted), ASK_SECONDS)
        return {(place.topic, place.partition): int(answer.offset) for place, answer in found.items()}

    def reader(self, positions: Mapping[tuple[str, int], int]) -> KafkaReader:
        """Return a reader that starts at the given next offsets, by (topic, partition).

        Raises LogUnavailable when the log does not hold one of them; expired rejected events are passed over.
        """
        starts, ends = self.start_offsets(positions), self.end_offsets(positions)
        begin = dict(positions)
        for place in positions:
            topic, partition = place
            if topic == REJECTED and begin[place] < starts[place]:
                begin[place] = starts[place]
            if not starts[place] <= begin[place] <= ends[place]:
                raise offset_not_in_log(f"{topic} {partition}: {begin[place]} of {starts[place]}..{ends[place]}")
        return KafkaReader(lambda: self._cluster.connect(KafkaConsumer, **CONSUMER_SETTINGS), begin)

    def member(self, name: str, session_s: float) -> GroupMember:
        """Join the group that shares the partitions of EVENTS, in the background."""
        return GroupMember(self._cluster, name, session_s, partitions=self.partitions(EVENTS))

    def cut(self, topic: str, partition: int, before: int) -> None:
        """Have the brokers drop records before this offset; they free the disk a whole segment at a time."""
        place = TopicPartition(topic, partition)
        if before > self.start_offset(topic, partition):
            self._ask(lambda: self._admin.delete_records({place: before}), ASK_SECONDS)

    # -- health

    def check(self) -> None:
        """Raise LogUnavailable when the brokers do not answer or did not take the last records.

        Metadata alone does not tell: where the quorum of controllers is lost with the brokers, it stays as it was.
        """
        topics = self._ask(lambda: self._admin.describe_topics([EVENTS]), CHECK_SECONDS)
        for partition in topics[0].get("partitions", []):
            if partition["leader_id"] < 0 or len(partition["isr_nodes"]) < self._topics[EVENTS].min_in_sync:
                raise LogUnavailable(
                    f"{EVENTS} {partition['partition_index']} cannot be written: too few replicas are in sync.",
                    "Bring the missing brokers back.",
                )
        if self._sender.failing():
            raise LogUnavailable("Kafka did not acknowledge the last records.", "Check the brokers' logs and disks.")

    def close(self, timeout_s: float = 5.0) -> None:
        """Send what waits, answer it, and disconnect."""
        self._sender.close(timeout_s)
        self._admin.close()
