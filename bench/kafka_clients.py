"""Two Kafka clients with the same records and broker in one run: kafka-python, which the log uses, and confluent-kafka.

    python -m bench.kafka_clients [--records 100000] [--rounds 3]

In: a broker (../shared/kafka; where that, Java 17 or the package confluent-kafka is absent this says so and ends) and a
topic of 12 partitions. Records are events as `bench.processor` makes them, one each, keyed and placed as the log
does. Each client sends them with acks=all, one request a broker at a time and the log's linger and batch size, then
reads them back from where they begin, until the last; kafka-python as the log does (`eventlog.kafka_log.records`). They
take turns.
Then what a collector makes of it: one worker on the same broker, with its own sender and with one on confluent-kafka
(`bench.confluent_sender`), in turns, under `wrk` with requests of one event and of 50.
Out: records/s and processor time a record of each, medians, and how many times as fast confluent-kafka was.
docs/decisions/0010-kafka-client.md says what follows.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from bench.collector import BATCH, Run, measured
from bench.confluent_sender import make_producer
from bench.load import peak
from bench.processor import PARTITIONS, events
from bench.serving import running_collector
from contract.topics import EVENTS, partition_of
from eventlog.kafka_log.client import Cluster
from eventlog.kafka_log.reader import CONSUMER_SETTINGS
from eventlog.kafka_log.records import yield_records
from eventlog.kafka_log.sender import PRODUCER_SETTINGS, Outgoing
from eventlog.log import entry_for
from eventlog.opening import open_log
from tests.kafka_broker import Broker, apache_kafka

# Sent and not yet acknowledged; past it the sender waits, as the log does.
IN_FLIGHT = 20_000
LIMIT = 3.0
COLLECTORS = {"kafka-python": "collector", "confluent-kafka": "bench.confluent_sender"}
CONNECTIONS, SECONDS = 32, 5.0


class Took(NamedTuple):
    """Seconds on the clock and of processor time for all records."""

    wall: float
    cpu: float


Starts = dict[int, int]


def send_with_kafka_python(address: str, records: Sequence[Outgoing]) -> None:
    """Send all, and return once all are acknowledged."""
    producer = KafkaProducer(bootstrap_servers=address, **PRODUCER_SETTINGS)
    for start in range(0, len(records), IN_FLIGHT):
        sent = [
            producer.send(EVENTS, value=one.value, key=one.key, partition=one.partition)
            for one in records[start : start + IN_FLIGHT]
        ]
        for future in sent:
            future.get(60)
    producer.close(10)


def send_with_confluent(address: str, records: Sequence[Outgoing]) -> None:
    """Send all, and return once all are acknowledged."""
    failed: list[Any] = []
    producer = make_producer(address)

    def answered(error: Any, _: Any) -> None:
        if error is not None:
            failed.append(error)

    for start in range(0, len(records), IN_FLIGHT):
        for one in records[start : start + IN_FLIGHT]:
            producer.produce(EVENTS, value=one.value, key=one.key, partition=one.partition, on_delivery=answered)
            producer.poll(0)
        producer.flush(60)
    if failed:
        raise SystemExit(f"error: {len(failed)} records were not acknowledged: {failed[0]}")


def read_with_kafka_python(address: str, starts: Starts, count: int) -> None:
    """Read so many records from these offsets on, as the log does: its connections, its records."""
    consumer = Cluster(address, {}).connect(KafkaConsumer, **CONSUMER_SETTINGS)
    yield_records(consumer)
    consumer.assign([TopicPartition(EVENTS, partition) for partition in starts])
    for partition, offset in starts.items():
        consumer.seek(TopicPartition(EVENTS, partition), offset)
    got = 0
    while got < count:
        for messages in consumer.poll(timeout_ms=500, max_records=2000).values():
            got += sum(1 for message in messages if message.value)
    consumer.close()


def read_with_confluent(address: str, starts: Starts, count: int) -> None:
    """Read so many records from these offsets on."""
    from confluent_kafka import Consumer
    from confluent_kafka import TopicPartition as Place

    consumer = Consumer({
        "bootstrap.servers": address, "group.id": "bench", "enable.auto.commit": False,
        "auto.offset.reset": "error", "fetch.max.bytes": CONSUMER_SETTINGS["fetch_max_bytes"],
        "max.partition.fetch.bytes": CONSUMER_SETTINGS["max_partition_fetch_bytes"],
    })  # fmt: skip
    consumer.assign([Place(EVENTS, partition, offset) for partition, offset in starts.items()])
    got = 0
    while got < count:
        for message in consumer.consume(2000, 0.5):
            if message.error() is not None:
                raise SystemExit(f"error: {message.error()}")
            got += bool(message.value())
    consumer.close()


CLIENTS: dict[str, tuple[Callable[..., None], Callable[..., None]]] = {
    "kafka-python": (send_with_kafka_python, read_with_kafka_python),
    "confluent-kafka": (send_with_confluent, read_with_confluent),
}


def timed(work: Callable[..., None], *given: Any) -> Took:
    """Do it and return what it took, processor time of all threads included."""
    began, used = time.perf_counter(), time.process_time()
    work(*given)
    return Took(time.perf_counter() - began, time.process_time() - used)


def measure(address: str, records: Sequence[Outgoing], rounds: int) -> dict[tuple[str, str], list[Took]]:
    """Return what each client took to write and to read, in turns."""
    log = open_log(f"kafka://{address}?allow_unsafe=true", partitions=PARTITIONS)
    found: dict[tuple[str, str], list[Took]] = {}
    for _ in range(rounds):
        for name, (send, read) in CLIENTS.items():
            starts = {partition: log.end_offset(EVENTS, partition) for partition in range(PARTITIONS)}
            found.setdefault((name, "write"), []).append(timed(send, address, records))
            found.setdefault((name, "read"), []).append(timed(read, address, starts, len(records)))
    log.close()
    return found


def collect(address: str, folder: Path, rounds: int) -> dict[tuple[str, int], list[Run]]:
    """Return the peaks of a collector with each client, by client and events a request, in turns."""
    found: dict[tuple[str, int], list[Run]] = {}
    with ExitStack() as stack:
        running = {}
        for name, module in COLLECTORS.items():
            home = folder / name
            home.mkdir()
            log = f"kafka://{address}?allow_unsafe=true"
            running[name] = stack.enter_context(running_collector(home, module=module, log=log))
        for number in range(rounds + 1):
            for name, ours in running.items():
                for size in (1, BATCH):
                    send = partial(peak, ours.target(size), CONNECTIONS, SECONDS, folder)
                    run = measured(ours.pid, size, folder, send)
                    # The first round warms the broker's Java and the collector.
                    if number:
                        found.setdefault((name, size), []).append(run)
    return found


def print_collected(found: dict[tuple[str, int], list[Run]]) -> None:
    """Print the collector's rates and the gap for each size of request."""
    for size in (1, BATCH):
        rates = {name: statistics.median(run.load.rate * size for run in found[name, size]) for name in COLLECTORS}
        for name, rate in rates.items():
            cpu = statistics.median(run.microseconds_an_event for run in found[name, size])
            errors = sum(run.load.errors for run in found[name, size])
            print(f"collector, {size} event(s) a request, {name}: {rate:,.0f} events/s, "
                  f"{cpu:.1f} us of its processor time each, errors {errors}")  # fmt: skip
        print_gap(f"collector, {size} event(s) a request", rates["confluent-kafka"] / rates["kafka-python"])


