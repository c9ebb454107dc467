"""Faults on Apache Kafka: brokers that die, freeze, are cut off or lost; what was accepted is in the tables once."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

from tests.faults.conftest import EVENTS, ROUNDS
from tests.faults.counts import tell
from tests.faults.kill_points import COLLECTOR_POINTS, PROCESSOR_POINTS, restart_armed, wait_for_ends
from tests.faults.on_kafka import MARKS, PARTITIONS, Wire, on_one_broker
from tests.faults.small_disk import fill, small_disk
from tests.faults.system import running
from tests.kafka_broker import Broker, free_port
from tests.waiting import eventually

pytestmark = MARKS
# Longer than the producer's delivery time-out (10 s), which a wedged client would not survive.
FREEZE_S = 14.0
AWAY_S = 60.0 if ROUNDS > 1 else 12.0


def test_killed_at_every_point_of_an_event_s_way(tmp_path: Path, rng: random.Random, seed: int) -> None:
    with on_one_broker(tmp_path) as (system, _):
        with system.load(seed, rate=3000) as load:
            load.wait_for(2000)
            collector = restart_armed(system.collector, COLLECTOR_POINTS["kafka"], rng, 40)
            processor = restart_armed(system.processor, PROCESSOR_POINTS, rng, 20)
            wait_for_ends(system.collector, collector, load, 60 + 20 * ROUNDS * len(COLLECTOR_POINTS["kafka"]))
            wait_for_ends(system.processor, processor, load, 60 + 20 * ROUNDS * len(PROCESSOR_POINTS))
            load.wait_for(EVENTS)
        assert system.settle(load.ledger).clean
        assert system.differing_after_replay() == ()


def test_a_broker_killed_and_started_again(tmp_path: Path, rng: random.Random, seed: int) -> None:
    with on_one_broker(tmp_path) as (system, broker):
        with system.load(seed) as load:
            for number in range(ROUNDS):
                load.wait_for(load.accepted + rng.randrange(500, 5000))
                broker.kill()
                time.sleep(rng.uniform(0.0, 2.0) if number else AWAY_S)
                broker.start()
            load.wait_for(EVENTS)
        assert system.settle(load.ledger).clean
        ends = {name: program.ended for name, program in system.programs.items()}
        assert ends == {"collector": 0, "processor": 0}, "nothing of ours had to be started again"


def test_everything_told_to_end_at_once(tmp_path: Path, rng: random.Random, seed: int) -> None:
    with on_one_broker(tmp_path) as (system, broker):
        with system.load(seed) as load:
            for _ in range(ROUNDS):
                load.wait_for(load.accepted + rng.randrange(500, 5000))
                everything = [*system.programs.values(), broker]
                for one in rng.sample(everything, len(everything)):
                    one.signal(signal.SIGTERM)
                    time.sleep(rng.uniform(0.0, 0.3))
                broker.wait_ended()
                broker.start()
            load.wait_for(EVENTS)
        assert system.settle(load.ledger).clean


def test_with_a_spool_a_broker_away_for_long_is_not_noticed_by_clients(
    tmp_path: Path, rng: random.Random, seed: int
) -> None:
    spool = tmp_path / "spool"
    with on_one_broker(tmp_path, extra={"THUMBWHEEL_COLLECTOR_SPOOL": str(spool)}) as (system, broker):
        with system.load(seed) as load:
            load.wait_for(2000)
            broker.kill()
            load.wait_for(EVENTS // 2)
            assert '"degraded"' in (system.collector.ask("/readyz") or "")
            # Ended with a full spool, and started while the brokers are still away.
            system.collector.signal(rng.choice((signal.SIGTERM, signal.SIGKILL)))
            load.wait_for(EVENTS)
            broker.start()
        eventually(lambda: '"ready"' in (system.collector.ask("/readyz") or ""), 120)
        assert system.settle(load.ledger).clean
        assert load.ledger.answers["retry"] == 0


def test_a_broker_frozen_past_every_time_out(tmp_path: Path, rng: random.Random, seed: int) -> None:
    with on_one_broker(tmp_path) as (system, broker):
        with system.load(seed) as load:
            load.wait_for(rng.randrange(1000, 10_000))
            broker.freeze()
            time.sleep(FREEZE_S * max(1, ROUNDS // 10))
            broker.thaw()
            thawed, before = time.monotonic(), load.accepted
            load.wait_for(before + 1000, 30)
            tell(f"the first thousand events {time.monotonic() - thawed:.1f} s after the thaw")
            load.wait_for(EVENTS)
        assert system.settle(load.ledger).clean
        assert load.ledger.answers["retry"] > 0


def test_a_processor_frozen_while_the_broker_goes_on(tmp_path: Path, rng: random.Random, seed: int) -> None:
    with on_one_broker(tmp_path) as (system, broker):
        with system.load(seed, rate=8000) as load:
            load.wait_for(5000)
            system.processor.signal(signal.SIGSTOP)
            load.wait_for(EVENTS // 2)
            broker.kill()
            time.sleep(rng.uniform(0.5, 2.0))
            broker.start()
            load.wait_for(EVENTS)
            system.processor.signal(signal.SIGCONT)
        assert system.settle(load.ledger).clean


def test_a_full_disk_under_the_broker(tmp_path: Path, rng: random.Random, seed: int) -> None:
    with small_disk(tmp_path / "kafka", 400) as disk, on_one_broker(tmp_path) as (system, broker):
        with system.load(seed, rate=8000) as load:
            for _ in range(ROUNDS):
                load.wait_for(load.accepted + rng.randrange(1000, 5000))
                refused = load.ledger.answers["retry"]
                ballast = fill(disk)
                eventually(lambda: load.ledger.answers["retry"] > refused, 60.0)  # noqa: B023
                # A broker that cannot write to its only folder ends by itself.
                broker.wait_ended()
                ballast.unlink()
                broker.start()
                system.wait_ready()
            load.wait_for(EVENTS)
        assert system.settle(load.ledger).clean


def test_three_brokers_with_one_lost_and_with_two_lost(tmp_path: Path, seed: int) -> None:
    first = free_port(6)
    ports = [first, first + 2, first + 4]
    brokers = [Broker.apache(tmp_path / f"kafka-{node}", node, ports).start() for node in (1, 2, 3)]
    try:
        for broker in brokers:
            broker.wait()
        servers = ",".join(broker.address for broker in brokers)
        with running(tmp_path / "home", f"kafka://{servers}", PARTITIONS) as system:
            with system.load(seed) as load:
                load.wait_for(5000)
                brokers[0].kill()
                load.wait_for(load.accepted + 5000)
                brokers[1].kill()
                time.sleep(12.0)
                stuck = load.accepted
                time.sleep(3.0)
                assert load.accepted == stuck, "with two of three lost, nothing can be accepted"
                assert load.ledger.answers["retry"] > 0
                for broker in brokers[:2]:
                    broker.start()
                load.wait_for(EVENTS)
            assert system.settle(load.ledger).clean
    finally:
        for broker in brokers:
            broker.kill()


def test_acknowledgements_lost_on_the_way_back(tmp_path: Path, rng: random.Random, seed: int) -> None:
    behind, front = free_port(2), free_port()
    listeners = "\n".join((
        f"listeners=PLAINTEXT://127.0.0.1:{behind},CONTROLLER://127.0.0.1:{behind + 1}",
        f"advertised.listeners=PLAINTEXT://127.0.0.1:{front}",
    ))  # fmt: skip
    wire = Wire(front, behind)
    broker = Broker.apache(tmp_path / "kafka", ports=[behind], extra=listeners)
    broker.address = f"127.0.0.1:{front}"
    try:
        with on_one_broker(tmp_path, broker) as (system, _):
            with system.load(seed) as load:
                for _ in range(3 * ROUNDS):
                    load.wait_for(load.accepted + rng.randrange(500, 3000))
                    wire.cut(rng.uniform(0.05, 1.0))
                load.wait_for(EVENTS)
            assert system.settle(load.ledger).clean
    finally:
        wire.close()
