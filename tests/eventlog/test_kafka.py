"""What only the log on Kafka promises: safe topics, bounds, and going on after a broker froze, fell or forgot."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaTimeoutError

from contract.errors import LogUnavailable, SettingsError
from contract.topics import EVENTS, REJECTED, RUNS, TOPICS
from eventlog.kafka_log import client as kafka_client
from eventlog.kafka_log import sender as kafka_sender
from eventlog.kafka_log.client import Cluster
from eventlog.kafka_log.log import KafkaLog
from eventlog.log import Entry, Position
from tests.eventlog.test_log import entries, read, starts
from tests.eventlog.writers import Writers
from tests.kafka_broker import Broker, apache_kafka, free_port

pytestmark = pytest.mark.kafka


@pytest.fixture
def empty(apache: Broker) -> Broker:
    """The shared broker, without our topics."""
    apache.empty()
    return apache


@pytest.fixture
def log(empty: Broker) -> Iterator[KafkaLog]:
    opened = KafkaLog(empty.address, partitions=2)
    yield opened
    opened.close()


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[Broker]:
    """A broker that the test may freeze, kill and start again."""
    if not apache_kafka():
        pytest.skip("needs Apache Kafka in ../shared/kafka and Java 17")
    broker = Broker.apache(tmp_path / "node").start()
    try:
        yield broker.wait()
    finally:
        broker.thaw()
        broker.kill()
        shutil.rmtree(tmp_path / "node")


def stored(log: KafkaLog) -> set[bytes]:
    total = sum(log.end_offset(EVENTS, partition) for partition in range(log.partitions(EVENTS)))
    return {record.value for record in read(log, total, starts(log, [EVENTS]))}


def wait_until_healthy(log: KafkaLog, seconds: float = 40.0) -> None:
    """Sends that were under way to a broker that fell may still be answered as failed for a while."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            log.check()
            return
        except LogUnavailable:
            assert time.monotonic() < deadline
            time.sleep(0.5)


def settings_of(broker: Broker, topic: str) -> dict[str, str]:
    admin = Cluster(broker.address, {}).admin()
    try:
        found = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)], config_filter="all")
        return {name: setting["value"] for name, setting in found["topic"][topic].items()}
    finally:
        admin.close()


def alter(broker: Broker, topic: str, **settings: str) -> None:
    admin = Cluster(broker.address, {}).admin()
    try:
        named = {name.replace("_", "."): value for name, value in settings.items()}
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, named)])
    finally:
        admin.close()


# -- reaching it


@pytest.mark.parametrize("address", ["127.0.0.1:{port}", "kafka.invalid:9092"])
def test_a_wrong_address_is_named_in_time(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_client, "BOOTSTRAP_TIMEOUT_MS", 1500)
    address = address.format(port=free_port())
    threads, began = threading.active_count(), time.monotonic()
    with pytest.raises(LogUnavailable, match=address) as caught:
        KafkaLog(address)
    assert time.monotonic() - began < 5.0
    assert "password" in caught.value.hint and caught.value.status == 503
    assert threading.active_count() == threads


@pytest.mark.parametrize("option", ["sasl_plain_passwort=x", "ssl_check_hostname=perhaps", "acks=0"])
def test_an_unknown_option_is_named(option: str) -> None:
    name, _, value = option.partition("=")
    with pytest.raises(SettingsError, match=name) as caught:
        KafkaLog("127.0.0.1:1", {name: value})
    assert "sasl_plain_password" in caught.value.hint


# -- topics


def test_topics_are_made_to_keep_every_record_and_rejected_ones_for_30_days(log: KafkaLog, empty: Broker) -> None:
    kept = {topic: settings_of(empty, topic)["retention.ms"] for topic in TOPICS}
    assert kept == {EVENTS: "-1", RUNS: "-1", REJECTED: str(30 * 24 * 3600 * 1000)}
    assert {settings_of(empty, topic)["message.timestamp.type"] for topic in TOPICS} == {"LogAppendTime"}
    assert [log.partitions(topic) for topic in TOPICS] == [2, 2, 1]


def test_a_new_log_has_12_partitions_unless_told(empty: Broker) -> None:
    log = KafkaLog(empty.address)
    assert [log.partitions(topic) for topic in TOPICS] == [12, 12, 1]
    log.close()