def print_gap(what: str, gap: float) -> None:
    """Print how many times as fast the other client is."""
    print(
        f"{what}: confluent-kafka is {gap:.2f} times as fast (another client is considered from {LIMIT:.0f})",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    if not apache_kafka() or find_spec("confluent_kafka") is None:
        print("Left out: it needs Apache Kafka in ../shared/kafka, Java 17 and the package confluent-kafka.")
        return
    entries = [entry_for(event) for event in events(given.records, "v7")]
    records = [Outgoing(EVENTS, partition_of(one.key, PARTITIONS), one.key.encode(), one.value) for one in entries]
    size = statistics.mean(len(one.value) for one in records)
    print(f"{len(records):,} records of {size:.0f} bytes on average, {PARTITIONS} partitions, {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory(prefix="kafka-clients-") as folder:
        broker = Broker.apache(Path(folder)).start().wait()
        try:
            found = measure(broker.address, records, given.rounds)
            collected = collect(broker.address, Path(folder), given.rounds)
        finally:
            broker.kill()
    for what in ("write", "read"):
        walls = {name: statistics.median(took.wall for took in found[name, what]) for name in CLIENTS}
        for name, wall in walls.items():
            cpu = statistics.median(took.cpu for took in found[name, what])
            print(f"{what}, {name}: {len(records) / wall:,.0f} records/s, "
                  f"{cpu / len(records) * 1e6:.1f} us of processor time each")  # fmt: skip
        print_gap(what, walls["kafka-python"] / walls["confluent-kafka"])
    print_collected(collected)


if __name__ == "__main__":
    main()