def test_processes_that_start_at_once_share_the_topics(empty: Broker) -> None:
    logs: list[KafkaLog] = []
    threads = [threading.Thread(target=lambda: logs.append(KafkaLog(empty.address, partitions=2))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [log.partitions(EVENTS) for log in logs] == [2, 2, 2, 2]
    for log in logs:
        log.close()


@pytest.mark.parametrize(("settings", "why"), [
    ({"retention_ms": "604800000"}, "does not keep every record"),
    ({"retention_bytes": "1000000"}, "does not keep every record"),
    ({"cleanup_policy": "compact"}, "does not keep every record"),
    ({"unclean_leader_election_enable": "true"}, "can drop records"),
    ({"max_message_bytes": "100000"}, "refuses valid records"), ({"min_insync_replicas": "2"}, "locks writers out"),
])  # fmt: skip
def test_an_unsafe_topic_is_refused_unless_accepted(
    log: KafkaLog, empty: Broker, settings: dict[str, str], why: str
) -> None:
    alter(empty, EVENTS, **settings)
    with pytest.raises(SettingsError, match=why) as caught:
        KafkaLog(empty.address)
    assert EVENTS in caught.value.message
    assert "allow_unsafe=true" in caught.value.hint
    KafkaLog(empty.address, {"allow_unsafe": "true"}).close()


# -- bounds


def test_a_record_kafka_would_refuse_is_answered_alone(log: KafkaLog) -> None:
    answers = log.append([*entries("a"), Entry(EVENTS, "i-1", b"x" * 2_000_000), *entries("c")])
    assert [answer is None for answer in answers] == [False, True, False]
    assert {record.value for record in read(log, 2)} == {b"a", b"c"}


@pytest.mark.faults
def test_what_waits_for_a_frozen_broker_is_bounded_and_closing_is_too(
    own_broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_sender, "MAX_IN_FLIGHT_BYTES", 4 * 2**20)
    log = KafkaLog(own_broker.address, partitions=2)
    log.append(entries("before"))
    own_broker.freeze()
    answers: list[Position | None] = []
    threads = [
        threading.Thread(target=lambda: answers.extend(log.append([Entry(EVENTS, "k", b"x" * 100_000)] * 10, 60.0)))
        for _ in range(10)
    ]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    time.sleep(1.0)
    assert len(answers) >= 50 and set(answers) == {None}
    assert log._sender.in_flight_bytes() <= 5 * 2**20
    with pytest.raises(LogUnavailable, match="does not answer"):
        log.check()
    log.close(timeout_s=1.0)
    for thread in threads:
        thread.join(10)
    assert answers == [None] * 100 and time.monotonic() - began < 30


# -- faults


@pytest.mark.faults
def test_appends_go_on_at_once_after_a_broker_was_frozen_past_the_delivery_timeout(own_broker: Broker) -> None:
    log = KafkaLog(own_broker.address, partitions=2)
    writers = Writers(log)
    writers.wait_for(100, 30)
    own_broker.freeze()
    time.sleep(kafka_sender.DELIVERY_TIMEOUT_MS / 1000 + 3)
    own_broker.thaw()
    thawed = time.monotonic()
    writers.wait_for(100, 10)
    resumed = next(at for at, _ in writers.confirmed if at > thawed) - thawed
    confirmed = writers.stop()
    assert resumed < 5.0 and writers.refused > 0
    assert confirmed <= stored(log)
    wait_until_healthy(log)
    log.close()


@pytest.mark.faults
def test_a_producer_that_does_not_answer_is_replaced(own_broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_sender, "OVERDUE_SECONDS", 2.0)
    log = KafkaLog(own_broker.address, partitions=2)
    log.append(entries("before"))
    own_broker.freeze()
    assert log.append(entries("frozen"), timeout_s=1.0) == [None]
    time.sleep(2.0)
    own_broker.thaw()
    deadline = time.monotonic() + 30
    while log._sender.rebuilt == 0 and time.monotonic() < deadline:
        # Keeps one send unanswered: the producer is wedged for good as far as the watch can see.
        with log._sender._lock:
            log._sender._sends.setdefault(-1, kafka_sender._Send(1)).started = time.monotonic() - 60
            log._sender._bytes = sum(send.size for send in log._sender._sends.values())
        time.sleep(0.2)
    assert log._sender.rebuilt >= 1
    assert None not in log.append(entries("after"))
    log.close()


@pytest.mark.faults
def test_a_killed_and_restarted_broker_loses_nothing_and_needs_no_restart_of_ours(own_broker: Broker) -> None:
    log = KafkaLog(own_broker.address, partitions=2)
    reader = log.reader(starts(log, [EVENTS]))
    writers = Writers(log)
    writers.wait_for(100, 30)
    own_broker.kill()
    time.sleep(2.0)
    own_broker.start()
    own_broker.wait()
    writers.wait_for(100, 60)
    confirmed = writers.stop()
    seen: set[bytes] = set()
    while found := reader.poll(wait_s=5.0):
        seen |= {record.value for record in found}
    assert confirmed <= seen and confirmed <= stored(log)
    wait_until_healthy(log)
    reader.close()
    log.close()


@pytest.mark.faults
def test_three_brokers_are_called_replicated_and_refuse_writes_when_two_are_lost(tmp_path: Path) -> None:
    if not apache_kafka():
        pytest.skip("needs Apache Kafka in ../shared/kafka and Java 17")
    ports = [free_port(2) for _ in range(3)]
    nodes = [Broker.apache(tmp_path / str(number), number, ports).start() for number in (1, 2, 3)]
    try:
        for node in nodes:
            node.wait()
        log = KafkaLog(",".join(node.address for node in nodes), partitions=3)
        assert log.promise == "replicated"
        writers = Writers(log, timeout_s=5.0)
        writers.wait_for(50, 30)
        nodes[2].kill()
        writers.wait_for(50, 60)
        wait_until_healthy(log)
        nodes[1].kill()
        time.sleep(1.0)
        assert log.append(entries("too few"), timeout_s=3.0) == [None]
        with pytest.raises(LogUnavailable):
            log.check()
        nodes[1].start().wait()
        writers.wait_for(50, 60)
        wait_until_healthy(log)
        assert writers.stop() <= stored(log)
        log.close()
    finally:
        for node in nodes:
            node.kill()


# -- a log that was cut


def cut(log: KafkaLog, topic: str, partition: int, before: int) -> None:
    log._admin.delete_records({TopicPartition(topic, partition): before})


def test_a_log_cut_under_a_reader_is_reported_not_skipped(log: KafkaLog) -> None:
    [position] = log.append(entries("0"))
    assert position is not None
    place = (EVENTS, position.partition)
    log.append(entries("1", "2", "3"))
    cut(log, *place, 3)
    assert log.start_offset(*place) == 3
    assert {
        at for at, start in log.start_offsets([(EVENTS, n) for n in range(log.partitions(EVENTS))]).items() if start
    } == {place}
    with pytest.raises(LogUnavailable, match=r"0 of 3\.\.4"):
        log.reader({place: 0})
    late = log.reader({place: 3})
    late._consumer.seek(TopicPartition(*place), 1)
    with pytest.raises(LogUnavailable, match="does not hold the next offset"):
        for _ in range(20):
            late.poll(wait_s=0.5)
    late.close()


def test_expired_rejected_events_are_passed_over(log: KafkaLog) -> None:
    [position, *_] = log.append(entries("0", "1", "2", "3", topic=REJECTED))
    assert position is not None
    place = (REJECTED, position.partition)
    cut(log, *place, 2)
    assert [record.offset for record in read(log, 2, {place: 0})] == [2, 3]


def test_a_fault_inside_the_client_is_reported_to_who_reads(log: KafkaLog, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = log.reader(starts(log, [EVENTS]))

    def fail(**_: object) -> None:
        raise OSError("out of file descriptors")

    monkeypatch.setattr(reader._consumer, "poll", fail)
    with pytest.raises(LogUnavailable, match="out of file descriptors"):
        for _ in range(20):
            reader.poll(wait_s=0.5)
    reader.close()


# -- closing


def test_a_close_that_raises_is_handled_and_its_thread_ended(log: KafkaLog, monkeypatch: pytest.MonkeyPatch) -> None:
    producer = log._sender._producer

    def fail(timeout: float) -> None:
        raise KafkaTimeoutError("cannot flush")

    monkeypatch.setattr(producer, "flush", fail)
    log.close(timeout_s=1.0)
    assert not producer._sender.is_alive()
    with pytest.raises(LogUnavailable, match="closed"):
        log.append(entries("a"))


def test_a_process_that_forgets_to_close_still_ends(empty: Broker) -> None:
    program = (
        "from eventlog.log import Entry\nfrom eventlog.opening import open_log\n"
        f"open_log('kafka://{empty.address}', 2).append([Entry('{EVENTS}', 'k', b'v')])"
    )
    command = ["timeout", "30", sys.executable, "-c", program]
    assert subprocess.run(command, cwd=Path(__file__).parents[2], check=False).returncode == 0
